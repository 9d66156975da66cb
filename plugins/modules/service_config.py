#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Write a service's configuration file, and have the running service follow it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_config
short_description: Write a service's configuration file, and have the running service follow it
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Writes the file, asks a program what it makes of it, and tells the service, in one step. A handler would be lost
    with a run that ends early.
  - When the program does not agree, the file is put back as the running service knows it.
  - A run that died after the write is made good by the next one. A boot counts as applied.
options:
  path:
    description: The file, which becomes root's and readable for all. Its directory is made.
    type: path
    required: true
  content:
    description: The whole text.
    type: str
    required: true
  check:
    description: Program and arguments that have to end well with the file in place. Runs each time.
    type: list
    elements: str
    default: []
  expected:
    description: Lines that this program must print.
    type: list
    elements: str
    default: []
  advice:
    description: What to do when the check fails.
    type: str
    default: ""
  apply:
    description: Program and arguments that have the running service follow.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Tells what would change without writing anything. A file that is as it is wanted is checked.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
  platform:
    description: Hosts with systemd, which clear C(/run) at boot.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Let people in by key only
  davit.ec2.service_config:
    path: /etc/ssh/sshd_config.d/10-keys.conf
    content: |
      PasswordAuthentication no
    check: [/usr/sbin/sshd, -T]
    expected: [passwordauthentication no]
    apply: [systemctl, reload-or-restart, ssh.service]
"""

RETURN = r"""
written:
  description: Whether the file differed. A change without that is one that an earlier run had not applied.
  returned: success
  type: bool
  sample: true
"""

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import store, unapplied
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MODE = 0o644

ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "check": {"type": "list", "elements": "str", "default": []},
    "expected": {"type": "list", "elements": "str", "default": []},
    "advice": {"type": "str", "default": ""},
    "apply": {"type": "list", "elements": "str", "required": True},
}


def read(path: Path) -> str | None:
    """The text of the file; None when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def is_amiss(path: Path) -> bool:
    """Whether mode or owner keep the file from being what it is for."""
    found = path.stat()
    return stat.S_IMODE(found.st_mode) != MODE or found.st_uid != os.geteuid()


def put(path: Path, text: str | None) -> None:
    """Have the file with this text; None takes it away."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    store.write(path, text.encode(), MODE)


def objection(check: list[str], expected: list[str]) -> str:
    """What the program has against the files as they are; '' when it agrees."""
    if not check:
        return ""
    try:
        said = run(check).stdout.splitlines()
    except CommandError as error:
        return str(error)
    missing = [line for line in expected if line not in said]
    return f"it does not say: {', '.join(missing)}." if missing else ""


def work(module: AnsibleModule) -> dict[str, Any]:
    path, text = Path(module.params["path"]), str(module.params["content"])
    before, noted = read(path), unapplied.recall(path)
    written = before != text or is_amiss(path)
    changed = written or noted is not None
    if written and not module.check_mode:
        if noted is None:
            unapplied.remember(path, json.dumps(before))
        put(path, text)
    if not (written and module.check_mode):
        reason = objection(module.params["check"], module.params["expected"])
        if reason:
            _refuse(module, path, json.loads(noted) if noted else before, reason, changed=changed)
    if changed and not module.check_mode:
        run(module.params["apply"])
        unapplied.forget(path)
    diff = {"before": before or "", "after": text, "before_header": str(path), "after_header": str(path)}
    return {"changed": changed, "written": written, "diff": diff}


def _refuse(module: AnsibleModule, path: Path, former: str | None, reason: str, *, changed: bool) -> None:
    """Put back what the running service knows. Raises DavitError."""
    if changed and not module.check_mode:
        put(path, former)
        unapplied.forget(path)
    stays = "is as it was" if former is not None or not changed else "is gone again"
    check, advice = " ".join(module.params["check"]), module.params["advice"]
    raise DavitError(f"'{check}' does not agree with what {path} says, so the file {stays}: {reason} {advice}".strip())


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
