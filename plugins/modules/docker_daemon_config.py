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
  - Refuses settings with which the engine would come up without the containers and volumes that it has.
  - Says whether a running engine follows with a reload or needs a restart; does neither itself. It says so in each run
    until RV(unapplied) is removed or the engine was started anew, also when the file is as it is wanted by then.
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
replaced:
  description: The running services of the engine whose program an upgrade has replaced.
  type: list
  elements: str
  returned: success
  sample: [containerd.service]
unapplied:
  description: To be removed when the running engine has taken the configuration.
  type: str
  returned: success
  sample: /run/davit-unapplied/etc-docker-daemon.json
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import daemon_config, engine_api, unapplied
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MODE = 0o644
SEARCH = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"]
ENGINE = "docker.service"
CONTAINERD = "containerd.service"
PROCESSES = Path("/proc")

ARGUMENTS: dict[str, Any] = {
    "config": {"type": "dict", "required": True},
    "path": {"type": "path", "default": "/etc/docker/daemon.json"},
}


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


def main_process(unit: str) -> int:
    """The process of a running service; 0 when it does not run, or is not installed."""
    try:
        return int(run(["systemctl", "show", "--property=MainPID", "--value", unit], timeout=10).stdout.strip() or 0)
    except CommandError:
        return 0


def is_replaced(process: int) -> bool:
    """Whether another file stands where the process's program was: an upgrade that nobody restarted it for."""
    try:
        return process > 0 and str((PROCESSES / f"{process}/exe").readlink()).endswith(" (deleted)")
    except OSError:
        return False


def taken_by(process: int, path: Path) -> str | None:
    """The text that this engine read where it is known not to be that of the file.

    One that was started since has read the file.
    """
    try:
        noted = json.loads(unapplied.recall(path) or "{}")
    except ValueError:
        return None
    return str(noted["text"]) if process and noted.get("process") == process else None


def has_data(before: str | None) -> bool:
    """Whether an engine has been here. A disk that is mounted for it has ``lost+found``."""
    if before is not None:
        return True
    root = Path(daemon_config.data_root(before))
    return root.is_dir() and any(entry.name != "lost+found" for entry in root.iterdir())


def chosen_by(process: int) -> dict[str, Any]:
    """What a running engine chose for itself; nothing when it cannot be asked."""
    with contextlib.suppress(DavitError):
        if process:
            return daemon_config.in_use(engine_api.call("GET", "/info")[1])
    return {}


def work(module: AnsibleModule) -> dict[str, Any]:
    path, config = Path(module.params["path"]), module.params["config"]
    before, process = read(path), main_process(ENGINE)
    taken = taken_by(process, path)
    planned = daemon_config.plan(before, config, taken)
    written = before != planned.text
    if written:
        if has_data(before):
            daemon_config.refuse_hiding(before, config, chosen_by(process))
        validate(module, path, planned.text)
    if written and not module.check_mode:
        if process:
            text = before if taken is None else taken
            unapplied.remember(path, json.dumps({"process": process, "text": text or ""}))
        write(path, planned.text)
    replaced = [unit for unit in (CONTAINERD, ENGINE) if is_replaced(main_process(unit))]
    return {
        "changed": written or planned.action != "none" or bool(replaced),
        "action": planned.action,
        "differing": list(planned.differing),
        "replaced": replaced,
        "unapplied": str(unapplied.note_of(path)),
        "diff": {
            "before": before or "",
            "after": planned.text,
            "before_header": str(path),
            "after_header": str(path),
        },
    }


def main() -> None:
    """Module entry point."""
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
