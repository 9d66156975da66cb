"""The groups as AWS tells them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

WORLD = {"0.0.0.0/0", "::/0"}
Rules = dict[tuple[str, int], set[str]]


def groups_of(kind: str) -> dict[str, dict[str, Any]]:
    """The security groups in the VPC of a variable set, by name."""
    client = boto3.client("ec2")
    name = f"davit-molecule-security-group-{kind}"
    (vpc,) = client.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]
    found = client.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])
    return {group["GroupName"]: group for group in found["SecurityGroups"]}


def rules(permissions: list[dict[str, Any]]) -> Rules:
    """Who may reach what, by protocol and port; -1 is everything."""
    found: Rules = {}
    for rule in permissions:
        key = (rule["IpProtocol"], rule.get("FromPort", -1))
        networks = {one["CidrIp"] for one in rule["IpRanges"]} | {one["CidrIpv6"] for one in rule["Ipv6Ranges"]}
        found[key] = found.get(key, set()) | networks
    return found


def test_http_is_public_and_everything_else_is_closed() -> None:
    """Also the SSH rule that side_effect added by hand."""
    group = groups_of("default")["davit"]
    assert rules(group["IpPermissions"]) == {("tcp", 80): WORLD, ("tcp", 443): WORLD}
    assert group["Description"] == "Hosts of a Davit fleet"


def test_exactly_the_declared_rules_are_there() -> None:
    group = groups_of("alternative")["web"]
    assert rules(group["IpPermissions"]) == {
        ("tcp", 443): WORLD,
        ("tcp", 8000): WORLD,
        ("tcp", 22): {"203.0.113.7/32", "2001:db8::/48"},
        ("tcp", 9100): {"10.0.0.0/8"},
    }
    assert group["Description"] == "Hosts of the shop"
    assert {tag["Key"]: tag["Value"] for tag in group["Tags"]} == {"Name": "web", "team": "search"}


@pytest.mark.parametrize(("kind", "name"), [("default", "davit"), ("alternative", "web")])
def test_hosts_reach_everything(kind: str, name: str) -> None:
    assert rules(groups_of(kind)[name]["IpPermissionsEgress"]) == {("-1", -1): WORLD}


def test_the_default_group_gives_nothing_away() -> None:
    group = groups_of("default")["default"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])


def test_the_default_group_of_others_is_left_alone() -> None:
    assert groups_of("alternative")["default"]["IpPermissionsEgress"] != []


def test_a_group_that_is_no_longer_wanted_is_gone() -> None:
    assert sorted(groups_of("default")) == ["davit", "default"]
