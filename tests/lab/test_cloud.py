"""What the bridge reads out of moto: instances as plain hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab import images
from lab.aws import patches
from lab.bridge import cloud
from lab.bridge.model import IMAGES, Rule, State


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """EC2 in this process, where the bridge can look inside."""
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client("ec2", region_name="eu-central-1")


def launch(ec2: Any) -> tuple[str, str]:
    """An instance in its own VPC with a group of no rules; their ids."""
    vpc_id = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    subnet_id = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.42.1.0/24")["Subnet"]["SubnetId"]
    group_id = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc_id)["GroupId"]
    ec2.create_key_pair(KeyName="key")
    run = ec2.run_instances(
        ImageId=ec2.describe_images()["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        KeyName="key",
        PrivateIpAddress="10.42.1.10",
        SubnetId=subnet_id,
        SecurityGroupIds=[group_id],
    )
    return run["Instances"][0]["InstanceId"], group_id


def allow(ec2: Any, group_id: str, **rule: Any) -> None:
    ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])


def test_an_instance_is_read_as_a_host(ec2: Any) -> None:
    instance_id, _ = launch(ec2)
    (host,) = cloud.hosts()
    assert (host.instance_id, host.state, host.private_ip) == (instance_id, State.RUNNING, "10.42.1.10")
    assert host.vpc_cidr == "10.42.0.0/16"
    assert host.public_key.startswith("ssh-")
    assert host.rules == ()
    assert "10.42.0.0/16" in cloud.vpc_ranges()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}, [Rule(80, 80, "198.51.100.0/24")]),
        ({"IpProtocol": "-1"}, [Rule(0, 65535, "198.51.100.0/24")]),
        ({"IpProtocol": "udp", "FromPort": 53, "ToPort": 53}, []),
        ({"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1}, []),
    ],
)
def test_rules_for_tcp_are_read(rule: dict[str, Any], expected: list[Rule], ec2: Any) -> None:
    _, group_id = launch(ec2)
    allow(ec2, group_id, **rule, IpRanges=[{"CidrIp": "198.51.100.0/24"}])
    assert list(cloud.hosts()[0].rules) == expected


def test_a_rule_for_a_group_opens_nothing_to_the_public(ec2: Any) -> None:
    _, group_id = launch(ec2)
    pair = {"UserIdGroupPairs": [{"GroupId": group_id}]}
    allow(ec2, group_id, IpProtocol="tcp", FromPort=5432, ToPort=5432, **pair)
    assert cloud.hosts()[0].rules == ()


def test_a_revoked_rule_is_gone(ec2: Any) -> None:
    _, group_id = launch(ec2)
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    allow(ec2, group_id, **rule)
    ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
    assert cloud.hosts()[0].rules == ()


def test_stopping_and_terminating_are_seen(ec2: Any) -> None:
    instance_id, _ = launch(ec2)
    ec2.stop_instances(InstanceIds=[instance_id])
    assert cloud.hosts()[0].state is State.STOPPED
    ec2.terminate_instances(InstanceIds=[instance_id])
    assert cloud.hosts()[0].state is State.GONE


def test_a_reboot_is_seen_by_the_patch_alone(ec2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.ec2.models.instances import Instance

    instance_id, _ = launch(ec2)
    ec2.reboot_instances(InstanceIds=[instance_id])
    assert cloud.hosts()[0].boots == 0
    monkeypatch.setattr(Instance, "reboot", Instance.reboot)
    patches.count_boots()
    ec2.reboot_instances(InstanceIds=[instance_id])
    assert cloud.hosts()[0].boots == 1


def test_what_happened_to_a_host_is_told(ec2: Any) -> None:
    def shown() -> Any:
        return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    instance_id, _ = launch(ec2)
    cloud.shut_down(instance_id)
    assert shown()["State"]["Name"] == "stopped"
    assert shown()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.fail_start(instance_id, "no answer")
    assert shown()["State"]["Name"] == "stopped"
    assert shown()["StateReason"]["Message"] == "Server.InternalError: no answer"
    cloud.fail_launch(instance_id, "no room")
    assert shown()["State"]["Name"] == "terminated"
    assert shown()["StateReason"]["Message"] == "Server.InternalError: no room"


def test_what_hosts_are_made_of_belongs_to_an_ami_that_aws_has() -> None:
    known = {ami["ami_id"] for ami in json.loads((images.ROOT / "lab/aws/amis.json").read_text(encoding="utf-8"))}
    assert set(IMAGES) <= known
    assert set(IMAGES.values()) == {images.BAKED.name}
