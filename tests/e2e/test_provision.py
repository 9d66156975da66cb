"""A fleet is made, found again, put right and removed in the lab's AWS; what is wrong is refused before that."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.support.aws_between import AwsBetween, aws_between
from tests.e2e.support.fleet import REGION, Fleet, client_of, ec2_client
from tests.e2e.support.playbook import ROOT, Result, run_playbook
from tests.e2e.support.wrong_fleets import WRONG, run_wrong

HOSTS = ["e2e-provision-1", "e2e-provision-2"]
# One network per module that makes a fleet, so that two of them never meet.
OVERRIDES = {
    "ec2_instance_count": len(HOSTS),
    "ec2_instance_vpc_cidr": "10.77.0.0/16",
    "ec2_instance_subnets": [{"cidr": "10.77.1.0/24", "zone": "a"}, {"cidr": "10.77.2.0/24", "zone": "b"}],
    # As in production: destroy.yml has to lift it.
    "ec2_instance_termination_protection": True,
    "ec2_instance_session_manager": True,
    "ec2_instance_ebs_encryption_by_default": True,
}
WORLD_ON_PORT = {"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@pytest.fixture(scope="module")
def between() -> Iterator[AwsBetween]:
    """Notes what the roles ask AWS for."""
    with aws_between("127.0.0.1") as server:
        yield server


@pytest.fixture(scope="module")
def fleet(between: AwsBetween, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An empty account as far as this fleet goes, and again at the end, also after a run that was killed."""
    account = yaml.safe_load((ROOT / "inventories/lab/group_vars/all.yml").read_text())["ec2_instance_aws"]
    by_way = {"ec2_instance_aws": {**account, "endpoint_url": between.url}}
    declared = Fleet.declare("e2e-provision", tmp_path_factory.mktemp("inventory"), {**OVERRIDES, **by_way})
    if declared.rest():
        declared.destroy()
    # Of the whole account, and left on by an earlier run.
    ec2_client().disable_ebs_encryption_by_default()
    yield declared
    ec2_client().disable_ebs_encryption_by_default()
    result = declared.destroy()
    assert (result.rc, declared.rest()) == (0, {}), str(result)


@pytest.fixture(scope="module")
def first_run(fleet: Fleet) -> Result:
    """The run that makes the fleet."""
    return fleet.run("provision")


@dataclass(frozen=True)
class Repair:
    """What was there before the drift, and the run that put it right."""

    instances: dict[str, dict[str, Any]]
    addresses: dict[str, str]
    announced: Result
    run: Result


@pytest.fixture(scope="module")
def repair(fleet: Fleet, first_run: Result) -> Repair:
    """Change by hand what people change by hand, then provision again."""
    assert first_run.rc == 0, str(first_run)
    before, addresses = fleet.instances(), fleet.addresses()
    stopped, lost = (before[name]["InstanceId"] for name in HOSTS)
    client, groups = ec2_client(), fleet.security_groups()
    client.modify_instance_metadata_options(
        InstanceId=stopped,
        HttpTokens="optional",
        HttpPutResponseHopLimit=3,
        HttpEndpoint="enabled",
        HttpProtocolIpv6="disabled",
        InstanceMetadataTags="disabled",
    )
    client.stop_instances(InstanceIds=[stopped])
    client.modify_instance_attribute(InstanceId=lost, DisableApiTermination={"Value": False})
    client.terminate_instances(InstanceIds=[lost])
    client.authorize_security_group_ingress(
        GroupId=groups[fleet.name]["GroupId"], IpPermissions=[{**WORLD_ON_PORT, "FromPort": 8000, "ToPort": 8000}]
    )
    client.authorize_security_group_ingress(
        GroupId=groups["default"]["GroupId"], IpPermissions=[{**WORLD_ON_PORT, "FromPort": 22, "ToPort": 22}]
    )
    return Repair(before, addresses, fleet.run("provision", "--check"), fleet.run("provision"))


@pytest.fixture(scope="module")
def refusals(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Each wrong declaration, in one run."""
    return run_wrong(fleet, tmp_path_factory.mktemp("wrong"))


@pytest.mark.parametrize("number", range(len(WRONG)), ids=lambda number: str(WRONG[number][0]))
def test_a_wrong_declaration_is_refused_before_anything_is_made(refusals: Result, fleet: Fleet, number: int) -> None:
    stats = refusals.stats[f"wrong-{number}"]
    assert (stats.failed, stats.changed) == (1, 0), str(refusals)
    told = re.search(rf"fatal: \[wrong-{number}\]: (.*?)(?=fatal: |TASK \[|PLAY RECAP)", refusals.output)
    assert told, str(refusals)
    # It is printed as YAML, where a quote is doubled.
    assert WRONG[number][1] in told[1].replace("''", "'")
    assert fleet.rest() == {}


def test_check_mode_on_an_empty_account_says_what_it_would_make(fleet: Fleet) -> None:
    result = fleet.run("provision", "--check", "--diff")
    assert result.rc == 0, str(result)
    assert f"instances {', '.join(HOSTS)} (t3.small) and an Elastic IP for each" in result.output
    assert fleet.rest() == {}


@pytest.mark.parametrize("playbook", ["configure", "deploy", "rollback", "status"])
def test_an_inventory_without_hosts_is_red(fleet: Fleet, playbook: str) -> None:
    result = fleet.run(playbook)
    assert result.rc != 0, str(result)
    assert "has no running host. Make the hosts with playbooks/provision.yml" in result.output, str(result)


@pytest.mark.parametrize("playbook", ["provision", "configure", "deploy", "rollback", "status", "destroy", "site"])
def test_an_inventory_that_cannot_be_parsed_is_red(fleet: Fleet, tmp_path: Path, playbook: str) -> None:
    """Nobody listens at the endpoint, as when the lab is down or AWS cannot be reached."""
    inventory = tmp_path / "inventory"
    shutil.copytree(fleet.inventory, inventory)
    plugin = inventory / "aws_ec2.yml"
    settings = yaml.safe_load(plugin.read_text())
    plugin.write_text(yaml.safe_dump({**settings, "endpoint_url": "http://127.0.0.1:9"}))
    result = run_playbook(playbook, inventory=inventory)
    assert result.rc != 0, str(result)
    assert "http://127.0.0.1:9/" in result.output, str(result)
    assert f"Completely failed to parse inventory source {plugin}" in result.output, str(result)
    assert result.stats == {}


def test_the_hosts_answer_over_ssh_at_their_elastic_ips(fleet: Fleet, first_run: Result) -> None:
    assert first_run.rc == 0, str(first_run)
    instances, addresses = fleet.instances(), fleet.addresses()
    assert sorted(addresses) == sorted(instances) == HOSTS
    assert len(set(addresses.values())) == len(HOSTS)
    answer = fleet.ssh("hostname", "--all-ip-addresses")
    assert answer.rc == 0, str(answer)
    for name in HOSTS:
        assert instances[name]["PublicIpAddress"] == addresses[name]
        assert f"{name} is at {addresses[name]} ({instances[name]['InstanceId']})" in first_run.output
        line = next(line for line in answer.stdout.splitlines() if line.startswith(name))
        assert instances[name]["PrivateIpAddress"] in line


def test_the_hosts_are_what_was_declared(fleet: Fleet, first_run: Result) -> None:
    assert first_run.rc == 0, str(first_run)
    client = ec2_client()
    instances = fleet.instances()
    assert len({one["SubnetId"] for one in instances.values()}) == len(HOSTS)
    for one in instances.values():
        assert one["InstanceType"] == "t3.small"
        assert one["MetadataOptions"]["HttpTokens"] == "required"
        assert one["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert [group["GroupName"] for group in one["SecurityGroups"]] == [fleet.name]
        protection = client.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute="disableApiTermination")
        assert protection["DisableApiTermination"]["Value"] is True
        (volume,) = client.describe_volumes(
            Filters=[{"Name": "attachment.instance-id", "Values": [one["InstanceId"]]}]
        )["Volumes"]
        assert (volume["Encrypted"], volume["Size"], volume["VolumeType"]) == (True, 30, "gp3")
    assert client.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True


def test_the_hosts_may_talk_to_session_manager_and_nothing_else(fleet: Fleet, first_run: Result) -> None:
    assert first_run.rc == 0, str(first_run)
    iam, name = client_of("iam"), f"{fleet.name}-{REGION}"
    assert fleet.roles() == [name]
    profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    for one in fleet.instances().values():
        assert one["IamInstanceProfile"]["Arn"] == profile["Arn"]
    (role,) = profile["Roles"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["session-manager"]
    (allowed,) = iam.get_role_policy(RoleName=name, PolicyName="session-manager")["PolicyDocument"]["Statement"]
    assert {action.split(":")[0] for action in allowed["Action"]} == {"ssm", "ssmmessages"}
    assert [action for action in allowed["Action"] if "*" in action or "Get" in action] == []


def open_ports(group: dict[str, Any]) -> dict[int, set[str]]:
    """The networks that may reach each port of a security group."""
    return {
        rule["FromPort"]: {one["CidrIp"] for one in rule["IpRanges"]} | {one["CidrIpv6"] for one in rule["Ipv6Ranges"]}
        for rule in group["IpPermissions"]
    }


def test_only_the_declared_ports_are_open(fleet: Fleet, first_run: Result) -> None:
    assert first_run.rc == 0, str(first_run)
    groups = fleet.security_groups()
    world = {"0.0.0.0/0", "::/0"}
    assert open_ports(groups[fleet.name]) == {22: {"203.0.113.10/32"}, 80: world, 443: world}
    assert groups["default"]["IpPermissions"] == []
    assert groups["default"]["IpPermissionsEgress"] == []


@pytest.mark.parametrize("arguments", [(), ("--check", "--diff")], ids=["run", "check"])
def test_a_second_run_changes_nothing(fleet: Fleet, first_run: Result, arguments: tuple[str, ...]) -> None:
    assert first_run.rc == 0, str(first_run)
    result = fleet.run("provision", *arguments)
    assert (result.rc, result.changed) == (0, {}), str(result)


def test_a_host_that_is_not_declared_is_named(fleet: Fleet, first_run: Result) -> None:
    """It would be deployed to, though nobody asked for it."""
    assert first_run.rc == 0, str(first_run)
    result = fleet.run("provision", ec2_instance_count=1)
    assert result.rc != 0, str(result)
    assert f"shall be {HOSTS[0]}, and the inventory's group 'davit' is {', '.join(HOSTS)}" in result.output
    assert sorted(fleet.instances()) == HOSTS


def test_check_mode_announces_the_repair(repair: Repair) -> None:
    assert repair.announced.rc == 0, str(repair.announced)
    assert repair.announced.changed["localhost"] > 0


def test_a_stopped_host_runs_again_at_its_address(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    name, now = HOSTS[0], fleet.instances()[HOSTS[0]]
    assert now["InstanceId"] == repair.instances[name]["InstanceId"]
    assert now["State"]["Name"] == "running"
    assert now["PublicIpAddress"] == repair.addresses[name]


def test_a_lost_host_is_replaced_at_its_address(fleet: Fleet, repair: Repair) -> None:
    """Its host key is another one, and the address is known: still no warning, since keys are kept by instance id."""
    assert repair.run.rc == 0, str(repair.run)
    name, now = HOSTS[1], fleet.instances()[HOSTS[1]]
    assert now["InstanceId"] != repair.instances[name]["InstanceId"]
    assert now["PublicIpAddress"] == repair.addresses[name]
    assert fleet.addresses() == repair.addresses
    answer = fleet.ssh("true")
    assert answer.rc == 0, str(answer)


def test_aws_watches_each_host_and_a_replaced_one_as_well(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    alarms = fleet.alarms()
    assert [alarm["AlarmName"] for alarm in alarms] == [f"{name}-status-check" for name in HOSTS]
    for name, alarm in zip(HOSTS, alarms, strict=True):
        assert alarm["MetricName"] == "StatusCheckFailed_System"
        assert alarm["Dimensions"] == [{"Name": "InstanceId", "Value": fleet.instances()[name]["InstanceId"]}]
        assert alarm["AlarmActions"] == ["arn:aws:automate:eu-central-1:ec2:recover"]


def test_imdsv1_is_closed_again(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    options = fleet.instances()[HOSTS[0]]["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_rules_added_by_hand_are_gone(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    groups = fleet.security_groups()
    assert sorted(open_ports(groups[fleet.name])) == [22, 80, 443]
    assert groups["default"]["IpPermissions"] == []


def test_nothing_is_left_to_repair(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    result = fleet.run("provision")
    assert (result.rc, result.changed) == (0, {}), str(result)


def test_one_host_from_the_environment_needs_no_aws(repair: Repair, tmp_path: Path) -> None:
    assert repair.run.rc == 0, str(repair.run)
    inventory = tmp_path / "ssh"
    shutil.copytree(ROOT / "inventories/ssh", inventory)
    key = str(ROOT / ".lab/ssh/id_ed25519")
    result = run_playbook(
        "provision",
        inventory=inventory,
        environment={"EC2_HOST": repair.addresses[HOSTS[0]], "EC2_USER": "ubuntu", "EC2_SSH_KEY": key},
    )
    assert (result.rc, result.changed) == (0, {}), str(result)
    assert result.stats["ec2"].ok > 0
    assert (inventory / "known_hosts.txt").is_file()


@pytest.mark.parametrize("playbook", ["provision", "configure", "deploy", "rollback", "status", "site"])
def test_the_missing_address_is_named(playbook: str) -> None:
    result = run_playbook(playbook, inventory=ROOT / "inventories/ssh", environment={"EC2_HOST": ""})
    assert result.rc != 0, str(result)
    assert "Set EC2_HOST to the address of the host to deploy to." in result.output, str(result)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet of one host in a VPC that somebody else made."""
    client = ec2_client()
    vpc = client.create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.78.1.0/24")["Subnet"]["SubnetId"]
    declared = Fleet.declare(
        "e2e-guest",
        tmp_path,
        {"ec2_instance_vpc_id": vpc, "ec2_instance_subnet_ids": [subnet], "ec2_instance_count": 1},
    )
    try:
        yield declared
    finally:
        result = declared.destroy()
        client.delete_subnet(SubnetId=subnet)
        client.delete_vpc(VpcId=vpc)
        assert result.rc == 0, str(result)


def groups_of(vpc: str) -> dict[str, dict[str, Any]]:
    """The security groups of a VPC, by name."""
    groups = ec2_client().describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    return {group["GroupName"]: group for group in groups}


def test_a_vpc_of_somebody_else_s_keeps_what_is_theirs(guest: Fleet) -> None:
    vpc = yaml.safe_load((guest.inventory / "group_vars/all.yml").read_text())["ec2_instance_vpc_id"]
    theirs = groups_of(vpc)["default"]
    announced = guest.run("provision", "--check", "--diff")
    assert (announced.rc, guest.rest()) == (0, {}), str(announced)
    made = guest.run("provision")
    assert made.rc == 0, str(made)
    assert guest.instances()["e2e-guest-1"]["VpcId"] == vpc
    assert sorted(groups_of(vpc)) == ["default", "e2e-guest"]
    gone = guest.destroy()
    assert (gone.rc, guest.rest()) == (0, {}), str(gone)
    assert groups_of(vpc) == {"default": theirs}


def test_destroy_asks_for_the_fleet_s_name(fleet: Fleet, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    for confirmation in ("", "davit", "yes"):
        result = fleet.run("destroy", ec2_instance_destroy_confirm=confirmation)
        assert result.rc != 0, str(result)
        assert f"-e ec2_instance_destroy_confirm={fleet.name}" in result.output
    assert sorted(fleet.instances()) == HOSTS


def test_destroy_removes_all_that_was_made_and_nothing_else(fleet: Fleet, between: AwsBetween, repair: Repair) -> None:
    assert repair.run.rc == 0, str(repair.run)
    own = {one["InstanceId"] for one in fleet.instances().values()}
    result = fleet.destroy()
    assert (result.rc, fleet.rest()) == (0, {}), str(result)
    assert between.named("TerminateInstances", "InstanceId") == own
    assert fleet.roles() == []
    again = fleet.destroy()
    assert (again.rc, again.changed) == (0, {}), str(again)


def test_what_was_asked_of_aws_is_what_the_documented_policy_allows(between: AwsBetween, repair: Repair) -> None:
    """Last, when the fleet was made, put right and removed."""
    assert repair.run.rc == 0, str(repair.run)
    assert {"ec2:RunInstances", "iam:CreateRole", "cloudwatch:PutMetricAlarm", "ssm:GetParameter"} <= set(between.calls)
    assert between.beyond(ROOT / "docs/iam/provision-role.json") == []
