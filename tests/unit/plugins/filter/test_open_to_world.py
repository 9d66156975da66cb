"""Which security group rules count as a port open to the world."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter.open_to_world import FilterModule, open_to_world

WORLD = "0.0.0.0/0"


@pytest.mark.parametrize(
    "rule",
    [
        {"proto": "tcp", "ports": [22], "cidr_ip": WORLD},
        {"ports": "22", "cidr_ip": [WORLD]},
        {"proto": "tcp", "ports": [80, "20-30"], "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": 0, "to_port": 65535, "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": 22, "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": -1, "to_port": -1, "cidr_ip": WORLD},
        {"proto": "6", "ports": [22], "cidr_ip": WORLD},
        {"proto": "tcp", "cidr_ip": WORLD},
        {"proto": "all", "cidr_ip": WORLD},
        {"proto": -1, "cidr_ip": WORLD},
    ],
    ids=str,
)
def test_a_rule_that_covers_the_port_is_found(rule: dict[str, Any]) -> None:
    assert open_to_world([rule], 22) == [WORLD]


@pytest.mark.parametrize(
    "rule",
    [
        {"proto": "tcp", "ports": [80, 443, 2222], "cidr_ip": WORLD, "cidr_ipv6": "::/0"},
        {"proto": "tcp", "from_port": 23, "to_port": 65535, "cidr_ip": WORLD},
        {"proto": "udp", "ports": [22], "cidr_ip": WORLD},
        {"proto": "icmp", "icmp_type": -1, "cidr_ip": WORLD},
        {"proto": "tcp", "ports": [22], "cidr_ip": ["203.0.113.7/32", "10.0.0.0/8"], "cidr_ipv6": "2001:db8::/32"},
        {"proto": "tcp", "ports": [22], "group_name": "bastion"},
    ],
    ids=str,
)
def test_a_rule_for_another_port_or_few_is_not_found(rule: dict[str, Any]) -> None:
    assert open_to_world([rule], 22) == []


@pytest.mark.parametrize("cidr", ["0.0.0.0/1", "128.0.0.0/1", "1.2.3.4/0", "::/0", "2000::/3", "8000::/1"])
def test_parts_of_the_world_count_as_the_world(cidr: str) -> None:
    assert open_to_world([{"ports": [22], "cidr_ip" if "." in cidr else "cidr_ipv6": cidr}], 22) == [cidr]


def test_the_offending_networks_are_named_in_order() -> None:
    rules = [{"ports": [22], "cidr_ip": ["203.0.113.7/32", WORLD]}, {"proto": "all", "cidr_ipv6": "::/0"}]
    assert FilterModule().filters()["open_to_world"](rules, 22) == [WORLD, "::/0"]


def test_what_is_no_network_is_refused_with_an_example() -> None:
    with pytest.raises(AnsibleFilterError, match=r"'my office'.*203\.0\.113\.7/32"):
        open_to_world([{"ports": [22], "cidr_ip": "my office"}], 22)
