#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Write Docker's daemon.json and say whether a running engine must reload or restart for it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon_config
short_description: Write the Docker engine's configuration file
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Writes the configuration file of the Docker engine as JSON, in one step, and never leaves half a file.
  - The new file is checked by C(dockerd --validate) first, where the host has an engine that can do that.
  - Says whether a running engine follows with a reload or needs a restart; does neither itself.
options:
  config:
    description:
      - All settings of the file. Settings that are not named here are removed from the file.
      - The file that was there before the first change is kept beside it with the suffix C(.before-davit).
    type: dict
    required: true
  path:
    description: The file.
    type: path
    default: /etc/docker/daemon.json
attributes:
  check_mode:
    description: Tells what would change without writing anything.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
  platform:
    description: Where the module runs.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Keep containers running over a restart of the engine
  davit.ec2.docker_daemon_config:
    config:
      live-restore: true
"""

RETURN = r"""
action:
  description: What makes a running engine follow the change.
  type: str
  returned: success
  sample: reload
differing:
  description: The settings that differed.
  type: list
  elements: str
  returned: success
  sample: [live-restore]
"""

import os
import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.davit.ec2.plugins.module_utils.daemon_config import plan
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

MODE = 0o644
SEARCH = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"]


def read(path: Path) -> str | None:
    """The text of the file, or None when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def validate(module: AnsibleModule, path: Path, text: str) -> None:
    """Ask the host's own engine whether it would start with this text.

    Silent where there is no engine, or one older than 23, which cannot check a file.
    Raises DavitError with the engine's words.
    """
    dockerd = module.get_bin_path("dockerd", opt_dirs=SEARCH)
    if dockerd is None:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as candidate:
        candidate.write(text)
        candidate.flush()
        code, out, err = module.run_command([dockerd, "--validate", "--config-file", candidate.name])
    words = (err or out).strip()
    if code != 0 and "unknown flag" not in words:
        raise DavitError(f"{dockerd} would not start with the wanted settings, so {path} is left as it was: {words}")


def write(path: Path, text: str) -> None:
    """Put the file in place in one rename, keeping beside it the one that was there before the first time."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    former = path.with_name(path.name + ".before-davit")
    if path.exists() and not former.exists():
        shutil.copy2(path, former)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".daemon-")
    staged = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.chmod(MODE)
        staged.rename(path)
    except OSError:
        staged.unlink()
        raise


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "dict", "required": True},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    try:
        before = read(path)
        planned = plan(before, module.params["config"])
        changed = before != planned.text
        if changed:
            validate(module, path, planned.text)
        if changed and not module.check_mode:
            write(path, planned.text)
    except (OSError, DavitError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        action=planned.action,
        differing=list(planned.differing),
        diff={
            "before": before or "",
            "after": planned.text,
            "before_header": str(path),
            "after_header": str(path),
        },
    )


if __name__ == "__main__":
    main()
