"""A fleet of a test's own in the lab: own name, own network, own inventory; other hosts never notice it."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml

from tests.e2e.support.playbook import ROOT, Result, run_ansible, run_playbook

REGION = "eu-central-1"
ENDPOINT = "http://127.0.0.1:5577"
ALIVE = ["pending", "running", "stopping", "stopped"]


def ec2_client() -> Any:
    """A client of the lab's EC2."""
    return client_of("ec2")


@functools.cache
def client_of(service: str) -> Any:
    """A client of the lab's AWS; one for all, since each reads the whole description of its service."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=ENDPOINT,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@dataclass(frozen=True)
class Fleet:
    """A fleet's name and the folder of its inventory."""

    name: str
    inventory: Path

    @classmethod
    def declare(cls, name: str, folder: Path, overrides: Mapping[str, Any]) -> Fleet:
        """Copy the lab's inventory into `folder`, for a fleet of this name and with these group variables."""
        inventory = folder / name
        shutil.copytree(ROOT / "inventories/lab", inventory)
        plugin = inventory / "aws_ec2.yml"
        settings = yaml.safe_load(plugin.read_text())
        settings["filters"]["tag:davit_fleet"] = name
        plugin.write_text(yaml.safe_dump(settings))
        variables = inventory / "group_vars/all.yml"
        values = yaml.safe_load(variables.read_text())
        variables.write_text(yaml.safe_dump({**values, "ec2_instance_fleet": name, **overrides}))
        return cls(name, inventory)

    def run(self, playbook: str, *arguments: str, **extra_vars: Any) -> Result:
        """Run one of the project's playbooks on this fleet."""
        return run_playbook(playbook, *arguments, inventory=self.inventory, extra_vars=extra_vars)

    def destroy(self) -> Result:
        """Run destroy.yml with the confirmation that it asks for."""
        return self.run("destroy", ec2_instance_destroy_confirm=self.name)

    def ssh(self, *command: str) -> Result:
        """Run a command on each host over the dynamic inventory; the output has a line per host."""
        return run_ansible(
            "ansible",
            "davit",
            "-i",
            str(self.inventory),
            "-o",
            "-m",
            "ansible.builtin.command",
            "-a",
            " ".join(command),
        )

    def tagged(self) -> list[dict[str, Any]]:
        """The AWS filter for all that belongs to this fleet."""
        return [{"Name": "tag:davit_fleet", "Values": [self.name]}]

    def instances(self) -> dict[str, dict[str, Any]]:
        """What AWS says of each host, by name; terminated ones are left out."""
        answer = ec2_client().describe_instances(
            Filters=[*self.tagged(), {"Name": "instance-state-name", "Values": ALIVE}]
        )
        found = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
        return {next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "Name"): one for one in found}

    def addresses(self) -> dict[str, str]:
        """The Elastic IP of each host, by name, as AWS has allocated it."""
        found = ec2_client().describe_addresses(Filters=self.tagged())["Addresses"]
        return {next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "Name"): one["PublicIp"] for one in found}

    def vpcs(self) -> list[str]:
        """The ids of the VPCs that were made for this fleet."""
        return [vpc["VpcId"] for vpc in ec2_client().describe_vpcs(Filters=self.tagged())["Vpcs"]]

    def security_groups(self) -> dict[str, dict[str, Any]]:
        """The security groups of the fleet's VPC, by name."""
        groups = ec2_client().describe_security_groups(Filters=[{"Name": "vpc-id", "Values": self.vpcs()}])
        return {group["GroupName"]: group for group in groups["SecurityGroups"]}

    def roles(self) -> list[str]:
        """The names of the roles and of the instance profiles that the fleet has, without doubles."""
        iam = client_of("iam")
        found = [role["RoleName"] for role in iam.list_roles()["Roles"]]
        found += [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]]
        return sorted({name for name in found if name.startswith(f"{self.name}-")})

    def alarms(self) -> list[dict[str, Any]]:
        """What CloudWatch watches of this fleet's hosts, by name of the host."""
        found: list[dict[str, Any]] = client_of("cloudwatch").describe_alarms(AlarmNamePrefix=f"{self.name}-")[
            "MetricAlarms"
        ]
        return sorted(found, key=lambda alarm: str(alarm["AlarmName"]))

    def snapshots(self) -> dict[str, str]:
        """Id to reason of the snapshots of its volumes, oldest first."""
        found = ec2_client().describe_snapshots(Filters=self.tagged())["Snapshots"]
        in_order = sorted(found, key=lambda one: one["StartTime"])
        return {
            one["SnapshotId"]: tag["Value"] for one in in_order for tag in one["Tags"] if tag["Key"] == "davit_snapshot"
        }

    def rest(self) -> dict[str, int]:
        """How many things of each kind carry the fleet's tag; all that are not there are left out."""
        client = ec2_client()
        counts = {
            "instances": len(self.instances()),
            "addresses": len(self.addresses()),
            "vpcs": len(self.vpcs()),
            "subnets": len(client.describe_subnets(Filters=self.tagged())["Subnets"]),
            "route tables": len(client.describe_route_tables(Filters=self.tagged())["RouteTables"]),
            "gateways": len(client.describe_internet_gateways(Filters=self.tagged())["InternetGateways"]),
            "groups": len(client.describe_security_groups(Filters=self.tagged())["SecurityGroups"]),
            "keys": len(client.describe_key_pairs(Filters=self.tagged())["KeyPairs"]),
            "alarms": len(self.alarms()),
        }
        return {kind: count for kind, count in counts.items() if count}
