"""What security group rules open to the world and must not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter.open_to_world import CLOSED, FilterModule, open_to_world

WORLD = "0.0.0.0/0"


@pytest.mark.parametrize(
    "rule",
    [
        {"proto": "tcp", "ports": [22], "cidr_ip": WORLD},
        {"ports": "22", "cidr_ip": [WORLD]},
        {"proto": "tcp", "ports": [80, "20-22"], "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": 20, "to_port": 22, "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": 22, "cidr_ip": WORLD},
        {"proto": "6", "ports": [22], "cidr_ip": WORLD},
        {"proto": "udp", "ports": [22], "cidr_ip": WORLD},
        {"proto": 17, "ports": [22], "cidr_ip": WORLD},
        {"proto": "TCP", "ports": [22], "cidr_ip": WORLD, "group_id": "sg-1"},
    ],
    ids=str,
)
def test_a_rule_that_covers_the_port_is_found(rule: dict[str, Any]) -> None:
    (finding,) = open_to_world([rule])
    assert finding.startswith(f"Port 22 (SSH) would be open to the world by {WORLD}. Instead, ")


@pytest.mark.parametrize(
    "rule",
    [
        {"proto": "tcp", "ports": [80, 443, 2222], "cidr_ip": WORLD, "cidr_ipv6": "::/0"},
        {"proto": "tcp", "from_port": 24, "to_port": 444, "cidr_ip": WORLD},
        {"proto": "icmp", "icmp_type": -1, "cidr_ip": WORLD},
        {"proto": "icmpv6", "cidr_ipv6": "::/0"},
        {"proto": "tcp", "ports": [22], "cidr_ip": ["203.0.113.7/32", "10.0.0.0/8"], "cidr_ipv6": "2001:db8::/32"},
        {"proto": "all", "cidr_ip": "10.0.0.0/8"},
        {"proto": "tcp", "ports": [22], "group_name": "bastion"},
    ],
    ids=str,
)
def test_a_rule_for_another_port_or_few_is_not_found(rule: dict[str, Any]) -> None:
    assert open_to_world([rule]) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"proto": "all", "cidr_ip": WORLD},
        {"proto": -1, "cidr_ip": WORLD},
        {"proto": "tcp", "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": 0, "to_port": 65535, "cidr_ip": WORLD},
        {"proto": "tcp", "from_port": -1, "to_port": -1, "cidr_ip": WORLD},
        {"proto": "udp", "ports": ["1-65535"], "cidr_ip": WORLD},
    ],
    ids=str,
)
def test_a_rule_for_every_port_is_found_whatever_is_allowed(rule: dict[str, Any]) -> None:
    (finding,) = open_to_world([rule], CLOSED)
    assert finding.startswith(f"Every port would be open to the world by {WORLD} (proto ")
    assert "security_group_public_ports" in finding


@pytest.mark.parametrize("cidr", ["0.0.0.0/1", "128.0.0.0/1", "1.2.3.4/0", "::/0", "2000::/3", "8000::/1"])
def test_parts_of_the_world_count_as_the_world(cidr: str) -> None:
    (finding,) = open_to_world([{"ports": [22], "cidr_ip" if "." in cidr else "cidr_ipv6": cidr}])
    assert f"by {cidr}." in finding


def test_each_port_is_told_once_with_its_networks_in_the_order_of_the_rules() -> None:
    rules = [
        {"ports": [6379], "cidr_ip": ["203.0.113.7/32", WORLD]},
        {"ports": [5432, "6000-6500"], "cidr_ip": WORLD, "cidr_ipv6": "::/0"},
    ]
    told = [finding.split(" Instead")[0] for finding in FilterModule().filters()["open_to_world"](rules)]
    assert told == [
        f"Port 5432 (PostgreSQL) would be open to the world by {WORLD}, ::/0.",
        f"Port 6333 (Qdrant) would be open to the world by {WORLD}, ::/0.",
        f"Port 6379 (Redis) would be open to the world by {WORLD}, ::/0.",
    ]


def test_an_exception_is_for_its_own_port_only() -> None:
    rules = [{"ports": [22, 8000], "cidr_ip": WORLD}]
    (finding,) = open_to_world(rules, [8000])
    assert finding.startswith("Port 22 (SSH)")
    assert open_to_world(rules, [8000, 22]) == []


@pytest.mark.parametrize(
    "port", [22, 8000, 2375, 2376, 5432, 3306, 6379, 27017, 9200, 1433, 11211, 9090, 9093, 3000, 9100]
)
def test_what_is_closed_by_policy(port: int) -> None:
    (finding,) = open_to_world([{"ports": [port], "cidr_ip": WORLD}])
    assert f"Port {port} ({CLOSED[port][0]})" in finding
    assert "security_group_world_ports_allowed" in finding


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"ports": [22], "cidr_ip": "my office"}, r"'my office'.*203\.0\.113\.7/32"),
        ({"ports": ["ssh"], "cidr_ip": WORLD}, r"'ssh'.*not a port.*8000-8100"),
        ({"ports": [[22]], "cidr_ip": WORLD}, "not a port"),
    ],
)
def test_what_is_no_network_or_port_is_refused_with_an_example(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        open_to_world([rule])
