"""Every playbook parses, and the configuration brings no warning."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"tasks", "vars", "templates", "files", "group_vars"}
PLAYBOOKS = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "playbooks").rglob("*.yml")
    if not PARTS & set(path.relative_to(ROOT).parts)
)


def ansible(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in the checkout with an inventory that needs neither lab nor cloud."""
    environment = {
        **os.environ,
        "ANSIBLE_INVENTORY": "tests/repo/inventory.yml",
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
    }
    return subprocess.run(
        ["ansible-playbook", *arguments], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=str)
def test_playbook_parses(playbook: Path) -> None:
    result = ansible("--syntax-check", str(playbook))
    assert result.returncode == 0, result.stderr


def delegated(node: Any) -> Iterator[dict[str, Any]]:
    """Every task below ``node`` that another host does, and block of such tasks."""
    if isinstance(node, dict) and "delegate_to" in node:
        yield node
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from delegated(below)


def test_no_delegated_task_asks_for_the_address_of_its_host() -> None:
    """For a host that has no ansible_host, Ansible fills in the delegate's."""
    files = [*(ROOT / "playbooks").rglob("*.yml"), *(ROOT / "roles").glob("*/tasks/**/*.yml")]
    tasks = [task for path in files for task in delegated(yaml.safe_load(path.read_text()))]
    assert len(tasks) >= 4
    assert [task["name"] for task in tasks if re.search(r"(?<!\]\.)\bansible_host\b", json.dumps(task))] == []


@pytest.mark.parametrize(("proxies", "asked"), [([], True), (["192.0.2.0/24"], False)])
def test_doctor_looks_at_a_host_that_has_a_name_alone(tmp_path: Path, proxies: list[str], asked: bool) -> None:
    """And asks DNS unless a load balancer stands in front of the edge."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"davit": {"hosts": {"127.0.0.2": {"ansible_port": 1}}}}))
    routes = [{"service": "web", "hosts": ["nowhere.invalid"]}]
    given = json.dumps({"compose_release_routes": routes, "edge_trusted_proxies": proxies})
    result = ansible("-i", str(inventory), "playbooks/doctor.yml", "-e", given)
    assert result.returncode == 2, result.stderr
    assert "127.0.0.2:1 answers that nobody listens" in result.stdout
    assert ("DNS does not point here" in result.stdout) == asked


def test_configuration_brings_no_warning() -> None:
    result = ansible("--version")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "config file = " + str(ROOT / "ansible.cfg") in result.stdout
