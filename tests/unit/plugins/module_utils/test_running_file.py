"""What becomes of a user's Compose file on its way to the engine."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.module_utils import running_file as rf
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.jobs import JOB_DONE
from ansible_collections.davit.ec2.plugins.module_utils.routes import DEFAULT_HEADERS, Endpoint, Route

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
DB = frozenset({"db"})
DONE = {"condition": JOB_DONE}
STARTED = {"condition": "service_started"}


def model(directory: str = "/stage/files", project: str = "shop", tag: str = "v1") -> dict[str, Any]:
    """As ``docker compose config --format json`` prints it."""
    return {
        "name": project,
        "services": {
            "web": {
                "image": f"host:5000/web:{tag}",
                "build": {"context": directory},
                "restart": "no",
                "environment": {"PRICE": "$$5"},
                "labels": {"own": "yes"},
                "depends_on": {"db": STARTED, "cache": STARTED, "migrate": DONE},
                "networks": {"default": None},
                "ports": [{"mode": "ingress", "target": 8000, "published": "8000", "protocol": "tcp"}],
                "secrets": [{"source": "key"}, {"source": "token"}],
                "volumes": [
                    {"type": "bind", "source": f"{directory}/conf", "target": "/conf", "read_only": True},
                    {"type": "bind", "source": "/etc/ssl", "target": "/etc/ssl", "read_only": True},
                    {"type": "volume", "source": "scratch", "target": "/tmp"},
                    {"type": "volume", "source": "shared", "target": "/shared", "read_only": True},
                    {"type": "volume", "target": "/anonymous"},
                ],
            },
            "cache": {"image": "cache:1", "networks": {"default": None}},
            "migrate": {"image": f"host:5000/web:{tag}", "depends_on": {"db": STARTED}, "networks": {"default": None}},
            "db": {
                "image": "db:1",
                "ports": [{"target": 5432}],
                "networks": {"default": None},
                "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
            },
        },
        "networks": {"default": {"name": f"{project}_default", "ipam": {}}},
        "volumes": {
            "data": {"name": f"{project}_data", "driver": "local"},
            "scratch": {"name": f"{project}_scratch", "driver_opts": {"type": "tmpfs"}},
            "shared": {"name": "of-somebody", "external": True},
        },
        "secrets": {
            "key": {"name": f"{project}_key", "file": f"{directory}/key.pem"},
            "token": {"name": f"{project}_token", "environment": "TOKEN"},
        },
    }


DIGESTS = {"host:5000/web:v1": DIGEST, "host:5000/web:v2": DIGEST, "cache:1": OTHER, "db:1": OTHER}


def split(**made: str) -> rf.Split:
    return rf.split(model(**made), made.get("directory", "/stage/files"), DB)


def hash_of(parts: rf.Split, files: dict[str, str] | None = None, declared: dict[str, Any] | None = None) -> str:
    pinned = [rf.pin(part, DIGESTS) for part in (parts.release, parts.stateful, parts.jobs)]
    return rf.content_hash(pinned, files or {}, declared or {})


def test_each_service_is_in_one_part() -> None:
    parts = split()
    assert set(parts.release["services"]) == {"web", "cache"}
    assert set(parts.stateful["services"]) == {"db"}
    assert set(parts.jobs["services"]) == {"migrate"}
    assert parts.images == {"web": "host:5000/web:v1", "migrate": "host:5000/web:v1", "cache": "cache:1", "db": "db:1"}
    assert [n for n in parts.notices if "'db'" in n], "ports that vanish are told of"


def test_the_given_model_is_left_alone() -> None:
    given = model()
    before = copy.deepcopy(given)
    rf.split(given, "/stage/files", DB)
    assert given == before


def test_dependencies_across_parts_are_cut() -> None:
    parts = split()
    assert parts.release["services"]["web"]["depends_on"] == {"cache": STARTED}
    assert "depends_on" not in parts.jobs["services"]["migrate"]


def test_data_cannot_wait_for_a_release() -> None:
    given = model()
    given["services"]["db"]["depends_on"] = {"web": STARTED}
    with pytest.raises(DavitError, match=r"services\.db\.depends_on: .*'web'.*compose_release_stateful"):
        rf.split(given, "/stage/files", DB)


def test_parts_hold_only_what_they_use() -> None:
    parts = split()
    assert set(parts.release["volumes"]) == {"scratch", "shared"}
    assert set(parts.stateful["volumes"]) == {"data"}
    assert not {"volumes", "secrets"} & set(parts.jobs)


@pytest.mark.parametrize("key", ["build", "restart", "ports"])
def test_what_davit_decides_is_dropped(key: str) -> None:
    assert key not in split().release["services"]["web"]


@pytest.mark.parametrize(
    "same",
    [{"project": "other"}, {"directory": "/elsewhere"}, {"tag": "v2"}],
)
def test_the_hash_ignores_project_directory_and_tag(same: dict[str, str]) -> None:
    assert hash_of(split(**same)) == hash_of(split())


def test_the_hash_sees_what_makes_a_difference() -> None:
    given = model()
    given["services"]["web"]["environment"]["PRICE"] = "6"
    hashes = [
        hash_of(split()),
        hash_of(rf.split(given, "/stage/files", DB)),
        hash_of(split(), files={"conf": "1"}),
        hash_of(split(), files={"conf": "2"}),
        hash_of(split(), declared={"routes": []}),
        rf.content_hash([rf.pin(split().release, {**DIGESTS, "cache:1": DIGEST})], {}, {}),
        rf.content_hash([rf.pin(split().release, DIGESTS)], {}, {}),
    ]
    assert len(set(hashes)) == len(hashes)


def test_an_option_that_came_later_counts_once_it_is_used() -> None:
    """Else an upgrade of Davit would deploy every app anew, and take away what is live from what is declared."""
    declared: dict[str, Any] = {"routes": [], "gate": {}, "model_probe": {}}
    first = hash_of(split(), declared={**declared, "tls": False, "resolver": ""})
    assert hash_of(split(), declared=declared) == first
    assert hash_of(split(), declared={**declared, "metrics": {}, "workers": [], "next": ""}) == first
    assert hash_of(split(), declared={**declared, "headers": DEFAULT_HEADERS}) == first
    others: list[dict[str, Any]] = [
        {"metrics": {"path": "/metrics"}},
        {"headers": {}},
        {"headers": {**DEFAULT_HEADERS, "X-Own": "1"}},
    ]
    hashes = {hash_of(split(), declared={**declared, **other}) for other in others}
    assert len(hashes | {first}) == 4


def test_the_headers_that_do_not_count_are_the_role_s_default(root: Path) -> None:
    defaults = yaml.safe_load((root / "roles/compose_release/defaults/main.yml").read_text())
    assert defaults["compose_release_headers"] == DEFAULT_HEADERS


@pytest.mark.parametrize(
    ("reference", "plain"),
    [
        (f"a:1@{DIGEST}", f"a@{DIGEST}"),
        (f"a@{DIGEST}", f"a@{DIGEST}"),
        (f"host:5000/a:1@{DIGEST}", f"host:5000/a@{DIGEST}"),
        (f"host:5000/a@{DIGEST}", f"host:5000/a@{DIGEST}"),
    ],
)
def test_without_tag(reference: str, plain: str) -> None:
    assert rf.without_tag(reference) == plain


def test_pinning_takes_digests_and_misses_none() -> None:
    assert rf.pin(split().stateful, DIGESTS)["services"]["db"]["image"] == f"db:1@{OTHER}"
    assert rf.pinned_reference(f"x@{DIGEST}", {}) == f"x@{DIGEST}"
    with pytest.raises(DavitError, match="no digest for the image db:1"):
        rf.pin(split().stateful, {})


ROUTES = [Route("web", 8000), Route("web", 8000, (), "/v2"), Route("cache", 8000)]


def test_a_container_port_gets_one_loopback_port() -> None:
    assert [e.host_port for e in rf.assign_ports(ROUTES, [20000, 20001])] == [20000, 20000, 20001]


def released() -> dict[str, Any]:
    endpoints = rf.assign_ports(ROUTES[:2], [20000])
    return rf.name_release(split().release, "shop", "shop-1-0a1b2c3", "/opt/davit/apps/shop/releases/R", endpoints)


def test_only_loopback_ports_are_published_and_only_once() -> None:
    services = released()["services"]
    [port] = services["web"]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "20000", 8000)
    assert "ports" not in services["cache"]


def test_everything_of_a_release_bears_its_name() -> None:
    made = released()
    assert made["name"] == "shop-1-0a1b2c3"
    assert made["networks"]["default"] == {"name": "shop-1-0a1b2c3_default"}
    web = made["services"]["web"]
    assert web["labels"] == {"own": "yes", "davit.app": "shop", "davit.project": "shop-1-0a1b2c3"}
    # The engine starts at a boot also what was only created.
    assert {s["restart"] for s in made["services"].values()} == {"no"}
    assert web["environment"] == {"PRICE": "$$5"}, "a doubled dollar stays doubled: Compose reads the file again"


POLICY = {"restart_policy": {"condition": "on-failure"}, "resources": {"limits": {"memory": "64m"}}}


def with_policies(deploy: dict[str, Any]) -> rf.Split:
    given = model()
    for service in given["services"].values():
        service["deploy"] = copy.deepcopy(deploy)
    return rf.split(given, "/stage/files", DB)


def test_no_policy_of_compose_wins_over_davit_s() -> None:
    parts, place = with_policies(POLICY), ("shop", "shop-1-0a1b2c3")
    named = [rf.name_release(parts.release, *place, "/R"), rf.name_jobs(parts.jobs, *place, None, "/R")]
    services = {name: service for made in named for name, service in made["services"].items()}
    assert services.keys() == {"web", "cache", "migrate"}
    assert {service["restart"] for service in services.values()} == {"no"}
    assert [service["deploy"] for service in services.values()] == [{"resources": POLICY["resources"]}] * 3
    # It is content as before: to drop it there would deploy such an app anew.
    assert parts.release["services"]["web"]["deploy"] == POLICY


def test_what_owns_data_keeps_its_file_s_policy_so_that_it_is_not_stopped_for_it() -> None:
    made = rf.name_stateful(with_policies(POLICY).stateful, "shop", "shop-stateful", "shop-net", "/R")
    assert made["services"]["db"]["deploy"] == POLICY


def test_volumes_with_data_are_never_a_release_s_own() -> None:
    made = released()
    assert made["volumes"]["scratch"]["name"] == "shop-1-0a1b2c3_scratch"
    assert made["volumes"]["shared"] == {"name": "of-somebody", "external": True}
    database = rf.name_stateful(split().stateful, "shop", "shop-stateful", "shop-stateful", "/R")
    assert database["volumes"]["data"] == {"name": "shop_data", "external": True}
    assert rf.volumes_to_keep(split().stateful, "shop") == {"shop_data": {"driver": "local"}}
    assert rf.volumes_to_keep(split().release, "shop") == {}


def test_paths_lead_into_the_release_and_nothing_else_moves() -> None:
    made = released()
    sources = [m.get("source") for m in made["services"]["web"]["volumes"]]
    assert sources == ["/opt/davit/apps/shop/releases/R/files/conf", "/etc/ssl", "scratch", "shared", None]
    binds = [m["bind"] for m in made["services"]["web"]["volumes"] if m["type"] == "bind"]
    assert binds == [{"create_host_path": False}] * 2
    assert rf.HERE not in json.dumps(made)


def test_a_sibling_of_the_directory_is_not_inside_it() -> None:
    given = model()
    given["services"]["web"]["volumes"][0]["source"] = "/stage/files-of-others"
    [mount, *_rest] = rf.split(given, "/stage/files", DB).release["services"]["web"]["volumes"]
    assert mount["source"] == "/stage/files-of-others"


def test_a_secret_of_the_environment_becomes_a_file() -> None:
    assert rf.environment_files(model()) == {"env/token": "TOKEN"}
    assert released()["secrets"] == {
        "key": {"file": "/opt/davit/apps/shop/releases/R/files/key.pem"},
        "token": {"file": "/opt/davit/apps/shop/releases/R/env/token"},
    }


def test_a_secret_and_a_config_of_one_name_have_a_file_each() -> None:
    given = model()
    given["configs"] = {"token": {"environment": "CONFIG"}, "alone": {"environment": "ALONE"}}
    given["services"]["web"]["configs"] = [{"source": "token"}, {"source": "alone"}]
    assert rf.environment_files(given) == {
        "env/token": "TOKEN",
        "env-configs/token": "CONFIG",
        "env/alone": "ALONE",
    }
    made = rf.split(given, "/stage/files", DB).release
    assert (made["secrets"]["token"], made["configs"]) == (
        {"file": f"{rf.HERE}/env/token"},
        {"alone": {"file": f"{rf.HERE}/env/alone"}, "token": {"file": f"{rf.HERE}/env-configs/token"}},
    )


def test_own_paths_are_those_that_travel() -> None:
    assert rf.own_paths(split().release) == {"files/conf", "files/key.pem", "env/token"}


def test_data_is_not_written_into_a_directory_that_is_replaced() -> None:
    given = model()
    given["services"]["db"]["volumes"] = [{"type": "bind", "source": "/stage/files/data", "target": "/data"}]
    with pytest.raises(DavitError, match=r"services\.db\.volumes: .*named volume"):
        rf.split(given, "/stage/files", DB)
    given["services"]["db"]["volumes"][0]["source"] = "/srv/data"
    rf.split(given, "/stage/files", DB)


def test_stateful_services_share_one_network_of_the_app() -> None:
    made = rf.name_stateful(split().stateful, "shop", "shop-stateful", "shop-net", "/R")
    assert made["services"]["db"]["networks"] == {"default": None}
    assert made["services"]["db"]["restart"] == "unless-stopped"
    assert made["networks"] == {"default": {"name": "shop-net", "external": True}}
    assert "ports" not in made["services"]["db"]


@pytest.mark.parametrize(("network", "joined"), [(None, {"default"}), ("shop-net", {"default", "davit-stateful"})])
def test_jobs_run_once_and_reach_the_data(network: str | None, joined: set[str]) -> None:
    made = rf.name_jobs(split().jobs, "shop", "shop-1-0a1b2c3", network, "/R")
    job = made["services"]["migrate"]
    assert job["restart"] == "no"
    assert set(job["networks"]) == set(made["networks"]) == joined


def test_an_endpoint_needs_its_service() -> None:
    with pytest.raises(KeyError, match="nope"):
        rf.name_release(split().release, "shop", "p", "/R", [Endpoint(Route("nope", 1), 20000)])


def test_an_adopted_volume_is_used_under_its_own_name_and_never_made() -> None:
    names = {"data": "old_data"}
    database = rf.name_stateful(split().stateful, "shop", "shop-stateful", "shop-stateful", "/R", names)
    assert database["volumes"]["data"] == {"name": "old_data", "external": True}
    assert rf.volumes_to_keep(split().stateful, "shop", names) == {}
    assert rf.volumes_to_keep(split().stateful, "shop", {"data": "shop_data"}) == {"shop_data": {"driver": "local"}}
