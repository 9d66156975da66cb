"""The bridge's plain values: a host as the fake AWS wants it, and what its security groups let in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

BAKED_AMI = "ami-0da71700000024042"
"""Of lab/aws/amis.json: its hosts have an engine in them."""
IMAGES = {BAKED_AMI: "davit-lab/baked:trixie"}
"""What a host is made of, by its AMI, where that is not the usual one."""
USUAL_PORTS = frozenset({22, 80, 443, 8000, 8080, 9090, 9100, 3000})
"""Where a rule opens more ports than WIDE, the front answers on those of them that anyone would try."""
WIDE = 256


class State(Enum):
    """What an instance's host should be."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True)
class Rule:
    """An ingress rule for TCP from an address range. ``first`` and ``last`` include both ends."""

    first: int
    last: int
    cidr: str

    def allows(self, port: int, peer: str) -> bool:
        """Whether a connection from ``peer`` to ``port`` matches."""
        return self.first <= port <= self.last and ipaddress.ip_address(peer) in ipaddress.ip_network(
            self.cidr, strict=False
        )

    def ports(self) -> frozenset[int]:
        """The ports to answer on."""
        if self.last - self.first < WIDE:
            return frozenset(range(self.first, self.last + 1))
        return frozenset(port for port in USUAL_PORTS if self.first <= port <= self.last)


@dataclass(frozen=True)
class Host:
    """An instance as AWS describes it, reduced to what its host needs."""

    instance_id: str
    state: State
    private_ip: str
    vpc_cidr: str
    public_ip: str | None
    boots: int
    public_key: str
    rules: tuple[Rule, ...]
    image: str = ""
    """That of its AMI; the usual one when empty."""


@dataclass(frozen=True)
class Route:
    """A public address, the host behind it, and who may come in."""

    public_ip: str
    private_ip: str
    rules: tuple[Rule, ...]

    def allows(self, port: int, peer: str) -> bool:
        """Whether any rule lets ``peer`` in."""
        return any(rule.allows(port, peer) for rule in self.rules)

    def listens(self, peer: str) -> frozenset[int]:
        """The ports on which ``peer`` finds an answer."""
        return frozenset(port for rule in self.rules for port in rule.ports() if rule.allows(port, peer))

    def as_json(self) -> dict[str, Any]:
        """For the front process."""
        rules = [[rule.first, rule.last, rule.cidr] for rule in self.rules]
        return {"public_ip": self.public_ip, "private_ip": self.private_ip, "rules": rules}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Route:
        """The inverse of ``as_json``."""
        rules = tuple(Rule(int(first), int(last), str(cidr)) for first, last, cidr in value["rules"])
        return cls(value["public_ip"], value["private_ip"], rules)


def conflicts(hosts: Iterable[Host]) -> dict[str, str]:
    """Hosts that cannot be, by id: another instance has their private address, in a VPC of the same range.

    AWS keeps such VPCs apart; the lab has one network per address range. The one that was there first stays.
    """
    owners: dict[tuple[str, str], str] = {}
    return {
        host.instance_id: owner
        for host in hosts
        if host.state is not State.GONE
        and (owner := owners.setdefault((host.vpc_cidr, host.private_ip), host.instance_id)) != host.instance_id
    }


def routes(hosts: Iterable[Host]) -> list[Route]:
    """The public addresses that answer: those of running hosts."""
    return [
        Route(host.public_ip, host.private_ip, host.rules)
        for host in hosts
        if host.state is State.RUNNING and host.public_ip
    ]
