#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Say whether this connection would come in by key alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_login
short_description: Say whether this connection would come in by key alone
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Asks the host who came in by SSH, since the inventory knows neither of a password that was typed nor of a user in
    C(~/.ssh/config).
  - What cannot be found out counts as open, such as keys that sshd asks a program for.
attributes:
  check_mode:
    description: Changes nothing in any case.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Where the module runs.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Look at how this connection came in
  davit.ec2.ssh_login:
"""

RETURN = r"""
closed:
  description: How the host is reached, where that would no longer do. Empty when all is well.
  returned: success
  type: str
  sample: as 'admin', who has no key in /srv/admin/.ssh/authorized_keys
"""

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import ssh_login
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def said(*argv: str) -> str:
    """What the program prints; '' when it cannot be asked."""
    try:
        return run(argv, timeout=10).stdout
    except CommandError:
        return ""


def has_key(path: Path) -> bool:
    try:
        return ssh_login.has_key(path.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # A home on another machine may be closed to root, and is not to sshd.
        return True


def closed(user: str) -> str:
    """How ``user`` comes in that would be closed; '' for nothing that is known."""
    if user == "root":
        return "as root"
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return ""
    told = ssh_login.settings(said("/usr/sbin/sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1"))
    # EC2 Instance Connect gives sshd its program by the command line, which sshd -T does not know.
    started = said("systemctl", "show", "--property=ExecStart", "ssh.service")
    if not ssh_login.needs_key_file(told) or "AuthorizedKeysCommand" in started:
        return ""
    files = ssh_login.key_files(told, ssh_login.Account(user, found.pw_uid, found.pw_dir))
    if any(has_key(Path(file)) for file in files):
        return ""
    return f"as '{user}', who has no key in {' or '.join(files) or 'any file'}"


def work(_module: AnsibleModule) -> dict[str, Any]:
    return {"changed": False, "closed": closed(ssh_login.user_of(os.environ))}


def main() -> None:
    run_module({}, work)


if __name__ == "__main__":
    main()
