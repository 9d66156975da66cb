"""What the roles refuse for their connection or inventory, asked of Ansible itself; no host is needed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

# Runs on this machine what would be sent to a host, as after a login of the user that is the program's name.
SSH = """\
#!/bin/sh
for command; do :; done
exec env -u SUDO_USER LOGNAME="${0##*/}" SSH_CONNECTION="192.0.2.1 5000 192.0.2.2 22" sh -c "$command"
"""


def preflight(place: Path, role: str, hosts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Run the preflight of ``role`` on hosts with these variables; what it says to each host that it refuses.

    ``login`` is the user who came in.
    """
    for name in {str(variables.get("login", "nobody-here")) for variables in hosts.values()}:
        (place / name).write_text(SSH)
        (place / name).chmod(0o755)
    common = {
        "ansible_host": "127.0.0.1",
        "ansible_ssh_executable": f"{place}/{{{{ login | default('nobody-here') }}}}",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_facts": {
            "distribution": "Debian",
            "distribution_version": "13",
            "virtualization_role": "guest",
            "virtualization_type": "docker",
        },
    }
    inventory, playbook = place / "hosts.yml", place / "play.yml"
    inventory.write_text(yaml.safe_dump({"davit": {"hosts": hosts, "vars": common}}))
    task = {"ansible.builtin.include_role": {"name": f"davit.ec2.{role}", "tasks_from": "preflight"}}
    playbook.write_text(yaml.safe_dump([{"hosts": "davit", "gather_facts": False, "tasks": [task]}]))
    ran = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(playbook)],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_HOME": str(ROOT / ".ansible"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        },
        check=False,
        capture_output=True,
        text=True,
    )
    ended = dict(re.findall(r"^(\S+)\s+: ok=\d.* failed=(\d)", ran.stdout, re.MULTILINE))
    assert set(ended) == set(hosts), ran.stdout + ran.stderr
    refused = re.findall(r"^fatal: \[(\S+)\]: (.*(?:\n .*)*)", ran.stdout + ran.stderr, re.MULTILINE)
    told = {host: " ".join(words.split()) for host, words in refused}
    assert set(told) == {host for host, failed in ended.items() if failed != "0"}
    return told


def test_a_connection_that_the_role_would_close_is_refused(tmp_path: Path) -> None:
    told = preflight(
        tmp_path,
        "host_baseline",
        {
            "by-key": {},
            "config-file": {"login": "root"},
            "root": {"ansible_user": "root"},
            "password": {"ansible_password": "given"},
            "left-alone": {"login": "root", "host_baseline_sshd": False},
        },
    )
    assert set(told) == {"config-file", "root", "password"}
    assert "This host is reached as root, and the role would close that way." in told["config-file"]
    assert "This host is reached as root, and" in told["root"]
    assert "This host is reached with a password, and" in told["password"]


def test_a_host_orders_no_certificate_for_a_name_that_another_serves(tmp_path: Path) -> None:
    """The server's question may reach the other one."""
    acme = {"edge_acme_email": "ops@shop.test", "edge_acme_agree_to_terms": True}
    given = {"edge_certificates": [{"chain": "chain", "key": "key"}]}
    routes = {"compose_release_routes": [{"service": "web", "hosts": ["{{ its_name }}"]}]}
    told = preflight(
        tmp_path,
        "edge",
        {
            "shop-1": {**acme, **routes, "its_name": "shop.test"},
            "shop-2": {**acme, **routes, "its_name": "shop.test"},
            "blog-1": {**acme, **routes, "its_name": "blog.test"},
            "blog-2": {**given, **routes, "its_name": "blog.test"},
            "alone": {**acme, **routes, "its_name": "alone.test"},
        },
    )
    assert set(told) == {"shop-1", "shop-2", "blog-1"}
    assert "Several hosts serve shop.test (shop-1, shop-2), so" in told["shop-2"]
    assert "Several hosts serve blog.test (blog-1, blog-2), so" in told["blog-1"]
