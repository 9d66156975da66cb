"""Filter that finds what a list of security group rules opens to the world and must not."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: open_to_world
author: The Davit maintainers
short_description: What security group rules open to the world and must not
version_added: 0.1.0
description:
  - Takes inbound rules in the form of M(amazon.aws.ec2_security_group).
  - Gives back a sentence for each port that must not be open to the world and is, by TCP or UDP. It names the port,
    what listens there as a rule, and what to write instead.
  - A rule for every port or every protocol is a finding of its own, which nothing excepts.
  - A network counts as the world when its prefix is shorter than 8 bits (IPv4) or 16 bits (IPv6),
    so that two halves of the world are found as well.
positional: _input, allowed
options:
  _input:
    description: Inbound rules.
    type: list
    elements: dict
    required: true
  allowed:
    description: Ports that are meant to be open to the world.
    type: list
    elements: int
    default: []
"""

EXAMPLES = r"""
- name: Refuse what must not be open to the world
  ansible.builtin.assert:
    that: not (rules | davit.ec2.open_to_world([8000]))
"""

RETURN = r"""
_value:
  description: The findings, by port.
  type: list
  elements: str
  sample:
    - "Port 6379 (Redis) would be open to the world by 0.0.0.0/0."
"""

_FOR_FEW = "or name the networks that need it in security_group_extra_rules"
_IN_A_TUNNEL = f"use it through SSH (ssh -L), {_FOR_FEW}"
_INSIDE = f"let the app reach it inside of its own Compose file, {_FOR_FEW}"

CLOSED: dict[int, tuple[str, str]] = {
    22: ("SSH", 'name the networks that need it in security_group_ssh_cidrs, for example ["203.0.113.7/32"]'),
    23: ("Telnet", "use SSH"),
    445: ("SMB", _IN_A_TUNNEL),
    1433: ("SQL Server", _INSIDE),
    1521: ("Oracle", _INSIDE),
    2049: ("NFS", _INSIDE),
    2181: ("ZooKeeper", _INSIDE),
    2375: ("the Docker engine, whose users are root", "use DOCKER_HOST=ssh://..."),
    2376: ("the Docker engine, whose users are root", "use DOCKER_HOST=ssh://..."),
    2379: ("etcd", _INSIDE),
    3000: ("Grafana", "set monitoring_password, and the edge serves it"),
    3306: ("MySQL", _INSIDE),
    3389: ("remote desktop", _IN_A_TUNNEL),
    5432: ("PostgreSQL", _INSIDE),
    5672: ("RabbitMQ", _INSIDE),
    5900: ("VNC", _IN_A_TUNNEL),
    5984: ("CouchDB", _INSIDE),
    6333: ("Qdrant", _INSIDE),
    6379: ("Redis", _INSIDE),
    8000: ("a service without the edge", "let the edge serve it on 80 and 443 (compose_release_routes)"),
    8265: ("Ray, whose users run code", _IN_A_TUNNEL),
    8888: ("Jupyter, whose users run code", _IN_A_TUNNEL),
    9042: ("Cassandra", _INSIDE),
    9090: ("Prometheus", "set monitoring_password, and the edge serves it"),
    9092: ("Kafka", _INSIDE),
    9093: ("Alertmanager", "set monitoring_password, and the edge serves it"),
    9100: ("node_exporter", "leave it to the host's own Prometheus"),
    9115: ("blackbox_exporter", "leave it to the host's own Prometheus"),
    9200: ("Elasticsearch", _INSIDE),
    9300: ("Elasticsearch", _INSIDE),
    11211: ("memcached", _INSIDE),
    11434: ("Ollama", _INSIDE),
    15672: ("RabbitMQ's console", _IN_A_TUNNEL),
    19530: ("Milvus", _INSIDE),
    27017: ("MongoDB", _INSIDE),
}
"""Ports that must not be open to the world: what listens there as a rule, and what to do instead."""

_NARROWEST_WORLD = {4: 8, 6: 16}
_EVERY_PROTOCOL = {"all", "-1"}
_WITH_PORTS = {"tcp", "6", "udp", "17"}
_ALL_PORTS = (0, 65535)


def _as_list(value: Any) -> list[Any]:
    """Give back a list of one for a scalar, as the module's own list parameters do."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _port_range(first: Any, last: Any) -> tuple[int, int]:
    """Inclusive bounds; -1 and None mean what they mean to AWS. Raises AnsibleFilterError for what is no port."""
    try:
        low = -1 if first is None else int(first)
        high = low if last is None else int(last)
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(
            f"'{first}' in the security group's rules is not a port: write a number such as 8443, or a range such"
            " as 8000-8100"
        ) from error
    return _ALL_PORTS if low == -1 or (low <= 1 and high >= _ALL_PORTS[1]) else (low, high)


def port_ranges(rule: dict[str, Any]) -> list[tuple[int, int]]:
    """The inclusive TCP or UDP port ranges of one rule; one without ports, or for every protocol, covers them all."""
    protocol = str(rule.get("proto", "tcp")).lower()
    if protocol in _EVERY_PROTOCOL:
        return [_ALL_PORTS]
    if protocol not in _WITH_PORTS:
        return []
    if rule.get("ports") is not None:
        bounds = [str(entry).partition("-") for entry in _as_list(rule["ports"])]
        return [_port_range(low, high or None) for low, _dash, high in bounds]
    return [_port_range(rule.get("from_port"), rule.get("to_port"))]


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


def _world_of(rule: dict[str, Any]) -> list[str]:
    """The networks of a rule that are as wide as the world."""
    networks = [str(cidr) for key in ("cidr_ip", "cidr_ipv6") for cidr in _as_list(rule.get(key))]
    return [cidr for cidr in networks if is_world(cidr)]


def _findings(rules: Iterable[dict[str, Any]], allowed: frozenset[int]) -> Iterator[str]:
    opened: dict[int, dict[str, None]] = {}
    for rule in rules:
        networks, ranges = dict.fromkeys(_world_of(rule)), port_ranges(rule)
        if networks and _ALL_PORTS in ranges:
            yield (
                f"Every port would be open to the world by {', '.join(networks)} (proto {rule.get('proto', 'tcp')})."
                " Name the ports that are meant, in security_group_public_ports."
            )
            continue
        for port in CLOSED:
            if networks and port not in allowed and any(low <= port <= high for low, high in ranges):
                opened.setdefault(port, {}).update(networks)
    for port, networks in sorted(opened.items()):
        what, instead = CLOSED[port]
        yield (
            f"Port {port} ({what}) would be open to the world by {', '.join(networks)}. Instead, {instead};"
            " or name the port in security_group_world_ports_allowed if that is really meant."
        )


def open_to_world(rules: list[dict[str, Any]], allowed: Iterable[int] = ()) -> list[str]:
    """Give back what the rules open to the world and must not, ``allowed`` ports left out."""
    return list(_findings(rules, frozenset(int(port) for port in allowed)))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters of this file."""
        return {"open_to_world": open_to_world}
