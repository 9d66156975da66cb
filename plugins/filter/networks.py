# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Filters over IP networks, so that preflight can compare address pools before a host is touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: network_overlaps
short_description: Name the networks that meet one another
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Compares two lists of networks and says which of the first meet which of the second.
positional: reserved
options:
  _input:
    description: Networks in CIDR notation.
    type: list
    elements: str
    required: true
  reserved:
    description: Networks in CIDR notation that the input must stay clear of.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse an address pool that meets the VPC
  ansible.builtin.assert:
    that: (['10.42.0.0/20'] | davit.ec2.network_overlaps(['10.42.0.0/16'])) == []
"""

RETURN = r"""
_value:
  description: One sentence for each pair that meets; empty when all is well.
  type: list
  elements: str
  sample: ["10.42.0.0/20 meets 10.42.0.0/16"]
"""


def _network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError as error:
        raise AnsibleFilterError(
            f"'{text}' is not a network in CIDR notation such as 10.201.0.0/16: {error}"
        ) from error


def network_overlaps(networks: Iterable[str], reserved: Iterable[str]) -> list[str]:
    """Each pair of the two lists that shares an address, as 'A meets B', in the order given."""
    kept_clear = [_network(text) for text in reserved]
    return [
        f"{network} meets {other}"
        for network in map(_network, networks)
        for other in kept_clear
        if network.version == other.version and network.overlaps(other)
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"network_overlaps": network_overlaps}
