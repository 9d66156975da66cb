"""Stacks that know nothing of Davit: databases, several apps on one host, reboots, broken routes."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tests.e2e.support.fleet import ec2_client
from tests.e2e.support.host import Host, stack
from tests.e2e.support.wait import until

FOREIGN = stack(
    "foreign",
    compose_release_stateful=["db"],
    compose_release_routes=[{"service": "web", "hosts": ["foreign.test"]}],
)
PAIRS = {
    name: stack(
        name,
        compose_release_routes=[{"service": "web", "hosts": [f"{name}.test"]}],
    )
    for name in ("pair-a", "pair-b")
}


@pytest.fixture(scope="module", autouse=True)
def stacks(host: Host) -> None:
    """All three apps on the host, each with its first release."""
    for variables in (FOREIGN, *PAIRS.values()):
        result = host.deploy(**variables)
        assert result.rc == 0, str(result)


def test_an_undeclared_database_is_refused_with_what_to_write(host: Host) -> None:
    result = host.deploy(**{**FOREIGN, "compose_release_stateful": []})
    assert result.rc != 0
    assert "compose_release_stateful: [db]" in result.output, str(result)


def test_the_data_outlives_three_releases_and_a_down_of_an_old_one(host: Host) -> None:
    first = host.live("foreign")
    container = host.shell("docker ps -q --filter label=com.docker.compose.project=foreign-stateful").split()
    host.shell("docker exec " + container[0] + " sh -c 'echo kept > /data/witness'")
    for version in ("v2", "v3"):
        result = host.deploy(**FOREIGN, compose_release_version=version)
        assert result.rc == 0, str(result)
        assert host.ask("/version", "foreign.test").json()["version"] == version
    host.shell(f"docker compose -f /opt/davit/apps/foreign/releases/{first}/compose.yaml down -v")
    after = host.shell("docker ps -q --filter label=com.docker.compose.project=foreign-stateful").split()
    assert after == container, "the database was recreated"
    assert host.shell("docker exec " + after[0] + " cat /data/witness").strip() == "kept"
    assert host.ask("/readyz", "foreign.test").status == 200


def test_the_files_beside_the_compose_file_travel_with_the_release(host: Host) -> None:
    running = "docker ps -q --filter label=davit.app=foreign --filter label=com.docker.compose.service=web"
    # The release before is stopped in the background.
    until(lambda: len(host.shell(running).split()) == 1, 60)
    project = host.shell(running).split()
    assert host.shell(f"docker exec {project[0]} cat /etc/web.conf").strip() == "colour = blue"
    assert host.shell(f"docker exec {project[0]} printenv GREETING").strip() == "hello"


def test_containers_get_no_right_that_their_file_does_not_ask_for(host: Host) -> None:
    """Asked of the engine, and of the kernel: bits of AUDIT_WRITE, MKNOD and NET_RAW."""
    ids = host.shell("docker ps -q --filter label=davit.app=pair-b").split()
    seen = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in inspect(host, ids)}
    for one in seen.values():
        assert one["HostConfig"]["PidsLimit"] == 2048
        assert one["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert seen["web"]["HostConfig"]["CapDrop"] == ["AUDIT_WRITE", "MKNOD", "NET_RAW"]
    # It has a word of its own on capabilities, and limits where Compose takes none beside them.
    assert (seen["api"]["HostConfig"]["CapDrop"], seen["api"]["HostConfig"]["Memory"]) == (["NET_RAW"], 64 << 20)
    status = dict(
        line.split(":\t") for line in host.shell(f"docker exec {seen['web']['Id']} cat /proc/1/status").splitlines()
    )
    assert status["NoNewPrivs"] == "1"
    assert [bit for bit in (13, 27, 29) if int(status["CapBnd"], 16) >> bit & 1] == []
    # Left as its file has it, but for the engine's own default.
    (database,) = inspect(host, host.shell("docker ps -q --filter label=davit.project=foreign-stateful").split())
    assert not database["HostConfig"]["CapDrop"]
    assert database["HostConfig"]["PidsLimit"] in (None, 0)
    assert "NoNewPrivs:\t1" in host.shell(f"docker exec {database['Id']} cat /proc/1/status")


def inspect(host: Host, ids: list[str]) -> list[dict[str, Any]]:
    """What the engine says of containers."""
    assert ids
    found: list[dict[str, Any]] = json.loads(host.shell(f"docker inspect {' '.join(ids)}"))
    return found


def test_no_internal_call_crosses_apps_or_releases(host: Host) -> None:
    """While an old release of the same app still runs, each web reaches its own api only."""
    for name in PAIRS:
        expected = None
        for _ in range(50):
            answer = host.ask("/call?url=http://api:8080/whoami", f"{name}.test").json()
            seen = json.dumps(answer, sort_keys=True)
            assert name in seen, seen
            expected = expected or seen
            assert seen == expected


def test_a_broken_route_of_another_app_stops_a_switch(host: Host) -> None:
    live = host.live("pair-a")
    route = "/opt/davit/edge/dynamic/pair-b.yml"
    host.shell(f"cp {route} /run/route.kept; echo '{{' > {route}")
    try:
        result = host.deploy(**PAIRS["pair-a"], compose_release_version="v2")
        assert result.rc != 0
        assert "pair-b.yml" in result.output, str(result)
        restarted = host.fleet.run("configure", edge_log_level="WARN")
        assert restarted.rc != 0, "the edge must not be restarted while a route is broken"
        assert host.ask("/readyz", "pair-a.test").release == live
    finally:
        host.shell(f"mv /run/route.kept {route}")
    result = host.deploy(**PAIRS["pair-a"], compose_release_version="v2")
    assert result.rc == 0, str(result)


def _booted(host: Host) -> str:
    """When the host's first process began; empty while nobody can be asked."""
    try:
        return host.shell("stat -c %Z /proc/1").strip()
    except AssertionError:
        return ""


def _answers(host: Host, app: str, release: str) -> bool:
    answer = host.ask("/readyz", f"{app}.test")
    return (answer.status, answer.release) == (200, release)


def _running(host: Host) -> set[str]:
    return set(host.shell("docker ps --format '{{.Label \"davit.project\"}}'").split())


def test_after_a_reboot_exactly_the_live_releases_run(host: Host) -> None:
    apps = ("foreign", "pair-a", "pair-b")
    live = {app: host.live(app) for app in apps}
    instance = next(iter(host.fleet.instances().values()))["InstanceId"]
    booted = _booted(host)
    ec2_client().reboot_instances(InstanceIds=[instance])
    until(lambda: _booted(host) not in ("", booted), 90)
    for app, release in live.items():
        until(partial(_answers, host, app, release), 90)
    # Its own file would have it stay down.
    until(lambda: "foreign-stateful" in _running(host), 30)
    running = _running(host)
    number = {app: release.split("-")[3] for app, release in live.items()}
    for app in apps:
        own = {project for project in running if project.startswith(f"{app}-") and "stateful" not in project}
        assert {project.split("-")[-2] for project in own} == {number[app]}, own
