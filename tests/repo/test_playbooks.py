"""Every playbook parses, and the configuration brings no warning."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

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


def test_configuration_brings_no_warning() -> None:
    result = ansible("--version")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "config file = " + str(ROOT / "ansible.cfg") in result.stdout
