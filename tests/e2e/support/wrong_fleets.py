"""Fleets that are declared wrongly, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.e2e.support.fleet import Fleet
from tests.e2e.support.playbook import Result, run_ansible

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"security_group_ssh_cidrs": ["0.0.0.0/0"]}, "Port 22 (SSH) would be open to the world by 0.0.0.0/0"),
    (
        {"security_group_extra_rules": [{"proto": "all", "cidr_ipv6": "::/0"}]},
        "Every port would be open to the world by ::/0",
    ),
    (
        {"security_group_public_ports": [80, 443, 8000]},
        "Port 8000 (a service without the edge) would be open to the world by 0.0.0.0/0, ::/0. Instead, let",
    ),
    (
        {
            "security_group_extra_rules": [{"proto": "tcp", "ports": ["5000-6000"], "cidr_ip": "0.0.0.0/0"}],
            "security_group_world_ports_allowed": [8000],
        },
        "Port 5432 (PostgreSQL) would be open to the world by 0.0.0.0/0",
    ),
    ({"ec2_instance_profile": "own"}, "both ec2_instance_profile ('own') and"),
    ({"security_group_ssh_cidrs": ["my office"]}, "'my office' in the security group's rules is not a network"),
    ({"security_group_ssh_cidrs": []}, "security_group_ssh_cidrs is empty"),
    ({"ec2_instance_public_key_file": "nowhere.pub"}, "ec2_instance_public_key_file ('nowhere.pub') is not there"),
    ({"ec2_instance_names": ["one", "one"]}, "names a host twice (one, one)"),
    ({"ec2_instance_count": 0}, "set ec2_instance_count to 1 or more"),
    ({"ec2_instance_aws": {}}, "ec2_instance_aws has no region"),
    ({"ec2_instance_vpc_id": "vpc-1"}, "name those to use in ec2_instance_subnet_ids"),
    ({"ec2_instance_count": "many"}, "ec2_instance_count"),
]
"""A fleet's variables, and what is said of them."""


def run_wrong(fleet: Fleet, folder: Path) -> Result:
    """Run the role that provision.yml begins with, for all of them at once.

    Each is a host, wrong-0 and so on, and each host is this machine.
    """
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    hosts = {f"wrong-{number}": {**local, **wrong} for number, (wrong, _said) in enumerate(WRONG)}
    inventory, play = folder / "hosts.yml", folder / "play.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    role = {"name": "Declare", "hosts": "wrong-*", "gather_facts": False, "roles": ["davit.ec2.ec2_instance"]}
    play.write_text(yaml.safe_dump([role]))
    command = ["ansible-playbook", "-i", str(fleet.inventory), "-i", str(inventory), str(play)]
    return run_ansible(*command, environment={"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"})
