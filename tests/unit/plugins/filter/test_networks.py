"""Which networks meet one another."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter.networks import FilterModule, network_overlaps


@pytest.mark.parametrize(
    ("networks", "reserved", "found"),
    [
        ([], ["10.0.0.0/8"], []),
        (["10.201.0.0/16"], [], []),
        (["10.201.0.0/16"], ["10.42.0.0/16", "172.17.0.0/16"], []),
        (["10.42.7.0/24"], ["10.42.0.0/16"], ["10.42.7.0/24 meets 10.42.0.0/16"]),
        (["10.0.0.0/8"], ["10.42.0.0/16"], ["10.0.0.0/8 meets 10.42.0.0/16"]),
        (["10.42.0.7/16"], ["10.42.0.0/16"], ["10.42.0.0/16 meets 10.42.0.0/16"]),
        (["::/0"], ["10.42.0.0/16"], []),
        (["10.1.0.0/16", "10.2.0.0/16"], ["10.2.0.0/15"], ["10.2.0.0/16 meets 10.2.0.0/15"]),
    ],
)
def test_each_pair_that_meets_is_named(networks: list[str], reserved: list[str], found: list[str]) -> None:
    assert network_overlaps(networks, reserved) == found


@pytest.mark.parametrize("bad", ["", "10.42.0.0/33", "vpc", None])
def test_what_is_no_network_is_named(bad: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"is not a network in CIDR notation such as"):
        network_overlaps([bad], ["10.0.0.0/8"])


def test_the_filter_is_loaded_by_its_name() -> None:
    assert FilterModule().filters() == {"network_overlaps": network_overlaps}
