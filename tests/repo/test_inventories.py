"""The inventories as people use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path


def test_pinned_keys_may_lie_beside_the_inventory(root: Path, tmp_path: Path) -> None:
    """`make known-hosts` puts them there. Taken for a part of the inventory they would be an error."""
    inventory = tmp_path / "ssh"
    shutil.copytree(root / "inventories/ssh", inventory)
    (inventory / "known_hosts").write_text(
        "203.0.113.7 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsDGdbl9hSoNIPlvzCGnCtU5H0P\n"
    )
    result = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory), "--list"],
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / ".ansible"),
            "EC2_HOST": "203.0.113.7",
            "EC2_USER": "ubuntu",
            "EC2_SSH_KEY": str(tmp_path / "key"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["davit"]["hosts"] == ["ec2"]
