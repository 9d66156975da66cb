# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which SSH rules of a security group belong to runs of CI, and what it takes to open or to close one. No I/O here.

A rule says in its description whose it is and since when: `davit runner octo/shop/4711 since 2026-11-26T15:30:00Z`.
So a run closes what it has opened without knowing its address any more, and a later one knows what a killed one left.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

PORT = 22
_MARK = "davit runner "
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_RUN = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
"""AWS takes few characters in a description, and 255 of them."""

_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3"),
    )
)
"""What no host on the internet is reached from. The documentation's networks are nobody's, so they do no harm."""


@dataclass(frozen=True)
class Rule:
    """A network that may reach port 22, and what the group says of it."""

    cidr: str
    description: str

    def to_permission(self) -> dict[str, Any]:
        """As AuthorizeSecurityGroupIngress takes it."""
        network = {"CidrIp": self.cidr, "Description": self.description}
        return {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "IpRanges": [network]}

    def __str__(self) -> str:
        return f"{self.cidr} ({self.description or 'no description'})"


@dataclass(frozen=True)
class Plan:
    """The rules to take away, and then the one to add, if any."""

    revoke: tuple[Rule, ...] = ()
    authorize: tuple[Rule, ...] = ()

    def applied(self, rules: Iterable[Rule]) -> list[Rule]:
        """The group's rules afterwards."""
        return [rule for rule in rules if rule not in self.revoke] + list(self.authorize)


def check_run(run: str) -> str:
    """The run's name, if a description can hold it."""
    if not _RUN.fullmatch(run):
        raise DavitError(
            f"'{run}' cannot name a run in a security group's rule: take letters, digits and ._:/@- only,"
            " such as <repository>/<run id>."
        )
    return run


def public_address(text: str, source: str) -> str:
    """The one public IPv4 address that ``source`` has given."""
    said = text.strip()
    try:
        address = ipaddress.IPv4Address(said)
    except ValueError:
        address = None
    if address is None or any(address in network for network in _NOT_PUBLIC):
        raise DavitError(
            f"{source} gave {said[:60]!r}, which is no public IPv4 address, so nothing was opened: set"
            " runner_access_address to the address with which this machine reaches the hosts. A machine in the"
            " hosts' own network belongs into security_group_ssh_cidrs."
        )
    return str(address)


def ssh_rules(permissions: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The IPv4 rules for TCP port 22 alone, of what DescribeSecurityGroups says of a group."""
    return [
        Rule(str(network["CidrIp"]), str(network.get("Description") or ""))
        for one in permissions
        if (one.get("IpProtocol"), one.get("FromPort"), one.get("ToPort")) == ("tcp", PORT, PORT)
        for network in one.get("IpRanges", [])
    ]


def describe(run: str, now: float) -> str:
    """The description of a rule; ``now`` in seconds since 1970."""
    return f"{_MARK}{run} since {datetime.fromtimestamp(now, timezone.utc).strftime(_TIME)}"


def _of_runner(rule: Rule) -> tuple[str, float] | None:
    """Whose a rule is and since when; None for a rule that is no run's, time 0 for one that cannot be read."""
    if not rule.description.startswith(_MARK):
        return None
    run, _, since = rule.description[len(_MARK) :].rpartition(" since ")
    try:
        return run, datetime.strptime(since, _TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return run, 0.0


def _covers(rule: Rule, address: str) -> bool:
    return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(rule.cidr, strict=False)


def plan(rules: Sequence[Rule], run: str, address: str, now: float, max_age: float) -> Plan:
    """Open port 22 for ``address``, or close what ``run`` has opened when it is empty.

    In both cases goes what a run has left: a rule older than ``max_age`` seconds. One from as far in the future comes
    from a clock that was wrong, and would never be old. Rules that are no run's are left alone; one that lets the
    address in is enough. Another run's rule for the same address is taken over: AWS has one rule for each network.
    """
    revoke, covered = [], False
    for rule in rules:
        known = _of_runner(rule)
        if known is None:
            covered = covered or bool(address and _covers(rule, address))
            continue
        owner, since = known
        fresh = abs(now - since) <= max_age
        if fresh and owner == run and rule.cidr == f"{address}/32":
            covered = True
        elif not fresh or owner == run or rule.cidr == f"{address}/32":
            revoke.append(rule)
    wanted = (Rule(f"{address}/32", describe(run, now)),) if address and not covered else ()
    return Plan(tuple(revoke), wanted)
