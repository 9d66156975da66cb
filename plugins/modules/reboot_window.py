#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Let a host reboot for its upgrades in a window, and never under a deploy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reboot_window
short_description: Let a host reboot for its upgrades in a window, and never under a deploy
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Installs a timer that reboots the host once a day when an upgrade asks for it (C(/run/reboot-required)).
  - It waits while a deploy or a rollback of any app is under way, and none can begin while the host goes down. When the
    window is over, it leaves the reboot for the next day.
  - The hosts of a fleet begin at different times of the first half of the window.
options:
  state:
    description: Whether the host shall reboot by itself.
    type: str
    choices: [present, absent]
    default: present
  at:
    description: Time of day at which the window opens, in the host's time zone.
    type: str
    default: "03:30"
  minutes:
    description: How long the window is.
    type: int
    default: 120
  root:
    description: Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
attributes:
  check_mode:
    description: Tells what would change without writing anything.
    support: full
  diff_mode:
    description: Shows the units before and after.
    support: full
  platform:
    description: Hosts with systemd.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Reboot for upgrades between four and five
  davit.ec2.reboot_window:
    at: "04:00"
    minutes: 60
"""

RETURN = r"""
files:
  description: The files that differed.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/davit-reboot.timer]
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import agent, reboot, store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from pathlib import Path

    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "at": {"type": "str", "default": "03:30"},
    "minutes": {"type": "int", "default": 120},
    "root": {"type": "path", "default": DEFAULT_ROOT},
}


def wanted_files(parameters: dict[str, Any]) -> dict[Path, bytes]:
    """Every file that the window is made of, with its content; empty for one that shall be gone."""
    root = parameters["root"]
    units = reboot.units(root, parameters["at"], parameters["minutes"])
    files = {agent.UNITS / name: text.encode() for name, text in units.items()}
    files[reboot.program(root)] = agent.archive()
    return files if parameters["state"] == "present" else dict.fromkeys(files, b"")


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def runs() -> bool:
    """Whether the timer is set, now and at the next boot."""
    try:
        run(["systemctl", "is-enabled", "--quiet", reboot.TIMER], timeout=10)
        run(["systemctl", "is-active", "--quiet", reboot.TIMER], timeout=10)
    except CommandError:
        return False
    return True


def put(files: dict[Path, bytes], *, present: bool) -> None:
    """Write or remove ``files``, and have systemd follow."""
    if not present:
        run(["systemctl", "disable", "--now", "--quiet", reboot.TIMER])
    for path, content in files.items():
        if content:
            store.make_private(path.parent)
            store.write(path, content, 0o644 if path.parent == agent.UNITS else 0o700)
        else:
            path.unlink(missing_ok=True)
    run(["systemctl", "daemon-reload"])
    if present:
        run(["systemctl", "enable", "--quiet", reboot.TIMER])
        run(["systemctl", "restart", reboot.TIMER])


def work(module: AnsibleModule) -> dict[str, Any]:
    wanted = wanted_files(module.params)
    present = module.params["state"] == "present"
    differing = {path: content for path, content in wanted.items() if read(path) != content}
    changed = bool(differing) or (present and not runs())
    shown = [path for path in differing if path.parent == agent.UNITS]
    diff = [
        {"before": read(p).decode(), "after": wanted[p].decode(), "before_header": str(p), "after_header": str(p)}
        for p in shown
    ]
    if changed and not module.check_mode:
        put(differing, present=present)
    return {"changed": changed, "files": sorted(str(path) for path in differing), "diff": diff}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
