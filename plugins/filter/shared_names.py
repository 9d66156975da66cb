# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter shared_names: host names that more than one host serves, for which a preflight refuses to order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: shared_names
short_description: Name the host names that a host serves beside others
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Compares C(hosts) in C(compose_release_routes) of a host with those of other hosts.
positional: _input, hosts, host
options:
  _input:
    description: The variables of each host, which is C(hostvars).
    type: dict
    required: true
  hosts:
    description: The hosts to look at.
    type: list
    elements: str
    required: true
  host:
    description: The host whose names count.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse to order what another host would answer for
  ansible.builtin.assert:
    that: (hostvars | davit.ec2.shared_names(ansible_play_hosts_all, inventory_hostname)) == []
"""

RETURN = r"""
_value:
  description: Each name with the hosts that serve it; empty when all is well.
  type: list
  elements: str
  sample: ["shop.example.org (web1, web2)"]
"""


def _names(variables: Mapping[str, Any]) -> set[str]:
    routes = variables.get("compose_release_routes") or []
    return {str(name).lower() for route in routes for name in route.get("hosts") or []}


def shared_names(hostvars: Mapping[str, Any], hosts: Iterable[str], host: str) -> list[str]:
    """Each name of ``host`` that another one of ``hosts`` serves too, with all who do."""
    served = {other: _names(hostvars[other]) for other in sorted({*hosts, host})}
    owners = {name: [other for other, names in served.items() if name in names] for name in sorted(served[host])}
    return [f"{name} ({', '.join(found)})" for name, found in owners.items() if len(found) > 1]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"shared_names": shared_names}
