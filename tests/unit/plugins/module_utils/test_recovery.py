"""What is decided about a deploy that ended in the middle: every state, and chains of interruptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.davit.ec2.plugins.module_utils import journal, recovery
from ansible_collections.davit.ec2.plugins.module_utils.journal import PHASES, Journal
from ansible_collections.davit.ec2.plugins.module_utils.plan import DEPLOY, ROLLBACK
from ansible_collections.davit.ec2.plugins.module_utils.recovery import FINISH, FORGET, JUDGE, REMOVE, RETURN

NEW, OLD = "new", "old"
EARLY = (journal.PREFLIGHT, journal.FETCH)

SPACE = list(product((NEW, ""), (OLD, ""), (NEW, OLD, ""), (NEW, OLD, ""), ("", "it was slow")))
"""Candidate, former, what serves, last good, breach: all of them, reachable or not."""

every_phase_and_action = pytest.mark.parametrize(("phase", "action"), list(product(PHASES, (DEPLOY, ROLLBACK))))


def left(phase: str, action: str, release: str = NEW, previous: str = OLD, failed: str = "") -> Journal:
    return Journal(
        *("token", "alice", "deploy", action, 60, "boot", 0, "", ""),
        phase=phase,
        release=release,
        previous=previous,
        failed=failed,
    )


def expected(phase: str, action: str, release: str, serving: str, last_good: str, failed: str) -> str:
    """The rule, told the other way round than in the code."""
    if release and phase not in EARLY and serving == release:
        if failed:
            return RETURN
        passed = action == ROLLBACK or phase == journal.FINISH or last_good == release
        return FINISH if passed else JUDGE
    return REMOVE if release and phase not in EARLY else FORGET


@every_phase_and_action
def test_every_state_has_one_recovery(phase: str, action: str) -> None:
    for state in SPACE:
        release, previous, serving, last_good, failed = state
        what = recovery.recover(left(phase, action, release, previous, failed), serving, last_good)
        assert what.action == expected(phase, action, release, serving, last_good, failed), state
        assert what.candidate == release, state
        assert what.reason, state
        live = {FORGET: serving, REMOVE: previous, RETURN: previous, JUDGE: release, FINISH: release}
        assert what.live == live[what.action], state
        assert what.otherwise == (previous if what.action == JUDGE else ""), state


@every_phase_and_action
def test_every_state_has_one_way_to_be_undone(phase: str, action: str) -> None:
    for state in SPACE:
        release, previous, serving, last_good, failed = state
        what = recovery.undo(left(phase, action, release, previous, failed), serving, last_good)
        if release and phase == journal.FINISH and last_good == release:
            assert what is None, state
            continue
        assert what is not None, state
        if not release or phase in EARLY:
            assert (what.action, what.live) == (FORGET, serving), state
        else:
            assert (what.action, what.live) == (RETURN if serving == release else REMOVE, previous), state


unhurried = settings(database=None, deadline=None, max_examples=500, derandomize=True)
"""The same examples in each run, however busy the machine is, and no file that remembers them."""


@dataclass(frozen=True)
class World:
    """What the planner is told, and whether the candidate is good. None for a lock that is free."""

    phase: str | None
    action: str
    previous: str
    serving: str
    last_good: str
    failed: str = ""

    @property
    def journal(self) -> Journal:
        assert self.phase is not None
        return left(self.phase, self.action, NEW, self.previous, self.failed)


@st.composite
def reachable(draw: st.DrawFn) -> World:
    """A state in which a deploy or rollback can be: the switch is made in its phase, last good moves at the end."""
    action = draw(st.sampled_from([DEPLOY, ROLLBACK]))
    previous = OLD if action == ROLLBACK else draw(st.sampled_from([OLD, ""]))
    phase = draw(st.sampled_from([p for p in PHASES if action == DEPLOY or p not in (journal.FETCH, journal.SOAK)]))
    switched = phase in (journal.SOAK, journal.FINISH) or (phase == journal.SWITCH and draw(st.booleans()))
    good = phase == journal.FINISH and draw(st.booleans())
    failed = "" if phase == journal.FINISH else draw(st.sampled_from(["", "it was slow"]))
    return World(phase, action, previous, NEW if switched else previous, NEW if good else previous, failed)


def carried_out(world: World, what: recovery.Recovery, *, passes: bool, steps: int) -> World:
    """``world`` after the first ``steps`` of an action: each changes one record, the last one frees the lock."""
    if what.action == JUDGE:
        judged = replace(world, phase=journal.FINISH) if passes else replace(world, failed="it was slow")
        if steps == 0:
            return world
        followed = recovery.recover(judged.journal, judged.serving, judged.last_good)
        return carried_out(judged, followed, passes=passes, steps=steps - 1)
    changes: dict[str, list[dict[str, Any]]] = {
        FORGET: [{}, {"phase": None}],
        REMOVE: [{"serving": what.live}, {"phase": None}],
        RETURN: [{"failed": world.failed or what.reason}, {"serving": what.live}, {"phase": None}],
        FINISH: [{"phase": journal.FINISH}, {"last_good": what.candidate}, {"phase": None}],
    }
    for change in changes[what.action][:steps]:
        world = replace(world, **change)
    return world


@unhurried
@given(reachable(), st.booleans(), st.lists(st.integers(0, 4), max_size=6))
def test_however_often_a_recovery_dies_it_ends_with_one_live_release_and_no_lock(
    start: World, passes: bool, deaths: list[int]
) -> None:
    world = start
    for steps in [*deaths, 9]:
        if world.phase is None:
            break
        what = recovery.recover(world.journal, world.serving, world.last_good)
        world = carried_out(world, what, passes=passes, steps=steps)
    assert world.phase is None
    assert world.serving == world.last_good, "what serves is the last good release"
    assert world.serving in ((NEW, start.previous) if start.serving == NEW else (start.previous,))
    if start.failed or (start.serving == NEW and start.action == DEPLOY and start.phase != journal.FINISH):
        assert (world.serving == NEW) == (not start.failed and start.serving == NEW and passes)


@unhurried
@given(reachable())
def test_a_person_s_undo_leads_back_unless_it_finished_well(start: World) -> None:
    what = recovery.undo(start.journal, start.serving, start.last_good)
    if what is None:
        assert start.serving == start.last_good == NEW
    else:
        assert what.live == (start.serving if what.action == FORGET else start.previous)
        assert what.live == start.previous


@pytest.mark.parametrize("phase", [journal.SWITCH, journal.SOAK])
def test_a_host_of_a_fleet_goes_back_and_does_not_judge_by_itself(phase: str) -> None:
    left = Journal(
        "t", "a", "r", "deploy", 60, "", 0, "", "", phase=phase, release="c", previous="f", settings={"fleet": True}
    )
    assert recovery.recover(left, "c", "f").action == recovery.RETURN


def test_a_rollback_to_what_is_live_can_be_undone_to_its_end_and_leads_to_the_same() -> None:
    """It is the last good one from the start, so that alone does not tell that it finished well."""
    for phase in (journal.START, journal.GATE, journal.SWITCH, journal.FINISH):
        what = recovery.undo(left(phase, ROLLBACK, OLD, OLD), OLD, OLD)
        assert what is not None
        assert (what.action, what.live) == (RETURN, OLD)
