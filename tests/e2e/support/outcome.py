"""What has to hold after every fault, whatever it was."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.support.load import Load
from tests.e2e.support.playbook import Result
from tests.e2e.support.target import APP, HOME, LEASE, Target
from tests.e2e.support.wait import until

TIMER = 40
"""Seconds within which the host's timer notices that a lease has ended, on a busy machine."""

SOAK = 4
"""Seconds of a soak that a fault shall hit: long enough to hit it."""

LEDGER: list[str] = []
"""A line for each fault: what was asked, what was lost, how long; printed at the end of the run."""


@dataclass(frozen=True)
class Before:
    """The host as it was before the fault."""

    live: str
    lines: int

    @classmethod
    def of(cls, target: Target) -> Before:
        return cls(target.live(), len(target.history()))


def free(target: Target) -> float:
    """Wait until nobody holds the app, neither by journal nor by lock; the seconds that it took."""
    begin = time.monotonic()
    until(lambda: not target.journal(), LEASE + TIMER)
    target.inside(f"flock --wait {TIMER} {HOME}/lock true")
    return time.monotonic() - begin


def assert_true_records(target: Target, expected: str) -> None:
    """Edge, link, history and containers agree on the live release, and nothing is left over."""
    assert target.answering() == expected
    assert target.live() == expected
    good = [line for line in target.history() if line["result"] == "succeeded"]
    assert good[-1]["release"] == expected, good[-1]
    until(lambda: target.running() == {project(expected)}, 60)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "status.json"
        shown = target.fleet.run("status", status_app=APP, status_json=str(path))
        assert shown.rc == 0, str(shown)
        (host,) = json.loads(path.read_text()).values()
    assert host["apps"][APP]["problems"] == [], str(shown)
    target.inside(f"test ! -e /run/davit/stage/{APP}")


def project(release: str) -> str:
    """The Compose project of a release: `<app>-<n>-<hash>`."""
    _date, _time, content, number = release.split("-")
    return f"{APP}-{number}-{content}"


def told(target: Target, before: Before) -> list[dict[str, Any]]:
    """What the history says of the time since then."""
    return target.history()[before.lines :]


def told_when_free(target: Target, before: Before) -> list[dict[str, Any]]:
    """The history's new lines, once the deploy has ended on the host, by whomever."""
    until(lambda: not target.journal(), LEASE + TIMER)
    return told(target, before)


def assert_next_deploy_works(target: Target) -> Result:
    """A further release goes live."""
    result = target.deploy()
    assert result.rc == 0, str(result)
    free(target)
    good = target.history()[-1]
    assert (good["result"], good["release"]) == ("succeeded", target.live()), good
    assert target.answering() == good["release"]
    return result


def assert_sound(name: str, target: Target, load: Load, expected: str, *, may_lose: bool = False) -> None:
    """All of it, under the load: who answers, what was lost, the lock, the records, the next deploy."""
    waited = free(target)
    assert_true_records(target, expected)
    assert_next_deploy_works(target)
    LEDGER.append(
        f"{name}: {load.requests} requests, {load.lost.total()} lost, longest gap {load.longest_gap_ms:.0f} ms,"
        f" free after {waited:.1f} s"
    )
    if not may_lose:
        assert load.lost == {}, dict(load.lost)
