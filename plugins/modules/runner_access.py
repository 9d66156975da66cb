#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Open port 22 of a fleet for the machine that this runs on, and close it again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runner_access
short_description: Open port 22 of a fleet for the machine that this runs on, and close it again
version_added: 0.1.0
description:
  - For the controller, such as a runner of GitHub Actions that has another address each time.
  - Adds one rule to the fleet's security group, with the run and the time in its description, and takes it away again.
  - Each call also takes away what runs have left that were killed. Rules that are no run's are left alone.
options:
  state:
    description: Whether the machine may reach port 22.
    type: str
    required: true
    choices: [present, absent]
  fleet:
    description: Name of the fleet, which is the name of its security group and the value of the tag C(davit_fleet).
    type: str
    required: true
  run:
    description: Name of this run, different from any other's; a rule is closed by it.
    type: str
    required: true
  address:
    description: The machine's public IPv4 address; O(address_url) is asked when it is empty.
    type: str
    default: ""
  address_url:
    description: A service that answers with the address that asks.
    type: str
    default: https://checkip.amazonaws.com
  max_age:
    description: Seconds after which a run's rule counts as left behind. Longer than a run may take.
    type: int
    default: 7200
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Says what would change without changing it.
    support: full
  diff_mode:
    description: Shows the rules for port 22 before and after.
    support: full
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Let this machine in
  davit.ec2.runner_access:
    state: present
    fleet: davit
    run: octo/shop/4711

- name: Shut it out again
  davit.ec2.runner_access:
    state: absent
    fleet: davit
    run: octo/shop/4711
"""

RETURN = r"""
group:
  description: The security group's id.
  type: str
  returned: success
  sample: sg-0a1b2c3d
opened:
  description: The rules that were added, each a network with its description.
  type: list
  elements: str
  returned: success
  sample: ["203.0.113.7/32 (davit runner octo/shop/4711 since 2026-11-26T15:30:00Z)"]
closed:
  description: The rules that were taken away.
  type: list
  elements: str
  returned: success
"""

import contextlib
import time
import urllib.error
from collections.abc import Mapping
from typing import Any

# AnsibleAWSModule says what is missing.
with contextlib.suppress(ImportError):
    from botocore.exceptions import BotoCoreError, ClientError

from ansible.module_utils.urls import open_url
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from ansible_collections.davit.ec2.plugins.module_utils import runner_access
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.runner_access import Plan, Rule

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "required": True, "choices": ["present", "absent"]},
    "fleet": {"type": "str", "required": True},
    "run": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "address_url": {"type": "str", "default": "https://checkip.amazonaws.com"},
    "max_age": {"type": "int", "default": 7200},
}
TRIES = 5
# Somebody else was faster, or the answer to an earlier try was lost: what is true now has to be looked at.
OVERTAKEN = {"InvalidPermission.Duplicate", "InvalidPermission.NotFound"}


def asked_address(url: str, pause: float = 1.0) -> str:
    """The address from which ``url`` sees this machine."""
    if not url.startswith(("https://", "http://")):
        raise DavitError(f"runner_access_address_url is '{url}', and has to begin with https:// or http://.")
    problem = ""
    for number in range(TRIES):
        try:
            with open_url(url, timeout=10) as answer:
                return runner_access.public_address(answer.read(64).decode("ascii", "replace"), url)
        except (OSError, ValueError) as error:
            problem = str(error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            time.sleep(pause * number)
    raise DavitError(f"{url} did not say which address this machine has: {problem}. Set runner_access_address instead.")


class Group:
    """The fleet's security group in AWS."""

    def __init__(self, client: Any, fleet: str) -> None:
        self._client = client
        self._filters = [
            {"Name": "group-name", "Values": [fleet]},
            {"Name": "tag:davit_fleet", "Values": [fleet]},
        ]
        self._fleet = fleet
        self.id = ""

    def rules(self) -> list[Rule]:
        """Its rules for port 22."""
        found = self._client.describe_security_groups(Filters=self._filters)["SecurityGroups"]
        if len(found) != 1:
            names = ", ".join(sorted(group["GroupId"] for group in found)) or "none"
            raise DavitError(
                f"The fleet '{self._fleet}' has to have one security group of this name and tag, and there is: {names}."
                " Compare fleet and region in the inventory, or make it with playbooks/provision.yml."
            )
        self.id = str(found[0]["GroupId"])
        return runner_access.ssh_rules(found[0].get("IpPermissions", []))

    def apply(self, todo: Plan) -> None:
        """Take away, then add: AWS has one rule for each network, and nothing is open if this ends half-way."""
        if todo.revoke:
            gone = [{**rule.to_permission(), "IpRanges": [{"CidrIp": rule.cidr}]} for rule in todo.revoke]
            self._client.revoke_security_group_ingress(GroupId=self.id, IpPermissions=gone)
        if todo.authorize:
            added = [rule.to_permission() for rule in todo.authorize]
            self._client.authorize_security_group_ingress(GroupId=self.id, IpPermissions=added)


def converge(group: Group, run: str, address: str, max_age: float, *, check: bool, pause: float = 1.0) -> Any:
    """Make the group as ``run`` needs it; its rules for port 22 before and after."""
    before: list[Rule] | None = None
    for number in range(1, TRIES + 1):
        rules = group.rules()
        before = rules if before is None else before
        todo = runner_access.plan(rules, run, address, time.time(), max_age)
        if check or todo == Plan():
            return before, todo.applied(rules)
        try:
            group.apply(todo)
        except ClientError as error:
            if error.response["Error"]["Code"] not in OVERTAKEN:
                raise
            time.sleep(pause * number)
        else:
            return before, todo.applied(rules)
    raise DavitError(
        f"The rules for port 22 of {group.id} were changed by others {TRIES} times while this run was about to change"
        " them. Look who else runs, and run this again."
    )


def work(module: Any) -> dict[str, Any]:
    given = module.params
    run, address = runner_access.check_run(given["run"]), ""
    if given["state"] == "present":
        told = given["address"]
        address = runner_access.public_address(told, "address") if told else asked_address(given["address_url"])
    group = Group(module.client("ec2"), given["fleet"])
    before, after = converge(group, run, address, given["max_age"], check=module.check_mode)
    opened = [str(rule) for rule in after if rule not in before]
    closed = [str(rule) for rule in before if rule not in after]
    lines = ["".join(f"{rule}\n" for rule in rules) for rules in (before, after)]
    return {
        "changed": bool(opened or closed),
        "group": group.id,
        "opened": opened,
        "closed": closed,
        "diff": {"before": lines[0], "after": lines[1], "before_header": group.id, "after_header": group.id},
    }


def unfinished(given: Mapping[str, Any]) -> str:
    """What is to be done when AWS has refused, or has not answered."""
    what = "opened" if given["state"] == "present" else "closed"
    run = given["run"]
    return (
        f"Port 22 of the fleet '{given['fleet']}' could not be {what} for the run {run}. What is open for it is closed"
        f" by playbooks/runner_access.yml -e runner_access_state=absent -e runner_access_run={run},"
        f" by playbooks/provision.yml, or by a later run after {given['max_age']} s. AWS says"
    )


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = work(module)
    except DavitError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=unfinished(module.params))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
