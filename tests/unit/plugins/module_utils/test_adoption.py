"""Whose data becomes whose, and what is refused so that none is left behind in silence."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import adoption
from ansible_collections.davit.ec2.plugins.module_utils.adoption import Mount, Old, Wish
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

DATA = Mount("volume", "app_data", "/data", writable=True)


def old(service: str = "db", *mounts: Mount, **more: Any) -> Old:
    values: dict[str, Any] = {"image": "you/db:v1", "image_id": "sha256:1", "runs": True, "policy": "always", **more}
    return Old(f"{service}-id", f"app-{service}-1", service, mounts=mounts, **values)


def stateful(*mounts: dict[str, Any], **volumes: Any) -> dict[str, Any]:
    return {"services": {"db": {"volumes": list(mounts)}}, "volumes": volumes}


def at(target: str, source: str, kind: str = "volume", **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": source, "target": target, **more}


PLAIN = stateful(at("/data", "data"), data={})


def test_volumes_are_matched_by_compose_s_labels() -> None:
    told = adoption.plan(Wish("app"), [old("db", DATA), old("web")], {"data": "app_data"}, PLAIN)
    assert (told.volumes, told.services, told.notices) == ({"data": "app_data"}, ("db", "web"), ())


def test_a_volume_of_another_name_is_taken_when_it_is_named() -> None:
    mount = Mount("volume", "app_pg", "/data", writable=True)
    told = adoption.plan(Wish("app", {"data": "app_pg"}), [old("db", mount)], {"pg": "app_pg"}, PLAIN)
    assert told.volumes == {"data": "app_pg"}


def test_a_stack_that_was_taken_down_still_has_its_volumes() -> None:
    assert adoption.plan(Wish("app"), [], {"data": "app_data"}, PLAIN).volumes == {"data": "app_data"}


def test_an_external_volume_and_one_in_memory_need_no_match() -> None:
    model = stateful(
        *(at("/data", "data"), at("/tmp", "scratch")),
        data={"external": True, "name": "app_data"},
        scratch={"driver_opts": {"type": "tmpfs"}},
    )
    assert adoption.plan(Wish("app"), [old("db", DATA)], {}, model).volumes == {}


def test_a_new_volume_has_to_be_asked_for() -> None:
    model = stateful(at("/data", "data"), at("/log", "log"), data={}, log={})
    with pytest.raises(DavitError, match=r"'log' of the new Compose file has no counterpart.*has data \(app_data\)"):
        adoption.plan(Wish("app"), [old("db", DATA)], {"data": "app_data"}, model)
    told = adoption.plan(Wish("app", {"log": ""}), [old("db", DATA)], {"data": "app_data"}, model)
    assert told.volumes == {"data": "app_data"}


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        ({"davit.app": "shop"}, True),
        ({"davit.edge.config": "0a1b"}, True),
        ({"com.docker.compose.project": "davit-monitoring"}, True),
        ({"davit.lab": "true", "com.docker.compose.project": "shop"}, False),
    ],
)
def test_a_label_of_its_image_makes_no_container_davit_s(labels: dict[str, str], own: bool) -> None:
    record = {"Id": "1", "Name": "/shop-db-1", "Image": "sha256:0", "Config": {"Image": "db:1", "Labels": labels}}
    assert Old.from_inspect(record).davit is own


@pytest.mark.parametrize(
    ("wish", "containers", "labelled", "model", "said"),
    [
        (Wish("app"), [], {}, PLAIN, "neither containers nor volumes.*or remove compose_release_adopt, if this host"),
        (Wish("app"), [old("db", DATA, davit=True)], {"data": "app_data"}, PLAIN, "Davit's own already"),
        (Wish("app", {"date": "app_data"}), [old()], {"data": "app_data"}, PLAIN, "names 'date'.*those have data"),
        (
            Wish("app", {"log": "app_data"}),
            [old("db", DATA)],
            {"data": "app_data"},
            stateful(at("/data", "data"), at("/log", "log"), data={}, log={}),
            "app_data to two volumes",
        ),
        # An image's own VOLUME, of which the Compose file says nothing.
        (
            Wish("app"),
            [old("db", Mount("volume", "3f2a", "/var/lib/mysql", writable=True))],
            {},
            stateful(),
            r"volume 3f2a at /var/lib/mysql.*has nothing.*'var-lib-mysql:/var/lib/mysql'.*\{var-lib-mysql: 3f2a\}\}",
        ),
        (
            Wish("app"),
            [old("db", Mount("bind", "/srv/app/data", "/data", writable=True))],
            {},
            stateful(),
            "'/srv/app/data:/data'",
        ),
        # The same volume, but at another place.
        (
            Wish("app"),
            [old("db", DATA)],
            {"data": "app_data"},
            stateful(at("/elsewhere", "data"), data={}),
            "at /data, where the new Compose file has nothing",
        ),
    ],
)
def test_what_would_lose_data_is_refused(
    wish: Wish, containers: list[Old], labelled: dict[str, str], model: dict[str, Any], said: str
) -> None:
    with pytest.raises(DavitError, match=said):
        adoption.plan(wish, containers, labelled, model)


def test_configuration_is_no_data() -> None:
    """As in many a Compose file, it was mounted writable, and comes with the release from now on."""
    mounts = [
        DATA,
        Mount("bind", "/srv/app/init.sql", "/init.sql", writable=True),
        Mount("bind", "/etc/localtime", "/etc/localtime", writable=False),
        Mount("tmpfs", "", "/run", writable=True),
    ]
    model = stateful(at("/data", "data"), at("/init.sql", "@release@/files/init.sql", "bind", read_only=True), data={})
    told = adoption.plan(Wish("app"), [old("db", *mounts)], {"data": "app_data"}, model)
    assert told.volumes == {"data": "app_data"}


def test_a_directory_of_the_host_is_used_where_it_is() -> None:
    mount = Mount("bind", "/srv/db", "/data", writable=True)
    told = adoption.plan(Wish("app"), [old("db", mount)], {}, stateful(at("/data", "/srv/db", "bind")))
    assert (told.volumes, told.notices) == ({}, ())


def test_what_stays_unused_is_told() -> None:
    cache = Mount("volume", "app_cache", "/cache", writable=True)
    told = adoption.plan(Wish("app"), [old("db", DATA), old("web", cache)], {"data": "app_data"}, PLAIN)
    assert told.notices == ("app_cache, which 'app' writes, is not part of the new Compose file and stays",)


@pytest.mark.parametrize(
    ("runs", "reference", "repo_digests", "digest"),
    [
        ("ghcr.io/you/db:v1", "ghcr.io/you/db:v1", ["ghcr.io/you/db@sha256:a"], "sha256:a"),
        ("docker.io/library/postgres:16", "docker.io/library/postgres:16", ["postgres@sha256:a"], "sha256:a"),
        ("postgres:16", "docker.io/library/postgres:16", ["postgres@sha256:a"], "sha256:a"),
        ("postgres:16@sha256:a", "postgres:16", ["postgres@sha256:a"], "sha256:a"),
        ("host:5000/db", "host:5000/db", ["other/db@sha256:b", "host:5000/db@sha256:a"], "sha256:a"),
    ],
)
def test_the_database_keeps_the_image_that_runs(
    runs: str, reference: str, repo_digests: list[str], digest: str
) -> None:
    containers = [old("db", DATA, image=runs), old("web", image=reference)]
    found = adoption.same_images(containers, {"db": reference}, PLAIN, {"data": "app_data"}, {"sha256:1": repo_digests})
    assert found == ({reference: digest}, [])


HAS_DIGEST = {"sha256:1": ["postgres@sha256:a"], "sha256:2": ["postgres@sha256:b"]}


@pytest.mark.parametrize(
    ("containers", "wanted", "changed"),
    [
        ([old("db", DATA, image="postgres:15")], "postgres:16", ["'db' from the postgres:15 that runs to postgres:16"]),
        # Its name says nothing: the data does.
        (
            [old("database", DATA, image="postgres:15")],
            "postgres:16",
            ["'db' from the postgres:15 that runs to postgres:16"],
        ),
        ([old("database", DATA, image="postgres:15")], "postgres:15", []),
        ([old("db", image="redis:7"), old("database", DATA, image="postgres:15")], "postgres:15", []),
        # Others that write the same volume, such as a backup, do not count beside the one of that name.
        ([old("db", DATA, image="postgres:15"), old("backup", DATA, image="backup:1")], "postgres:15", []),
        # Without data in common the name is all that there is.
        ([old("db", image="postgres:15")], "postgres:16", ["'db' from the postgres:15 that runs to postgres:16"]),
        # Built on the host: what the registry has under that name may be anything.
        (
            [old("db", DATA, image="you/built:here", image_id="sha256:3")],
            "you/built:here",
            ["'db' from the you/built:here, whose digest is not known, that runs to you/built:here"],
        ),
        ([old("db", DATA, image="postgres:15")], "postgres:15@sha256:a", []),
        (
            [old("db", DATA, image="postgres:15")],
            "postgres:15@sha256:b",
            ["'db' from the postgres:15 that runs to postgres:15@sha256:b"],
        ),
        # An engine whose images are kept by containerd: the id is the digest.
        ([old("db", DATA, image="you/db", image_id="sha256:3")], "you/db@sha256:3", []),
        ([old("web", image="you/web:v1")], "postgres:16", []),
        ([], "postgres:16", []),
    ],
)
def test_another_image_is_not_taken_in_the_same_moment(containers: list[Old], wanted: str, changed: list[str]) -> None:
    images = {"db": wanted, "web": "you/web:v2"}
    assert adoption.same_images(containers, images, PLAIN, {"data": "app_data"}, HAS_DIGEST)[1] == changed


def test_two_databases_of_one_reference_that_run_different_images_are_not_made_one() -> None:
    model = {
        "services": {"a": {"volumes": [at("/data", "x")]}, "b": {"volumes": [at("/data", "y")]}},
        "volumes": {"x": {}, "y": {}},
    }
    containers = [
        old(name, Mount("volume", f"app_{key}", "/data", writable=True), image="postgres:15", image_id=f"sha256:{n}")
        for n, name, key in ((1, "a", "x"), (2, "b", "y"))
    ]
    images = {"a": "postgres:15", "b": "postgres:15"}
    known, changed = adoption.same_images(containers, images, model, {"x": "app_x", "y": "app_y"}, HAS_DIGEST)
    assert known == {"postgres:15": "sha256:a"}
    assert [sentence[:4] for sentence in changed] == ["'b' "]


def test_a_changed_image_is_refused() -> None:
    with pytest.raises(DavitError, match="compose_release_update_stateful"):
        adoption.refuse_changed({"changed": ["'db' from the postgres:15 that runs to postgres:16"]})
    adoption.refuse_changed({})


@pytest.mark.parametrize(
    ("mount", "declared", "data"),
    [
        (at("/data", "data"), {"data": {}}, {"app_data"}),
        (at("/data", "data"), {"data": {"name": "shared", "external": True}}, {"shared"}),
        (at("/data", "data", read_only=True), {"data": {"name": "shared", "external": True}}, set()),
        (at("/data", "new"), {"new": {}}, set()),
        (at("/data", "/srv/db", "bind"), {}, {"/srv/db"}),
        (at("/data", "/srv/db", "bind", read_only=True), {}, set()),
        (at("/x.conf", "@release@/files/x.conf", "bind", read_only=True), {}, set()),
        # In many a Compose file, and shared by half of the containers of the host.
        (at("/etc/localtime", "/etc/localtime", "bind"), {}, set()),
        (at("/docker.sock", "/var/run/docker.sock", "bind"), {}, set()),
        (at("/run", "", "tmpfs"), {}, set()),
    ],
)
def test_data_is_what_a_stateful_service_writes(
    mount: dict[str, Any], declared: dict[str, Any], data: set[str]
) -> None:
    assert adoption.data_of(stateful(mount, **declared), {"data": "app_data"}) == data


@pytest.mark.parametrize(
    ("mount", "model"),
    [
        (DATA, stateful(at("/data", "data"), data={"name": "app_data", "external": True})),
        (Mount("bind", "/srv/db", "/data", writable=True), stateful(at("/data", "/srv/db", "bind"))),
    ],
)
def test_data_that_davit_does_not_manage_is_data_and_no_leftover(mount: Mount, model: dict[str, Any]) -> None:
    told = adoption.plan(Wish("app"), [old("db", mount)], {}, model)
    assert (told.volumes, told.data, told.notices) == ({}, (mount.source,), ())
    assert told.to_json()["data"] == [mount.source]


@pytest.mark.parametrize(
    "given",
    [{"project": "a b"}, {"project": "../x"}, {"volumes": {}}, {"project": "a", "volume": {}}, {"project": 3.5}],
)
def test_a_wish_that_says_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(DavitError, match="compose_release_adopt is"):
        Wish.parse(given)


def test_no_wish() -> None:
    assert Wish.parse({}) == Wish()
    assert Wish.parse({"project": "app", "volumes": None}) == Wish("app")
