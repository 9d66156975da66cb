"""What the role promises of an engine, asked of the engine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

POOLS = {"default": "10.201.0.0/16", "alternative": "10.209.0.0/20"}
RESERVED = [ipaddress.IPv4Network("10.42.0.0/16"), ipaddress.IPv4Network("172.17.0.0/16")]
PACKAGES = {"docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd", "runc"}


def subnets(machine: Machine, network: str) -> list[ipaddress.IPv4Network]:
    """The IPv4 subnets of a Docker network."""
    config = machine.json(f"docker network inspect {network} --format '{{{{json .IPAM.Config}}}}'")
    return [ipaddress.IPv4Network(entry["Subnet"]) for entry in config]


def test_the_engine_answers_and_starts_at_boot(either: Machine) -> None:
    service = either.host.service("docker")
    assert service.is_running
    assert service.is_enabled
    assert either.output("docker version --format '{{.Server.Version}}'")


def test_compose_is_version_two(either: Machine) -> None:
    version = either.output("docker compose version --short")
    assert int(version.lstrip("v").split(".")[0]) >= 2


def test_buildx_is_there(either: Machine) -> None:
    assert "buildx" in either.output("docker buildx version")


def test_a_container_runs(either: Machine) -> None:
    assert either.output("docker run --rm davit-test seq 3").split() == ["1", "2", "3"]


def test_a_container_outlives_a_restart_of_the_engine(default: Machine) -> None:
    """The container of side_effect ran before the role restarted and reloaded the engine; once more by hand."""
    look = "docker inspect --format '{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}' survivor"
    before = default.output(look)
    assert before.startswith("true ")
    engine = default.output("systemctl show docker --property MainPID")
    default.output("systemctl restart docker")
    assert default.output("systemctl show docker --property MainPID") != engine
    assert default.output(look) == before


def test_a_published_port_needs_no_process_and_opens_no_loopback(default: Machine) -> None:
    """Such a process would end with the engine, and cut the port off until it is back."""
    default.output("docker run --detach --name published --publish 127.0.0.1:20999:80 davit-test sleep infinity")
    try:
        assert "127.0.0.1:20999" in default.output("docker port published")
        assert not default.host.process.filter(comm="docker-proxy")
    finally:
        default.output("docker rm --force published")
    assert default.output("systemctl is-enabled davit-loopback") == "enabled"
    rule = "-A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP"
    assert rule in default.output("iptables -t raw -S PREROUTING").splitlines()


def test_the_proxy_can_be_had(alternative: Machine) -> None:
    alternative.output("docker run --detach --name published --publish 127.0.0.1:20999:80 davit-test sleep infinity")
    try:
        assert alternative.host.process.filter(comm="docker-proxy")
    finally:
        alternative.output("docker rm --force published")


def test_a_container_s_log_is_rotated(alternative: Machine) -> None:
    """About five megabytes of log leave no more than the files that are allowed, each of one megabyte."""
    alternative.output("docker run --name chatter davit-test seq 60000 > /dev/null")
    try:
        log = alternative.output("docker inspect --format '{{.LogPath}}' chatter")
        sizes = [int(size) for size in alternative.output(f"stat --format %s {log}*").split()]
    finally:
        alternative.output("docker rm --force chatter")
    assert len(sizes) == 2
    assert max(sizes) < 1_200_000


@pytest.mark.parametrize("kind", POOLS)
def test_networks_come_from_the_pool(request: pytest.FixtureRequest, kind: str) -> None:
    machine: Machine = request.getfixturevalue(kind)
    machine.output("docker network create pool-test")
    try:
        found = [*subnets(machine, "bridge"), *subnets(machine, "pool-test")]
    finally:
        machine.output("docker network rm pool-test")
    assert len(found) == 2
    for subnet in found:
        assert subnet.subnet_of(ipaddress.IPv4Network(POOLS[kind]))
        assert not any(subnet.overlaps(other) for other in RESERVED)


@pytest.mark.parametrize(
    ("package", "unit", "program"),
    [("docker.io", "docker", "/usr/sbin/dockerd"), ("containerd", "containerd", "/usr/bin/containerd")],
)
def test_an_upgrade_runs_what_is_newer(default: Machine, package: str, unit: str, program: str) -> None:
    """side_effect offered it; its container of before is looked at there."""
    assert default.output(f"dpkg-query -W -f '${{Version}}' {package}").endswith("+davit1")
    process = default.output(f"systemctl show {unit} --value --property MainPID")
    assert default.output(f"readlink /proc/{process}/exe") == program, "the old program still runs"


def test_an_upgrade_holds_the_lock_of_every_app(default: Machine) -> None:
    held = default.json("cat /run/molecule-lock.json")
    assert (held["reason"], held["action"]) == ("upgrade of the engine", "maintenance")


def test_no_program_in_a_container_gains_privileges_unless_it_says_so(default: Machine) -> None:
    look = "docker run --rm {} davit-test sh -c 'while read -r line; do echo \"$line\"; done < /proc/self/status'"
    assert "NoNewPrivs:\t1" in default.output(look.format(""))
    assert "NoNewPrivs:\t0" in default.output(look.format("--security-opt no-new-privileges=false"))


def test_the_packages_are_held(default: Machine) -> None:
    assert set(default.output("apt-mark showhold").split()) >= PACKAGES
    assert "Inst docker" not in default.output("apt-get --simulate dist-upgrade")


def test_nothing_is_held_that_shall_not_be(alternative: Machine) -> None:
    assert alternative.output("apt-mark showhold") == ""


def test_the_engine_has_no_tcp_port(either: Machine) -> None:
    assert "hosts" not in either.json("cat /etc/docker/daemon.json")
    assert "dockerd" not in either.output("ss --listening --tcp --processes --numeric --no-header")


def test_only_named_users_are_in_the_docker_group(default: Machine, alternative: Machine) -> None:
    assert default.output("getent group docker").endswith(":")
    assert alternative.output("getent group docker").endswith(":games")
    assert alternative.output("runuser --user games -- docker version --format '{{.Server.Version}}'")
    assert default.host.run("runuser --user games -- docker version").rc != 0


def test_the_mirror_was_taken_without_a_restart(default: Machine) -> None:
    """side_effect changed it last, and it is a setting that a reload is enough for."""
    mirrors = default.json("docker info --format '{{json .RegistryConfig.Mirrors}}'")
    assert mirrors == ["https://mirror.davit.lab/"]


def test_the_running_engine_has_what_was_changed(alternative: Machine) -> None:
    info = alternative.json("docker info --format json")
    assert (info["LiveRestoreEnabled"], info["Debug"], info["Labels"]) == (False, True, ["davit.test=true"])
    assert "name=no-new-privileges" in info["SecurityOptions"]
