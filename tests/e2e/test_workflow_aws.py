"""The job with a role of AWS and without an address: port 22 is open for its runner while it works, and never else."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.module_utils.runner_access import describe
from tests.e2e.support.aws_between import AwsBetween, aws_between
from tests.e2e.support.fleet import Fleet, ec2_client
from tests.e2e.support.host import Host
from tests.e2e.support.playbook import ROOT
from tests.e2e.support.workflow import Job, Outcome

LAB = ROOT / ".lab"
RUNNER = "203.0.113.10"
"""As which address this machine appears to the lab's security groups."""
OPEN, RUN, CLOSE = "Open port 22 for this runner", "Run the playbook", "Close port 22 again"
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}


def ssh_rules(fleet: Fleet) -> dict[str, str]:
    """The networks that may reach port 22, each with its description."""
    permissions = fleet.security_groups()[fleet.name]["IpPermissions"]
    return {
        network["CidrIp"]: network.get("Description", "")
        for rule in permissions
        if rule["FromPort"] == 22
        for network in rule["IpRanges"]
    }


def reachable(address: str) -> bool:
    """Whether SSH answers at the address."""
    try:
        with socket.create_connection((address, 22), 5) as stream:
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


@pytest.fixture(scope="module")
def pinned(host: Host) -> str:
    """The line of known_hosts for the host, by its instance's id."""
    argv = ["ssh-keyscan", "-t", "ed25519", host.address]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    key = next(line for line in said.splitlines() if not line.startswith("#")).split()[1:3]
    (instance,) = host.fleet.instances().values()
    return " ".join([instance["InstanceId"], *key]) + "\n"


@pytest.fixture(scope="module")
def closed(host: Host, pinned: str) -> Iterator[Host]:
    """The host, with a live release, and its port 22 closed for everybody."""
    assert pinned
    result = host.deploy()
    assert result.rc == 0, str(result)
    live = host.live()
    group = host.fleet.security_groups()[host.fleet.name]
    rules = [rule for rule in group["IpPermissions"] if rule["FromPort"] == 22]
    ec2_client().revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)
    assert not reachable(host.address)
    try:
        yield host
        assert host.ask("/readyz").release == live
    finally:
        ec2_client().authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)


@pytest.fixture
def between() -> Iterator[AwsBetween]:
    with aws_between(RUNNER) as server:
        yield server


@pytest.fixture
def workspace(closed: Host, pinned: str, between: AwsBetween, tmp_path: Path) -> Path:
    """A checkout's place, with production's inventory for the lab's fleet in it."""
    inventory = tmp_path / "inventories/production"
    shutil.copytree(ROOT / "inventories/production", inventory)
    plugin, variables = inventory / "aws_ec2.yml", inventory / "group_vars/all.yml"
    settings, values = yaml.safe_load(plugin.read_text()), yaml.safe_load(variables.read_text())
    settings |= {"endpoint_url": between.url, "filters": settings["filters"] | {"tag:davit_fleet": closed.fleet.name}}
    values |= {
        "ec2_instance_fleet": closed.fleet.name,
        "ec2_instance_aws": values["ec2_instance_aws"] | {"endpoint_url": between.url},
    }
    plugin.write_text(yaml.safe_dump(settings))
    variables.write_text(yaml.safe_dump(values))
    (inventory / "known_hosts.txt").write_text(pinned)
    return tmp_path


def job(between: AwsBetween, workspace: Path, **inputs: str) -> Job:
    """The job after it has taken its role; hosts pull with the job's own token."""
    extra = {
        "registry_login_username": "davit",
        "compose_release_soak_seconds": 0,
        "monitoring_enabled": False,
        "runner_access_address_url": between.url,
    }
    return Job(
        "run-aws",
        {"EC2_SSH_KEY": (LAB / "ssh/id_ed25519").read_text()},
        {"extra": json.dumps(extra), **inputs},
        workspace,
        {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_MAX_ATTEMPTS": "2",
        },
        (LAB / "registry/password").read_text().strip(),
    )


def log(outcomes: dict[str, Outcome]) -> str:
    return "\n".join(f"-- {name}: {outcome.rc}\n{outcome.log}" for name, outcome in outcomes.items())


def allowed() -> set[str]:
    """What the role's policy allows."""
    policy = json.loads((ROOT / "docs/iam/deploy-role.json").read_text())
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_a_deploy_that_fails_had_its_port_open_and_leaves_it_closed(
    closed: Host, between: AwsBetween, workspace: Path
) -> None:
    """And what it asked AWS for is what the role's policy allows, no less and no more."""
    seen: dict[str, tuple[bool, dict[str, str]]] = {}

    def look(step: str) -> None:
        seen[step] = (step == RUN and reachable(closed.address), ssh_rules(closed.fleet))

    outcomes = job(between, workspace, version="bad-search-500").run(look)
    assert [outcomes[name].rc == 0 for name in (OPEN, RUN, CLOSE)] == [True, False, True], log(outcomes)
    assert "::error title=deploy of restaurant-search bad-search-500%3A failed" in outcomes[RUN].log, log(outcomes)
    assert f"**{closed.fleet.name}-1 failed in gate**" in outcomes[RUN].summary
    assert seen[OPEN] == (False, {})
    open_, rules = seen[RUN]
    assert open_
    assert list(rules) == [f"{RUNNER}/32"]
    assert rules[f"{RUNNER}/32"].startswith("davit runner octo/shop/4711 since 20")
    assert ssh_rules(closed.fleet) == {}
    assert not reachable(closed.address)
    assert set(between.calls) == allowed()
    assert [path.name for path in workspace.rglob("*key*")] == []


def test_an_opening_that_nobody_knows_the_end_of_is_closed(closed: Host, between: AwsBetween, workspace: Path) -> None:
    between.lost = {"ec2:AuthorizeSecurityGroupIngress"}
    seen: dict[str, dict[str, str]] = {}

    def look(step: str) -> None:
        seen[step] = ssh_rules(closed.fleet)
        between.lost = between.lost if step == OPEN else set()

    outcomes = job(between, workspace, playbook="status").run(look)
    assert list(outcomes) == [OPEN, CLOSE], log(outcomes)
    assert "::error title=Davit::Port 22 could not be opened for this runner" in outcomes[OPEN].log
    assert list(seen[CLOSE]) == [f"{RUNNER}/32"], "the rule was made, though the answer was lost"
    assert outcomes[CLOSE].rc == 0, log(outcomes)
    assert ssh_rules(closed.fleet) == {}


def test_a_cancelled_run_is_shut_out_and_what_a_killed_one_left_goes_with_it(
    closed: Host, between: AwsBetween, workspace: Path
) -> None:
    group = closed.fleet.security_groups()[closed.fleet.name]["GroupId"]
    left = {
        "198.51.100.1/32": describe("octo/shop/1", time.time() - 3 * 3600),
        "198.51.100.2/32": describe("octo/shop/2", time.time() - 1800),
    }
    ranges = [{"CidrIp": cidr, "Description": text} for cidr, text in left.items()]
    permissions: list[dict[str, Any]] = [{**SSH, "IpRanges": ranges}]
    ec2_client().authorize_security_group_ingress(GroupId=group, IpPermissions=permissions)
    seen: dict[str, dict[str, str]] = {}
    try:
        outcomes = job(between, workspace, playbook="status").run(
            lambda step: seen.update({step: ssh_rules(closed.fleet)}), cancelled=lambda step: step == RUN
        )
        assert outcomes[RUN].rc == 130, log(outcomes)
        assert sorted(seen[CLOSE]) == ["198.51.100.2/32", f"{RUNNER}/32"], "the one of three hours ago is gone"
        assert ssh_rules(closed.fleet) == {"198.51.100.2/32": left["198.51.100.2/32"]}, "who still works is let be"
    finally:
        ec2_client().revoke_security_group_ingress(GroupId=group, IpPermissions=[{**SSH, "IpRanges": ranges[1:]}])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "No host key is pinned: inventories/production/known_hosts.txt is missing or empty."),
        ("i-00000000000000000 ssh-ed25519 AAAA\n", "has no key of e2e-"),
    ],
)
def test_without_the_host_s_key_nothing_is_opened(
    closed: Host, between: AwsBetween, workspace: Path, line: str, said: str
) -> None:
    (workspace / "inventories/production/known_hosts.txt").write_text(line)
    outcomes = job(between, workspace).run()
    assert list(outcomes) == [OPEN, CLOSE]
    assert outcomes[OPEN].rc != 0
    assert said in " ".join(outcomes[OPEN].log.split()), log(outcomes)
    assert outcomes[CLOSE].rc == 0, log(outcomes)
    assert not {call for call in between.calls if "Authorize" in call}
    assert ssh_rules(closed.fleet) == {}
