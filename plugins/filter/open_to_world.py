"""Filter that finds the networks which a list of security group rules opens a port to the world with."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: open_to_world
author: The Davit maintainers
short_description: Networks as wide as the world that may reach a port
version_added: 0.1.0
description:
  - Takes inbound rules in the form of M(amazon.aws.ec2_security_group) and a TCP port.
  - Gives back the networks that may reach this port and are as wide as the world.
  - A network counts as the world when its prefix is shorter than 8 bits (IPv4) or 16 bits (IPv6),
    so that two halves of the world are found as well.
options:
  _input:
    description: Inbound rules.
    type: list
    elements: dict
    required: true
  port:
    description: The TCP port in question.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Refuse SSH from the world
  ansible.builtin.assert:
    that: not (rules | davit.ec2.open_to_world(22))
"""

RETURN = r"""
_value:
  description: The offending networks, in the order of the rules.
  type: list
  elements: str
  sample: ["0.0.0.0/0"]
"""

_NARROWEST_WORLD = {4: 8, 6: 16}
_EVERY_PROTOCOL = {"all", "-1"}
_TCP = {"tcp", "6"}


def _as_list(value: Any) -> list[Any]:
    """Give back a list of one for a scalar, as the module's own list parameters do."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _port_ranges(rule: dict[str, Any]) -> list[tuple[int, int]]:
    """Give back the inclusive port ranges of one TCP rule; a rule without ports covers them all."""
    if rule.get("ports") is not None:
        bounds = [str(entry).partition("-") for entry in _as_list(rule["ports"])]
        return [(int(low), int(high or low)) for low, _dash, high in bounds]
    low, high = rule.get("from_port"), rule.get("to_port")
    if low is None and high is None:
        return [(0, 65535)]
    low = 0 if low is None else int(low)
    return [(low, low if high is None else int(high))]


def covers(rule: dict[str, Any], port: int) -> bool:
    """Tell whether the rule lets TCP traffic to this port in; port -1 in a rule means any."""
    protocol = str(rule.get("proto", "tcp")).lower()
    if protocol in _EVERY_PROTOCOL:
        return True
    if protocol not in _TCP:
        return False
    return any(low == -1 or low <= port <= high for low, high in _port_ranges(rule))


def is_world(cidr: str) -> bool:
    """Tell whether a network is so wide that it means anybody."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise AnsibleFilterError(
            f"'{cidr}' in the security group's rules is not a network: write an address with its prefix,"
            " for example 203.0.113.7/32"
        ) from error
    return network.prefixlen < _NARROWEST_WORLD[network.version]


def open_to_world(rules: list[dict[str, Any]], port: int) -> list[str]:
    """Give back the networks as wide as the world that may reach the port."""
    networks = [
        str(cidr)
        for rule in rules
        if covers(rule, port)
        for cidr in _as_list(rule.get("cidr_ip")) + _as_list(rule.get("cidr_ipv6"))
    ]
    return [cidr for cidr in networks if is_world(cidr)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters of this file."""
        return {"open_to_world": open_to_world}
