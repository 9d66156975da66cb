"""Releases of the reference service: forward, refused, taken back; each under load, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support.host import Host, stack
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import ROOT

GATE = yaml.safe_load((ROOT / "service/deploy.yml").read_text())["compose_release_gate"]
IMPATIENT = {**GATE, "timeout": 15}
STACKS = ROOT / "tests/e2e/stacks"


@pytest.fixture(scope="module", autouse=True)
def first(host: Host) -> str:
    """A first release, v1."""
    result = host.fleet.run("site")
    assert result.rc == 0, str(result)
    return host.live()


def test_a_check_of_a_host_without_docker_is_green_and_says_what_would_come(host: Host) -> None:
    assert host.bare_check.rc == 0, str(host.bare_check)
    assert "v1 would be deployed" in host.bare_check.output, str(host.bare_check)


def test_the_first_release_answers_searches_at_the_elastic_ip(host: Host, first: str) -> None:
    answer = host.ask("/search?q=date%20night&limit=3")
    assert (answer.status, answer.release) == (200, first)
    assert len(answer.json()["results"]) == 3


def test_a_deploy_moves_to_another_version_without_a_lost_request(host: Host, first: str) -> None:
    with Load(host.address) as load:
        result = host.deploy(compose_release_version="v2")
        assert result.rc == 0, str(result)
        live = host.live()
    assert host.ask("/version").json()["version"] == "v2"
    assert load.lost == {}
    assert set(load.releases) == {first, live}


def test_the_same_version_again_changes_nothing(host: Host) -> None:
    result = host.deploy(compose_release_version="v2")
    assert (result.rc, result.changed) == (0, {}), str(result)


def test_site_again_changes_nothing_and_keeps_what_is_live(host: Host) -> None:
    result = host.fleet.run("site")
    assert (result.rc, result.changed) == (0, {}), str(result)
    assert host.ask("/version").json()["version"] == "v2"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"compose_release_version": "no-such-tag"}, ["no-such-tag", "Nothing was touched"]),
        ({"compose_release_version": "v1", "registry_login_password": "wrong"}, ["refused the user 'davit'"]),
        ({"compose_release_version": "bad-exits"}, ["exited with code", "api |"]),
        ({"compose_release_version": "bad-never-ready"}, ["given up after", "api |"]),
        ({"compose_release_version": "bad-answers-500"}, ["status 500", "api |"]),
        ({"compose_release_version": "bad-search-500"}, ["a search finds something: status 500", "api |"]),
        ({"compose_release_version": "bad-impostor"}, ['version is "v0-impostor"', "api |"]),
        ({"compose_release_file": str(STACKS / "bad/syntax_error.txt")}, ["syntax_error.txt:5", "not YAML"]),
        ({"compose_release_file": str(STACKS / "bad/missing_variable.yaml")}, ["yaml:6", "MUST_BE_SET"]),
        ({"compose_release_file": str(STACKS / "bad/network_mode_host.yaml")}, ["yaml:5", "loopback port"]),
        ({"compose_release_file": str(STACKS / "bad/container_name.yaml")}, ["yaml:5", "fixed name"]),
        ({"compose_release_file": str(STACKS / "bad/build_without_image.yaml")}, ["yaml:4", "registry"]),
    ],
    ids=lambda value: next(iter(value.values())).rpartition("/")[2] if isinstance(value, dict) else "",
)
def test_a_bad_release_is_refused_and_nothing_is_lost(host: Host, variables: dict[str, Any], words: list[str]) -> None:
    live = host.live()
    with Load(host.address) as load:
        result = host.deploy(compose_release_gate=IMPATIENT, **variables)
    assert result.rc != 0, str(result)
    for word in words:
        assert word in result.output, str(result)
    assert load.lost == {}
    assert set(load.releases) == {live}
    assert host.live() == live
    host.shell("test ! -e /run/davit/stage/restaurant-search")
    projects = host.shell("docker ps --all --format '{{.Label \"com.docker.compose.project\"}}' | sort -u").split()
    assert len([p for p in projects if p.startswith("restaurant-search-")]) <= 2, projects


def test_a_failed_release_is_on_record_and_not_tried_again(host: Host) -> None:
    assert [line["result"] for line in host.history()][-1] == "failed"
    result = host.deploy(compose_release_version="bad-impostor", compose_release_gate=IMPATIENT)
    assert result.rc != 0
    assert "compose_release_force" in result.output, str(result)


def test_a_rollback_restores_the_environment_of_its_release(host: Host) -> None:
    for label in ("summer", "winter"):
        result = host.deploy(compose_release_environment={"DEPLOY_LABEL": label})
        assert result.rc == 0, str(result)
        assert host.ask("/version").json()["deploy_label"] == label
    with Load(host.address) as load:
        result = host.fleet.run("rollback")
    assert result.rc == 0, str(result)
    assert host.ask("/version").json()["deploy_label"] == "summer"
    assert load.lost == {}


def test_an_unknown_release_is_not_rolled_back_to(host: Host) -> None:
    live = host.live()
    result = host.fleet.run("rollback", compose_release_rollback_to="20200101-000000-0000000-99")
    assert result.rc != 0
    assert "not kept on this host" in result.output, str(result)
    assert host.live() == live


def test_status_tells_what_is_live_and_what_could_come_back(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    result = host.fleet.run("status", status_json=str(path))
    assert result.rc == 0, str(result)
    ((name, told),) = json.loads(path.read_text()).items()
    app = told["apps"]["restaurant-search"]
    assert (app["live"], app["problems"], app["running"]) == (host.live(), [], True)
    assert "sha256:" in app["images"]["api"]
    assert "minilm" in app["model"]
    row = next(line for line in result.stdout.splitlines() if line.startswith(f"{name}  restaurant-search  "))
    for word in (app["version"], app["live"], "succeeded", "free", *app["can_return_to"][:1]):
        assert word in row, str(result)


def test_two_apps_cannot_have_one_route(host: Host) -> None:

    result = host.deploy(**stack("foreign", compose_release_stateful=["db"]))
    assert result.rc != 0
    assert "already has the route" in result.output, str(result)
