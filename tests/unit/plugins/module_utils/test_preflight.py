"""Who has the ports of the edge, what is said of it, and when a stack is taken over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import edge, ports, preflight, store, takeover
from ansible_collections.davit.ec2.plugins.module_utils.adoption import Wish
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.preflight import Request, Staged
from ansible_collections.davit.ec2.plugins.module_utils.running_file import Split

SHOP = {"shop-web-1": {"com.docker.compose.project": "shop"}}


@pytest.mark.parametrize(
    ("up", "published", "listens", "adopted", "said"),
    [
        (True, {}, {}, "", None),
        # Without Docker's own proxy nobody listens, and the edge is up all the same.
        (True, {80: SHOP}, {}, "", "The edge gets no traffic, and port 80 is owned by container shop-web-1"),
        (False, {80: SHOP}, {80: "docker-proxy, pid 7"}, "", "port 80 is owned by container shop-web-1"),
        (False, {80: SHOP}, {}, "", r"set compose_release_adopt: \{project: shop\}"),
        (False, {80: {"web": {}}}, {}, "", "docker compose down"),
        (False, {}, {443: "nginx, pid 8"}, "", "The edge is not running, and port 443 is owned by nginx, pid 8"),
        (False, {}, {}, "", "Run playbooks/configure.yml"),
        (False, {80: SHOP}, {80: "docker-proxy, pid 7"}, "shop", None),
        (True, {80: SHOP}, {}, "shop", None),
        (False, {80: SHOP}, {443: "nginx, pid 8"}, "shop", "port 443 is owned by nginx, pid 8"),
        (False, {80: SHOP, 443: {"other": {}}}, {}, "shop", "port 443 is owned by container other"),
        (False, {80: {"web": {}}}, {}, "", "is owned by container web"),
        (False, {}, {}, "shop", "Run playbooks/configure.yml"),
    ],
)
def test_whoever_has_the_ports_of_the_edge_is_named(
    up: bool,
    published: dict[int, dict[str, dict[str, str]]],
    listens: dict[int, str],
    adopted: str,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge, "is_up", lambda: up)
    monkeypatch.setattr(ports, "owners", lambda asked: {p: who for p, who in listens.items() if p in asked})
    monkeypatch.setattr(Engine, "publishers", lambda _self, port: published.get(port, {}))
    if said is None:
        preflight._check_edge(Engine(), adopted)
        return
    with pytest.raises(DavitError, match=said):
        preflight._check_edge(Engine(), adopted)


class Stacks(Engine):
    """An engine that knows one stack, 'old', with a database and its volume."""

    def __init__(self, used_by: dict[str, dict[str, str]] | None = None) -> None:
        super().__init__()
        self.used_by = used_by or {}

    def stack(self, project: str) -> list[dict[str, Any]]:
        labels = {"com.docker.compose.service": "db", "com.docker.compose.project.working_dir": "/srv/old"}
        mount = {"Type": "volume", "Name": "old_data", "Destination": "/data", "RW": True}
        record = {
            "Id": "c1",
            "Name": "/old-db-1",
            "Image": "sha256:1",
            "Config": {"Image": "you/db:v1", "Labels": labels},
            "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
            "State": {"Status": "running"},
            "Mounts": [mount],
        }
        return [record] if project == "old" else []

    def stack_volumes(self, project: str) -> dict[str, str]:
        return {"data": "old_data"} if project == "old" else {}

    def containers(self, *_: Any) -> list[Any]:
        return []

    def has_volume(self, name: str) -> bool:
        return name == "old_data"

    def users(self, volume: str) -> dict[str, Any]:
        return self.used_by if volume in ("old_data", "shop_data") else {}

    def repo_digests(self, image: str) -> list[str]:
        return [f"you/db@{image}"]


def staged(volume: dict[str, Any] | None = None) -> Staged:
    database = {"image": "you/db:v1", "volumes": [{"type": "volume", "source": "data", "target": "/data"}]}
    stateful = {"services": {"db": database}, "volumes": {"data": volume or {}}}
    nothing: dict[str, Any] = {"services": {}}
    return Staged("v1", Split(nothing, stateful, nothing, {"db": "you/db:v1"}), (), {}, {})


def request(root: Path, **wish: Any) -> Request:
    layout = AppLayout("shop", str(root))
    store.make_private(layout.home)
    return Request(layout, {}, "", stateful=frozenset({"db"}), adopt=Wish.parse(wish))


def test_a_first_deploy_adopts_with_the_digest_that_runs(tmp_path: Path) -> None:
    asked, engine = request(tmp_path, project="old"), Stacks()
    assert preflight._adopts(asked, engine)
    told = preflight._with_data(asked, staged(), engine, adopts=True)
    assert told.adopts["volumes"] == {"data": "old_data"}
    assert told.adopts["folder"] == "/srv/old"
    assert told.known == {"you/db:v1": "sha256:1"}
    assert told.unresolved == ()


def test_what_is_adopted_already_is_left_alone(tmp_path: Path) -> None:
    asked = request(tmp_path, project="old")
    store.write_json(asked.layout.adoption, {"state": "adopted", "project": "old"})
    store.point(asked.layout.live, asked.layout.release("20260131-120000-0000001-1"))
    assert not preflight._adopts(asked, Stacks())


def test_it_is_too_late_once_the_app_has_data_of_its_own(tmp_path: Path) -> None:
    asked = request(tmp_path, project="old")
    store.write_json(asked.layout.stateful_file, {"services": {}})
    with pytest.raises(DavitError, match="only a first deploy adopts"):
        preflight._adopts(asked, Stacks())
    # A host of a fleet that never had the old stack.
    assert not preflight._adopts(request(tmp_path, project="gone"), Stacks())


def test_without_a_wish_nothing_is_adopted(tmp_path: Path) -> None:
    assert not preflight._adopts(request(tmp_path), Stacks())


def test_a_volume_that_a_stranger_uses_is_refused(tmp_path: Path) -> None:
    """The engine's default names meet when the folder has the name of the app."""
    engine = Stacks({"shop-db-1": {"com.docker.compose.project": "shop"}})
    with pytest.raises(DavitError, match=r"shop_data is in use by .*compose_release_adopt: \{project: shop\}"):
        preflight._with_data(request(tmp_path), staged(), engine, adopts=False)
    own = Stacks({"x": {"davit.app": "shop"}})
    assert preflight._with_data(request(tmp_path), staged(), own, adopts=False).adopts == {}
    run_by_hand = {"com.docker.compose.project": "old", "com.docker.compose.oneoff": "True"}
    asked = request(tmp_path, project="old")
    with pytest.raises(DavitError, match=r"in use by the container old-db-run-1.*docker stop old-db-run-1"):
        preflight._with_data(asked, staged(), Stacks({"old-db-run-1": run_by_hand}), adopts=True)
    backup = Stacks({"old-db-1": {"com.docker.compose.project": "old"}, "backup": {}})
    with pytest.raises(DavitError, match=r"in use by the container backup.*docker stop backup"):
        preflight._with_data(request(tmp_path, project="old"), staged(), backup, adopts=True)


def test_an_old_stack_that_somebody_starts_again_is_noticed(tmp_path: Path) -> None:
    """As the workflow of the old days does, which nobody has taken away."""
    asked = request(tmp_path)
    record = {"state": "adopted", "project": "old", "volumes": {"data": "old_data"}}
    store.write_json(asked.layout.adoption, record)
    with pytest.raises(DavitError, match=r"old-db-1 runs on the data.*docker stop old-db-1"):
        takeover.refuse_both(asked.layout, Stacks())
    store.write_json(asked.layout.adoption, {**record, "data": ["/srv/db"]})
    assert takeover.refuse_both(asked.layout, Stacks()) == "old"


def test_data_outside_of_davit_s_volumes_has_one_owner_too(tmp_path: Path) -> None:
    """Also where nothing is adopted."""
    external = {"name": "shop_data", "external": True}
    database: dict[str, dict[str, str]] = {"db-of-others": {}}
    with pytest.raises(DavitError, match=r"shop_data is in use by the container db-of-others"):
        preflight._with_data(request(tmp_path), staged(external), Stacks(database), adopts=False)
    asked = request(tmp_path, project="old")
    engine = Stacks({"old-db-1": {"com.docker.compose.project": "old"}, **database})
    with pytest.raises(DavitError, match=r"old_data is in use by the container db-of-others"):
        preflight._with_data(asked, staged({"name": "old_data", "external": True}), engine, adopts=True)


def test_two_databases_are_told_before_the_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old stack has both when it is started again, and what helps is not to adopt it once more."""
    asked = request(tmp_path, project="old")
    store.write_json(asked.layout.adoption, {"state": "adopted", "project": "old", "data": ["old_data"], "volumes": {}})
    monkeypatch.setattr(preflight, "Engine", Stacks)
    monkeypatch.setattr(edge, "is_up", lambda: False)
    monkeypatch.setattr(ports, "owners", lambda _asked: {})
    published = {"old-web-1": {"com.docker.compose.project": "old"}}
    monkeypatch.setattr(Stacks, "publishers", lambda _self, port: published if port == 80 else {}, raising=False)
    monkeypatch.setattr(Stacks, "image_directory", lambda _self: str(tmp_path), raising=False)
    with pytest.raises(DavitError, match="two databases on one volume"):
        preflight.stage(asked, tmp_path / "stage")
    # Its web alone: the port is the trouble, and the data is the app's already.
    monkeypatch.setattr(Stacks, "stack", lambda _self, _project: [])
    with pytest.raises(DavitError, match=r"port 80 is owned by container old-web-1\. Stop that first"):
        preflight.stage(asked, tmp_path / "stage")


def test_a_volume_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    asked = request(tmp_path, project="old", volumes={"data": "elsewhere"})
    with pytest.raises(DavitError, match="elsewhere"):
        preflight._with_data(asked, staged(), Stacks(), adopts=True)


def test_a_volume_keeps_its_name_whatever_the_variables_say_later(tmp_path: Path) -> None:
    layout = request(tmp_path).layout
    adopts = {"volumes": {"data": "old_data"}}
    assert preflight.volume_names(layout, adopts) == {"data": "old_data"}
    layout.stateful_file.write_text(json.dumps({"volumes": {"data": {"name": "old_data", "external": True}}}))
    assert preflight.volume_names(layout, {}) == {"data": "old_data"}
    assert preflight.volume_names(layout, {"volumes": {"data": "other"}}) == {"data": "old_data"}
