"""Run the project's own commands as a user does, in a process of their own, and read what they report."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)"
    r"\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)
# An ample limit: a run that hangs shall be red and not stop the whole suite.
TIMEOUT = 900


@dataclass(frozen=True)
class Stats:
    """One host's line of the recap."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Result:
    """How one run ended, and what it printed."""

    command: list[str]
    rc: int
    stdout: str
    stderr: str
    stats: dict[str, Stats] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """All that a user sees, blanks folded, since Ansible wraps long messages."""
        return re.sub(r"\s+", " ", self.stdout + self.stderr)

    @property
    def changed(self) -> dict[str, int]:
        """The number of changed tasks by host, hosts without any left out."""
        return {host: stats.changed for host, stats in self.stats.items() if stats.changed}

    def __str__(self) -> str:
        """The run's whole text, for the message of a failed test."""
        return f"$ {' '.join(self.command)}\n{self.stdout}\n{self.stderr}\nexit code {self.rc}"


def read_stats(text: str) -> dict[str, Stats]:
    """The recap at the end of a run's output, by host."""
    return {
        found["host"]: Stats(*(int(found[name]) for name in ("ok", "changed", "unreachable", "failed")))
        for found in RECAP.finditer(text)
    }


def run_ansible(*command: str, environment: Mapping[str, str] | None = None) -> Result:
    """Run one Ansible command in the checkout; the environment is added to this process's own."""
    finished = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        stdin=subprocess.DEVNULL,
    )
    return Result(list(command), finished.returncode, finished.stdout, finished.stderr, read_stats(finished.stdout))


def run_playbook(
    name: str,
    *arguments: str,
    inventory: Path | None = None,
    extra_vars: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run `playbooks/<name>.yml`, with the default inventory unless another one is given."""
    command = ["ansible-playbook", f"playbooks/{name}.yml", *arguments]
    if inventory is not None:
        command += ["-i", str(inventory)]
    if extra_vars is not None:
        command += ["-e", json.dumps(dict(extra_vars))]
    return run_ansible(*command, environment=environment)
