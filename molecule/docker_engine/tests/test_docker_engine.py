"""What the role promises of an engine, asked of the engine."""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

testinfra_hosts = ["docker://davit-molecule-engine"]

POOL = ipaddress.IPv4Network("10.201.0.0/16")
RESERVED = [ipaddress.IPv4Network("10.42.0.0/16"), ipaddress.IPv4Network("172.17.0.0/16")]


@pytest.fixture(autouse=True)
def journal(host: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the engine's last words beside a failure."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        sys.stdout.write(host.run("journalctl -u docker --no-pager --lines 40").stdout)


def output(host: Any, command: str) -> str:
    """What the command prints; it must succeed."""
    result = host.run(command)
    assert result.rc == 0, f"{command}: {result.stdout}{result.stderr}"
    return str(result.stdout).strip()


def subnets(host: Any, network: str) -> list[ipaddress.IPv4Network]:
    """The IPv4 subnets of a Docker network."""
    config = json.loads(output(host, f"docker network inspect {network} --format '{{{{json .IPAM.Config}}}}'"))
    return [ipaddress.IPv4Network(entry["Subnet"]) for entry in config]


def test_the_engine_answers_and_starts_at_boot(host: Any) -> None:
    service = host.service("docker")
    assert service.is_running
    assert service.is_enabled
    assert output(host, "docker version --format '{{.Server.Version}}'")


def test_compose_is_version_two(host: Any) -> None:
    version = output(host, "docker compose version --short")
    assert int(version.lstrip("v").split(".")[0]) >= 2


def test_buildx_is_there(host: Any) -> None:
    assert "buildx" in output(host, "docker buildx version")


def test_a_container_runs(host: Any) -> None:
    assert output(host, "docker run --rm davit-test seq 3").split() == ["1", "2", "3"]


def test_a_container_outlives_a_restart_of_the_engine(host: Any) -> None:
    """The container of side_effect ran before the role restarted and reloaded the engine; once more by hand."""
    look = "docker inspect --format '{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}' survivor"
    before = output(host, look)
    assert before.startswith("true ")
    engine = output(host, "systemctl show docker --property MainPID")
    output(host, "systemctl restart docker")
    assert output(host, "systemctl show docker --property MainPID") != engine
    assert output(host, look) == before


def test_a_published_port_needs_no_process_and_opens_no_loopback(host: Any) -> None:
    """Such a process would end with the engine, and cut the port off until it is back."""
    output(host, "docker run --detach --name published --publish 127.0.0.1:20999:80 davit-test sleep infinity")
    try:
        assert "127.0.0.1:20999" in output(host, "docker port published")
        assert not host.process.filter(comm="docker-proxy")
    finally:
        output(host, "docker rm --force published")
    assert output(host, "systemctl is-enabled davit-loopback") == "enabled"
    rule = "-A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP"
    assert rule in output(host, "iptables -t raw -S PREROUTING").splitlines()


def test_a_container_s_log_is_rotated(host: Any) -> None:
    """About five megabytes of log leave no more than the files that are allowed, each of one megabyte."""
    output(host, "docker run --name chatter davit-test seq 60000 > /dev/null")
    try:
        log = output(host, "docker inspect --format '{{.LogPath}}' chatter")
        sizes = [int(size) for size in output(host, f"stat --format %s {log}*").split()]
    finally:
        output(host, "docker rm --force chatter")
    assert 2 <= len(sizes) <= 3
    assert max(sizes) < 1_200_000


def test_networks_come_from_the_pool(host: Any) -> None:
    output(host, "docker network create pool-test")
    try:
        found = [*subnets(host, "bridge"), *subnets(host, "pool-test")]
    finally:
        output(host, "docker network rm pool-test")
    assert len(found) == 2
    for subnet in found:
        assert subnet.subnet_of(POOL)
        assert not any(subnet.overlaps(other) for other in RESERVED)


def test_the_packages_are_held(host: Any) -> None:
    held = set(output(host, "apt-mark showhold").split())
    assert {"docker.io", "docker-cli", "docker-compose", "docker-buildx"} <= held
    plan = output(host, "apt-get --simulate dist-upgrade")
    assert "Inst docker" not in plan


def test_the_engine_has_no_tcp_port(host: Any) -> None:
    assert "hosts" not in json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert "dockerd" not in output(host, "ss --listening --tcp --processes --numeric --no-header")


def test_nobody_is_in_the_docker_group(host: Any) -> None:
    assert output(host, "getent group docker").endswith(":")


def test_the_mirror_was_taken_without_a_restart(host: Any) -> None:
    """side_effect changed it last, and it is a setting that a reload is enough for."""
    mirrors = json.loads(output(host, "docker info --format '{{json .RegistryConfig.Mirrors}}'"))
    assert mirrors == ["https://mirror.davit.lab/"]
