"""The lock of an app, on a real disk and with the kernel's own lock."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import journal, leases, plan, store
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, Journal, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment

CLAIM = Claim("alice@laptop", "deploy v2", plan.DEPLOY, 60, {"keep": 3})
BOB = Claim("bob@desk", "deploy v3", plan.DEPLOY, 30, {"keep": 5})


@pytest.fixture
def layout(tmp_path: Path) -> AppLayout:
    return AppLayout("shop", str(tmp_path))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[Moment]:
    """Its last moment is now."""
    moments = [Moment("boot", 1000.0)]
    monkeypatch.setattr(leases, "moment", lambda: moments[-1])
    return moments


def locked_by(layout: AppLayout, claim: Claim = CLAIM, phase: str = journal.PREFLIGHT) -> str:
    """The token of a deploy that is between two steps."""
    with journal.acquire(layout, claim) as (session, _old):
        session.advance(phase)
        return session.journal.token


def read(layout: AppLayout) -> Journal:
    found = journal.read(layout)
    assert found is not None
    return found


@contextmanager
def another_process(path: Path) -> Iterator[None]:
    """One that holds the kernel's lock on ``path``, as the step of a controller that died does."""
    program = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            yield
        finally:
            other.kill()


def test_a_lock_tells_who_holds_it_and_a_step_goes_on_with_its_token(layout: AppLayout) -> None:
    token = locked_by(layout)
    with journal.step(layout, token) as session:
        session.advance(journal.FETCH, release="r", previous="p")
    left = read(layout)
    assert (left.owner, left.reason, left.phase, left.release, left.previous) == (
        *("alice@laptop", "deploy v2", journal.FETCH, "r", "p"),
    )
    with pytest.raises(LockedError, match=r"locked by alice@laptop \(deploy v2, phase fetch.*between two steps"):
        locked_by(layout, BOB)
    with journal.step(layout, token) as session:
        session.close()
    assert journal.read(layout) is None


@pytest.mark.parametrize("left", ["other", "none"])
def test_a_step_whose_token_is_no_longer_the_lock_s_changes_nothing(layout: AppLayout, left: str) -> None:
    token = locked_by(layout)
    if left == "none":
        layout.journal.unlink()
    else:
        store.write_json(layout.journal, {**vars(read(layout)), "token": "other", "owner": "bob@desk"})
    before = layout.journal.read_bytes() if layout.journal.exists() else b""
    with pytest.raises(journal.StaleTokenError, match=r"lost its lock.*nothing undone"), journal.step(layout, token):
        pytest.fail("it went on")
    assert (layout.journal.read_bytes() if layout.journal.exists() else b"") == before


def test_a_step_renews_the_lease_at_both_ends(layout: AppLayout, clock: list[Moment]) -> None:
    token = locked_by(layout)
    clock.append(Moment("boot", 1050.0))
    with journal.step(layout, token, lease=20) as session:
        assert read(layout).remaining(clock[-1]) == 20
        clock.append(Moment("boot", 1500.0))
        assert session.journal.remaining(clock[-1]) == 0
    assert read(layout).remaining(clock[-1]) == 20


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (Moment("boot", 1000.0), 60.0),
        (Moment("boot", 1059.0), 1.0),
        (Moment("boot", 1060.0), 0.0),
        (Moment("boot", 9999.0), 0.0),
        (Moment("next boot", 5.0), 0.0),
        (Moment("next boot", 1001.0), 0.0),
    ],
)
def test_a_lease_ends_with_its_seconds_or_with_the_boot(now: Moment, left: float) -> None:
    held = Journal("t", "alice", "deploy", plan.DEPLOY, 60, "boot", 1000.0, "", "")
    assert held.remaining(now) == left


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_hours_off_changes_nothing(
    layout: AppLayout, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = locked_by(layout)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    monkeypatch.setattr(journal, "utc", lambda: "2031-01-01T00:00:00+00:00")
    assert 50 < read(layout).remaining(leases.moment()) <= 60
    with pytest.raises(LockedError):
        locked_by(layout, BOB)
    with journal.step(layout, token):
        pass


def test_what_an_ended_lease_left_is_taken_over_and_keeps_its_name(layout: AppLayout, clock: list[Moment]) -> None:
    old_token = locked_by(layout, phase=journal.SOAK)
    clock.append(Moment("next boot", 1.0))
    with journal.acquire(layout, BOB) as (session, old):
        assert old is not None
        assert (old.token, old.owner) == (old_token, "alice@laptop")
        taken = session.journal
        assert taken.token != old_token
        assert (taken.owner, taken.phase, taken.settings) == ("alice@laptop", journal.SOAK, {"keep": 3})
        journal.begin(session, BOB)
    left = read(layout)
    assert (left.owner, left.phase, left.settings) == ("bob@desk", journal.PREFLIGHT, {"keep": 5})
    with pytest.raises(journal.StaleTokenError, match="bob@desk holds it now"), journal.step(layout, old_token):
        pytest.fail("it went on")


def test_a_lease_that_runs_is_taken_over_only_on_demand(layout: AppLayout) -> None:
    locked_by(layout)
    with journal.acquire(layout, BOB, at_once=True) as (_session, old):
        assert old is not None


def test_a_step_at_work_keeps_others_out_though_its_lease_has_ended(layout: AppLayout, clock: list[Moment]) -> None:
    locked_by(layout)
    clock.append(Moment("next boot", 1.0))
    for at_once in (False, True):
        with (
            another_process(layout.lock),
            pytest.raises(LockedError, match="at work right now"),
            journal.acquire(layout, BOB, at_once=at_once),
        ):
            pytest.fail("it was let in")
    with journal.acquire(layout, BOB) as (_session, old):
        assert old is not None, "the kernel lets the lock go with its process"


def test_a_clean_up_at_work_is_named(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "TIDY_WAIT", 0.1)
    layout.home.mkdir(parents=True)
    with another_process(layout.lock), pytest.raises(LockedError, match="clean-up of an earlier deploy"):
        locked_by(layout)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"token": "t"}', '{"unknown": 1}'])
def test_a_damaged_lock_is_one_whose_lease_has_ended(layout: AppLayout, text: str) -> None:
    layout.home.mkdir(parents=True)
    layout.journal.write_text(text)
    assert read(layout).remaining(leases.moment()) == 0
    with journal.acquire(layout, CLAIM) as (_session, old):
        assert old is not None
        assert (old.release, old.owner) == ("", "unknown")


def test_only_the_deploy_that_is_meant_is_stopped(layout: AppLayout) -> None:
    token = locked_by(layout)
    with journal.step(layout, token) as session:
        assert session.abort_cause() is None
        journal.ask_to_abort(layout, replace(session.journal, token="other"), "bob", "slow")
        assert session.abort_cause() is None
        journal.ask_to_abort(layout, session.journal, "bob", "slow")
        assert session.abort_cause() == "stopped by bob: slow"
        session.close()
    assert not layout.abort.exists()


def test_a_boot_has_a_name_and_a_time_that_only_grows() -> None:
    first, second = leases.moment(), leases.moment()
    assert first.boot == second.boot
    assert 0 < first.uptime <= second.uptime


def test_a_step_tells_how_long_each_of_its_phases_took(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PASSED", [])
    with journal.acquire(layout, CLAIM) as (session, _old):
        session.advance(journal.START)
        # Once more, with what has been found wanting: still the same phase.
        session.advance(journal.START, failed="it exits")
        session.advance(journal.GATE)
    assert [phase for phase, _began in journal.PASSED] == ["start", "gate"]
    began = journal.PASSED[0][1]
    monkeypatch.setattr(journal, "PASSED", [("start", began), ("gate", began + 3.5)])
    assert [(t["phase"], t["seconds"]) for t in journal.timings(began + 5)] == [("start", 3.5), ("gate", 1.5)]
    assert journal.timings(began)[-1]["seconds"] == 0.0, "a clock that was set back"
