"""What AWS does and moto does not: each check passes with the patches and fails without them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.servers import Aws

UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
_RANGES = (f"10.{second}.0.0/16" for second in count(50))


@dataclass(frozen=True)
class Machine:
    """An instance in a VPC of its own, with an address of its own."""

    ec2: Any
    instance_id: str
    group_id: str
    subnet_id: str

    def show(self) -> Any:
        """As DescribeInstances has it."""
        return self.ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"][0]["Instances"][0]

    def associate(self) -> Any:
        """Give it an Elastic IP."""
        address = self.ec2.allocate_address(Domain="vpc")
        self.ec2.associate_address(InstanceId=self.instance_id, AllocationId=address["AllocationId"])
        return address


def _machine(aws: Aws) -> Machine:
    ec2 = aws.client("ec2")
    cidr = next(_RANGES)
    vpc_id = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    subnet_id = ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr.replace("/16", "/24"))["Subnet"]["SubnetId"]
    group_id = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc_id)["GroupId"]
    image_id = aws.client("ssm").get_parameter(Name=UBUNTU)["Parameter"]["Value"]
    nic = {"DeviceIndex": 0, "SubnetId": subnet_id, "Groups": [group_id], "AssociatePublicIpAddress": True}
    run = ec2.run_instances(ImageId=image_id, InstanceType="t3.small", MinCount=1, MaxCount=1, NetworkInterfaces=[nic])
    return Machine(ec2, run["Instances"][0]["InstanceId"], group_id, subnet_id)


def rule_descriptions_are_acknowledged(aws: Aws) -> None:
    """A."""
    machine = _machine(aws)
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    machine.ec2.authorize_security_group_ingress(GroupId=machine.group_id, IpPermissions=[rule])
    rule["IpRanges"] = [{"CidrIp": "0.0.0.0/0", "Description": "the world"}]
    answer = machine.ec2.update_security_group_rule_descriptions_ingress(GroupId=machine.group_id, IpPermissions=[rule])
    assert answer["Return"] is True


def elastic_addresses_have_tags_by_their_type(aws: Aws) -> None:
    """B."""
    ec2 = aws.client("ec2")
    address = ec2.allocate_address(Domain="vpc")
    ec2.create_tags(Resources=[address["AllocationId"]], Tags=[{"Key": "Name", "Value": "one"}])
    wanted = [
        {"Name": "resource-type", "Values": ["elastic-ip"]},
        {"Name": "resource-id", "Values": [address["AllocationId"]]},
    ]
    assert [tag["Value"] for tag in ec2.describe_tags(Filters=wanted)["Tags"]] == ["one"]


def volumes_are_shown_whole(aws: Aws) -> None:
    """C."""
    ec2 = aws.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1)
    shown = ec2.describe_volumes(VolumeIds=[volume["VolumeId"]])["Volumes"][0]
    assert (shown["SnapshotId"], shown["MultiAttachEnabled"]) == ("", False)


def an_elastic_address_outlives_a_stop(aws: Aws) -> None:
    """D."""
    machine = _machine(aws)
    address = machine.associate()["PublicIp"]
    machine.ec2.stop_instances(InstanceIds=[machine.instance_id])
    assert machine.show()["PublicIpAddress"] == address
    machine.ec2.start_instances(InstanceIds=[machine.instance_id])
    assert machine.show()["PublicIpAddress"] == address


def termination_frees_the_elastic_address(aws: Aws) -> None:
    """E."""
    machine = _machine(aws)
    allocation = machine.associate()["AllocationId"]
    machine.ec2.terminate_instances(InstanceIds=[machine.instance_id])
    address = machine.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
    assert not address.get("AssociationId")


def public_addresses_are_the_labs(aws: Aws) -> None:
    """G."""
    machine = _machine(aws)
    pool = ipaddress.ip_network("198.19.0.0/16")
    assert ipaddress.ip_address(machine.show()["PublicIpAddress"]) in pool
    assert ipaddress.ip_address(machine.associate()["PublicIp"]) in pool


def the_terminated_stay_so(aws: Aws) -> None:
    """H."""
    machine = _machine(aws)
    machine.ec2.terminate_instances(InstanceIds=[machine.instance_id])
    for act in (machine.ec2.start_instances, machine.ec2.stop_instances, machine.ec2.reboot_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            act(InstanceIds=[machine.instance_id])


CHECKS = [
    rule_descriptions_are_acknowledged,
    elastic_addresses_have_tags_by_their_type,
    volumes_are_shown_whole,
    an_elastic_address_outlives_a_stop,
    termination_frees_the_elastic_address,
    public_addresses_are_the_labs,
    the_terminated_stay_so,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_lab_answers_as_aws_does(check: Callable[[Aws], None], patched: Aws) -> None:
    check(patched)


@pytest.mark.parametrize("check", CHECKS)
def test_moto_alone_does_not(check: Callable[[Aws], None], plain: Aws) -> None:
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        check(plain)


def test_a_released_address_can_be_associated_again(patched: Aws) -> None:
    machine = _machine(patched)
    first = machine.show()["PublicIpAddress"]
    address = machine.associate()
    assert machine.show()["PublicIpAddress"] == address["PublicIp"] != first
    shown = machine.ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"][0]
    machine.ec2.disassociate_address(AssociationId=shown["AssociationId"])
    assert machine.show()["PublicIpAddress"] != address["PublicIp"]


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_canonical_images_are_published(architecture: str, patched: Aws) -> None:
    name = UBUNTU.replace("amd64", architecture)
    image_id = patched.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    image = patched.client("ec2").describe_images(ImageIds=[image_id])["Images"][0]
    assert image["OwnerId"] == "099720109477"
    assert f"noble-24.04-{architecture}" in image["Name"]


def test_an_unknown_image_is_refused(patched: Aws) -> None:
    with pytest.raises(ClientError, match="InvalidAMIID"):
        patched.client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
