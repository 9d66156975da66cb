"""How hosts follow their instances: what is opened, what is started, and what happens when something fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import APIError

from lab.bridge.containers import Containers, Settings, fixture_addresses
from lab.bridge.model import Host, Route, Rule, State, conflicts, routes
from lab.bridge.reconcile import STOP_SECONDS, FrontProcess, Keeper

WORLD = Rule(443, 443, "0.0.0.0/0")


def host(**changes: Any) -> Host:
    """A running instance, but for the changes."""
    values: dict[str, Any] = {
        "instance_id": "i-1",
        "state": State.RUNNING,
        "private_ip": "10.42.1.10",
        "vpc_cidr": "10.42.0.0/16",
        "public_ip": "198.19.1.1",
        "boots": 0,
        "public_key": "ssh-ed25519 AAAA",
        "rules": (WORLD,),
    }
    return Host(**{**values, **changes})


@pytest.mark.parametrize(
    ("rule", "port", "peer", "allowed"),
    [
        (Rule(22, 22, "203.0.113.10/32"), 22, "203.0.113.10", True),
        (Rule(22, 22, "203.0.113.10/32"), 22, "203.0.113.11", False),
        (Rule(22, 22, "0.0.0.0/0"), 23, "203.0.113.10", False),
        (Rule(0, 65535, "0.0.0.0/0"), 8123, "203.0.113.10", True),
        (Rule(8000, 8010, "203.0.113.0/24"), 8010, "203.0.113.10", True),
        (Rule(8000, 8010, "203.0.113.0/24"), 8011, "203.0.113.10", False),
    ],
)
def test_a_rule_lets_in_what_it_says(rule: Rule, port: int, peer: str, allowed: bool) -> None:
    assert rule.allows(port, peer) is allowed


def test_a_wide_rule_is_answered_on_the_usual_ports_only() -> None:
    assert Rule(8000, 8010, "0.0.0.0/0").ports() == frozenset(range(8000, 8011))
    assert Rule(0, 65535, "0.0.0.0/0").ports() >= {22, 80, 443}
    assert len(Rule(0, 65535, "0.0.0.0/0").ports()) < 20


def test_only_running_hosts_with_a_public_address_have_a_route() -> None:
    hosts = [host(), host(instance_id="i-2", state=State.STOPPED), host(instance_id="i-3", public_ip=None)]
    assert routes(hosts) == [Route("198.19.1.1", "10.42.1.10", (WORLD,))]


def test_a_route_survives_the_way_to_the_front() -> None:
    route = Route("198.19.1.1", "10.42.1.10", (WORLD, Rule(22, 22, "203.0.113.10/32")))
    assert Route.from_json(route.as_json()) == route


def test_the_second_of_two_equal_addresses_is_the_one_that_cannot_be() -> None:
    hosts = [
        host(instance_id="i-0", state=State.GONE),
        host(instance_id="i-1"),
        host(instance_id="i-2"),
        host(instance_id="i-3", vpc_cidr="10.43.0.0/16", private_ip="10.43.1.10"),
    ]
    assert conflicts(hosts) == {"i-2": "i-1"}


def test_registries_take_the_addresses_that_aws_keeps_for_itself() -> None:
    assert fixture_addresses("10.42.0.0/16", ["ghcr.io", "mirror"]) == {"ghcr.io": "10.42.0.2", "mirror": "10.42.0.3"}


class Machines:
    """Containers in memory, with a record of what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.now: tuple[bool, int] | None = None
        self.broken = ""

    def state(self, instance_id: str) -> tuple[bool, int] | None:
        del instance_id
        return self.now

    def create(self, host: Host) -> None:
        if self.broken:
            raise APIError("broken", explanation=self.broken)
        self.done.append(f"create {host.private_ip}")
        self.now = (False, 0)

    def start(self, instance_id: str) -> None:
        if self.broken:
            raise APIError("broken", explanation=self.broken)
        self.done.append(f"start {instance_id}")
        self.now = (True, 0)

    def stop(self, instance_id: str) -> None:
        self.done.append(f"stop {instance_id}")
        self.now = (False, 130)

    def remove(self, instance_id: str) -> None:
        self.done.append(f"remove {instance_id}")
        self.now = None

    def remove_networks(self, but: set[str]) -> None:
        self.done.append(f"keep networks {sorted(but)}")


class Cloud:
    """What a keeper tells the fake AWS."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hosts(self) -> list[Host]:
        return []

    def vpc_ranges(self) -> set[str]:
        return {"10.42.0.0/16"}

    def shut_down(self, instance_id: str) -> None:
        self.told.append(f"{instance_id} shut down")

    def fail_launch(self, instance_id: str, reason: str) -> None:
        self.told.append(f"{instance_id} failed: {reason}")

    def fail_start(self, instance_id: str, reason: str) -> None:
        self.told.append(f"{instance_id} stays stopped: {reason}")


class Kept:
    """A keeper and its surroundings; ``settle`` waits until it has done what was asked."""

    def __init__(self) -> None:
        self.machines, self.cloud = Machines(), Cloud()
        self.changed = threading.Event()
        self.keeper = Keeper(self.machines, self.cloud, host(), self.changed.set)  # type: ignore[arg-type]

    def settle(self, *expected: str) -> None:
        """Wait until just this was done since the last time."""
        for _ in range(200):
            if len(self.machines.done) >= len(expected):
                break
            self.changed.wait(0.02)
        assert self.machines.done == list(expected)
        self.machines.done.clear()


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A running instance whose host was made."""
    kept = Kept()
    kept.keeper.start()
    kept.settle("create 10.42.1.10", "start i-1")
    yield kept
    kept.keeper.want(host(state=State.GONE))
    kept.keeper.join(5)
    assert not kept.keeper.is_alive()


def test_a_host_stops_and_starts_with_its_instance(kept: Kept) -> None:
    kept.keeper.want(host(state=State.STOPPED))
    kept.settle("stop i-1")
    kept.keeper.want(host())
    kept.settle("start i-1")
    assert kept.cloud.told == []


def test_a_reboot_keeps_the_container(kept: Kept) -> None:
    kept.keeper.want(host(boots=1))
    kept.settle("stop i-1", "start i-1")


def test_another_address_or_rule_leaves_the_host_alone(kept: Kept) -> None:
    kept.keeper.want(host(public_ip="198.19.9.9", rules=()))
    kept.keeper.want(host(public_ip="198.19.9.9", rules=(), boots=1))
    kept.settle("stop i-1", "start i-1")


def test_a_host_that_reboots_itself_comes_back(kept: Kept) -> None:
    kept.machines.now = (False, 129)
    kept.keeper.look()
    kept.settle("start i-1")
    assert kept.cloud.told == []


def test_a_host_that_powers_off_stops_its_instance(kept: Kept) -> None:
    kept.machines.now = (False, 130)
    kept.keeper.look()
    assert kept.changed.wait(5)
    assert kept.cloud.told == ["i-1 shut down"]
    assert kept.machines.done == []


def test_termination_removes_the_host(kept: Kept) -> None:
    kept.keeper.want(host(state=State.GONE))
    kept.settle("remove i-1", "keep networks ['10.42.0.0/16']")


def test_a_host_that_cannot_be_made_terminates_its_instance_and_says_why() -> None:
    kept = Kept()
    kept.machines.broken = "Pool overlaps with other one on this address space"
    kept.keeper.start()
    assert kept.changed.wait(5)
    assert kept.cloud.told == ["i-1 failed: Pool overlaps with other one on this address space"]
    kept.keeper.want(host(state=State.GONE))
    kept.keeper.join(5)


def test_a_host_that_does_not_start_again_keeps_its_disk(kept: Kept) -> None:
    kept.keeper.want(host(state=State.STOPPED))
    kept.settle("stop i-1")
    kept.machines.broken = "the engine did not answer"
    kept.keeper.want(host())
    assert kept.changed.wait(5)
    assert kept.cloud.told == ["i-1 stays stopped: the engine did not answer"]
    kept.machines.broken = ""
    kept.changed.clear()
    kept.keeper.want(host(state=State.STOPPED))
    kept.keeper.want(host())
    kept.settle("start i-1")


class Engine:
    """The Docker client, as far as making a container goes."""

    api_version = "1.41"

    def __init__(self, cgroups: str, lacks: tuple[str, ...] = ()) -> None:
        self.lacks = lacks
        self.api = self.networks = self.containers = self
        self.name = "network"
        self.attrs: dict[str, Any] = {"Containers": {"fixture": {}}}
        self.id = "fixture"
        self._cgroups = cgroups
        self.created: dict[str, Any] = {}

    def info(self) -> dict[str, str]:
        return {"CgroupVersion": self._cgroups}

    def get(self, name: str) -> Engine:
        del name
        return self

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return {**settings, "CapDrop": settings.pop("cap_drop")}

    def create_networking_config(self, endpoints: dict[str, Any]) -> dict[str, Any]:
        return endpoints

    def create_container(self, **settings: Any) -> None:
        for name in settings["host_config"]["CapDrop"]:
            if name in self.lacks:
                reason = f'invalid CapDrop: capability not supported by your kernel: "CAP_{name}"'
                raise APIError("refused", explanation=reason)
        self.created = settings

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def test_a_host_gets_neither_the_clock_nor_the_modules_nor_the_limits_of_the_machine() -> None:
    engine = Engine("2")
    Containers(Settings(), engine).create(host())
    settings = engine.created["host_config"]
    assert set(settings["CapDrop"]) == {"SYS_RESOURCE", "SYS_TIME", "SYS_MODULE"}
    assert "privileged" not in settings
    assert settings["extra_hosts"] == {"ghcr.io": "10.42.0.2", "mirror.davit.lab": "10.42.0.3"}
    assert next(iter(engine.created["networking_config"].values()))["IPAMConfig"]["IPv4Address"] == "10.42.1.10"


def test_what_the_machine_lacks_itself_is_not_dropped_where_the_engine_refuses_that() -> None:
    engine = Engine("2", lacks=("SYS_RESOURCE",))
    Containers(Settings(), engine).create(host())
    assert set(engine.created["host_config"]["CapDrop"]) == {"SYS_TIME", "SYS_MODULE"}


@pytest.mark.parametrize(("cgroups", "words"), [("1", 3), ("2", 1)])
def test_systemd_is_told_of_legacy_cgroups_only_where_they_are(cgroups: str, words: int) -> None:
    engine = Engine(cgroups)
    Containers(Settings(), engine).create(host())
    assert len(engine.created["command"]) == words


def test_the_front_takes_a_table_and_ends_when_told() -> None:
    front = FrontProcess("203.0.113.10")
    front.apply([])
    front.apply([Route("127.99.0.9", "127.99.1.9", (Rule(8765, 8765, "0.0.0.0/0"),))])
    with socket.create_connection(("127.99.0.9", 8765), 5):
        pass
    before = time.monotonic()
    front.stop()
    assert time.monotonic() - before < STOP_SECONDS
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.99.0.9", 8765), 5)
