"""When the host's timer has to act, which it asks every few seconds: it must be right, and cost next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import agent, leases

NOW = leases.Moment("boot", 1000.0)


def beat(boot: str = "boot", heartbeat: Any = 990.0, lease_seconds: Any = 60.0) -> str:
    return json.dumps({"boot": boot, "heartbeat": heartbeat, "lease_seconds": lease_seconds})


@pytest.mark.parametrize(
    ("journals", "expected"),
    [
        ([], False),
        ([beat()], True),
        ([beat(), beat(lease_seconds=10.5)], True),
        ([beat(), beat(lease_seconds=10)], False),
        ([beat(lease_seconds=0)], False),
        ([beat("an earlier boot", 5.0)], False),
        ([beat(), "{"], False),
        ([beat(), "[]"], False),
        ([beat(), '{"boot": "boot"}'], False),
        ([beat(heartbeat="long ago")], False),
        ([beat(), None], False),
    ],
)
def test_somebody_has_to_act_unless_every_lease_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journals: list[str | None], expected: bool
) -> None:
    monkeypatch.setattr(leases, "moment", lambda: NOW)
    for number, text in enumerate(journals):
        path = tmp_path / f"apps/app-{number}/deploy.json"
        path.parent.mkdir(parents=True)
        # What cannot be read, as a folder cannot.
        path.mkdir() if text is None else path.write_text(text)
    # What somebody has put aside is nobody's lease.
    (tmp_path / "apps/app-0.bak").mkdir(parents=True)
    (tmp_path / "apps/app-0.bak/deploy.json").write_text("{")
    assert leases.all_run(str(tmp_path)) is expected


@pytest.mark.parametrize(("seconds", "whole"), [(60, False), (0, True)])
def test_a_look_at_leases_that_run_imports_next_to_nothing(tmp_path: Path, seconds: int, whole: bool) -> None:
    program = tmp_path / "davit.pyz"
    program.write_bytes(agent.archive())
    journal = tmp_path / "apps/shop/deploy.json"
    journal.parent.mkdir(parents=True)
    now = leases.moment()
    journal.write_text(beat(now.boot, now.uptime, seconds))
    command = [sys.executable, "-I", "-X", "importtime", str(program), "recover", str(tmp_path)]
    done = subprocess.run(command, cwd="/", env={}, capture_output=True, text=True, check=False)
    assert ("module_utils.ending" in done.stderr) is whole
    assert "module_utils.leases" in done.stderr
