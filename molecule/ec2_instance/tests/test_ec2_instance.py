"""The fleets as AWS tells them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

ALIVE = ["pending", "running", "stopping", "stopped"]


def instances_of(fleet: str) -> list[dict[str, Any]]:
    """The instances of a fleet that are not terminated."""
    filters = [{"Name": "tag:davit_fleet", "Values": [fleet]}, {"Name": "instance-state-name", "Values": ALIVE}]
    found = boto3.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


@pytest.fixture(scope="module")
def instance() -> dict[str, Any]:
    """The one host of the fleet that was made with next to no variables."""
    (found,) = instances_of("davit")
    return found


def test_a_host_is_made_with_the_defaults(instance: dict[str, Any]) -> None:
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == {"Name": "davit-1", "davit_fleet": "davit"}
    assert (instance["State"]["Name"], instance["InstanceType"]) == ("running", "t3.small")
    client = boto3.client("ec2")
    protection = client.describe_instance_attribute(
        InstanceId=instance["InstanceId"], Attribute="disableApiTermination"
    )
    assert protection["DisableApiTermination"]["Value"] is True
    disk = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    (volume,) = client.describe_volumes(Filters=disk)["Volumes"]
    assert (volume["Encrypted"], volume["Size"], volume["VolumeType"]) == (True, 30, "gp3")


def test_a_container_cannot_read_the_host_s_credentials(instance: dict[str, Any]) -> None:
    options = instance["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_the_image_is_ubuntu_s_current_one(instance: dict[str, Any]) -> None:
    (image,) = boto3.client("ec2").describe_images(ImageIds=[instance["ImageId"]])["Images"]
    assert "ubuntu-noble-24.04" in image["Name"]


def test_the_host_has_an_address_that_stays(instance: dict[str, Any]) -> None:
    addresses = boto3.client("ec2").describe_addresses()["Addresses"]
    found = {(address["InstanceId"], address["PublicIp"]) for address in addresses}
    assert found == {(instance["InstanceId"], instance["PublicIpAddress"])}


def test_the_subnet_leads_to_the_internet(instance: dict[str, Any]) -> None:
    client = boto3.client("ec2")
    mine = [{"Name": "association.subnet-id", "Values": [instance["SubnetId"]]}]
    (table,) = client.describe_route_tables(Filters=mine)["RouteTables"]
    ways = {route["DestinationCidrBlock"]: route.get("GatewayId", "") for route in table["Routes"]}
    assert ways["0.0.0.0/0"].startswith("igw-")
    subnets = client.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [instance["VpcId"]]}])["Subnets"]
    assert sorted(subnet["AvailabilityZone"] for subnet in subnets) == ["eu-central-1a", "eu-central-1b"]


def test_aws_moves_the_host_off_broken_hardware(instance: dict[str, Any]) -> None:
    (alarm,) = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarm["Dimensions"] == [{"Name": "InstanceId", "Value": instance["InstanceId"]}]
    assert alarm["AlarmActions"] == ["arn:aws:automate:eu-central-1:ec2:recover"]


def test_only_web_and_the_declared_networks_get_in(instance: dict[str, Any]) -> None:
    (name,) = (group["GroupId"] for group in instance["SecurityGroups"])
    (group,) = boto3.client("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"]
    opened = {rule["FromPort"]: [one["CidrIp"] for one in rule["IpRanges"]] for rule in group["IpPermissions"]}
    assert opened == {22: ["203.0.113.7/32"], 80: ["0.0.0.0/0"], 443: ["0.0.0.0/0"]}


def test_a_destroyed_fleet_leaves_nothing_and_what_was_not_its_own_stays() -> None:
    """side_effect has seen the fleet as it was declared before it destroyed it."""
    assert instances_of("shop") == []
    client = boto3.client("ec2")
    assert client.describe_addresses(Filters=[{"Name": "tag:davit_fleet", "Values": ["shop"]}])["Addresses"] == []
    names = {alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    assert names == {"davit-1-status-check"}
    (vpc,) = client.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["theirs"]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    assert [g["GroupName"] for g in client.describe_security_groups(Filters=inside)["SecurityGroups"]] == ["default"]
    assert len(client.describe_subnets(Filters=inside)["Subnets"]) == 1
    assert "theirs" in {pair["KeyName"] for pair in client.describe_key_pairs()["KeyPairs"]}
