# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A person's way back: to an earlier release, or out of a deploy that is under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    difference,
    ending,
    journal,
    leases,
    opening,
    plan,
    rollout,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.ending import Ended
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, Journal, LockedError, Session
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout


@dataclass(frozen=True)
class Done:
    """What became of it. ``stopped`` names the deploy that was undone for it, if there was one."""

    live: str
    changed: bool
    stopped: str = ""
    ended: Ended | None = None
    verdict: dict[str, Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "ended": self.ended.to_json() if self.ended else {}, "verdict": self.verdict or {}}


def name_of(found: Journal) -> str:
    return f"{found.reason} by {found.owner}"


def undo(layout: AppLayout, token: str, cause: str, engine: Engine, *, blamed: bool) -> Done:
    """Undo the deploy that holds the lock with ``token``; nothing is changed when it holds it no longer
    because it has been undone already."""
    if journal.read(layout) is None:
        return Done(store.pointed(layout.live) or "", changed=False)
    with journal.step(layout, token) as session:
        ended = ending.undo(session, cause or "asked for", engine, blamed=blamed)
    return Done(ended.live, changed=True, ended=ended)


def go_back(layout: AppLayout, wanted: str, claim: Claim, engine: Engine, wait: float) -> Done:
    """Bring back ``wanted``, or the last good release before the live one for ''.

    A deploy that is under way is stopped and undone; that is the whole rollback, unless another release
    is wanted than the one that is live then. A person's wish to go back outranks the lease of a deploy:
    its token makes sure that its controller does nothing more.
    """
    done = _stop(layout, claim, engine, wait)
    if done is not None and wanted in ("", done.live):
        return done
    stopped = done.stopped if done else ""
    # The live release may have filled the disk, and be why somebody wants to go back.
    store.make_room(layout)
    # The clean-up may be stopping the very release that is wanted.
    with store.locked(layout.tidy_lock, wait), journal.acquire(layout, claim) as (session, old):
        opening.begin(session, old, claim, engine)
        with opening.freed_on_failure(session):
            state = store.read_state(layout)
            name = plan.rollback_target(state, wanted or None)
        if name == state.live and _works(layout, name, engine):
            session.close()
            return Done(name, changed=False, stopped=stopped)
        verdict, ended = rollout.bring_back(session, name, engine)
    changes = difference.between(layout, state.live or "", name)
    return Done(name, changed=True, stopped=stopped, ended=ended, verdict=verdict, changes=changes)


def under_way(layout: AppLayout) -> Journal | None:
    """The deploy or rollback that a rollback stops or completes first; None when there is none.

    Raises LockedError while anything else holds the lock, as an upgrade of the engine: there is nothing of it to undo,
    and no release is to be started meanwhile. What it left behind is recovered as any other.
    """
    found = journal.read(layout)
    if found is None or found.action != journal.MAINTENANCE:
        return found
    if found.remaining(leases.moment()) > 0:
        held = journal.held(layout, found, working=store.is_locked(layout.lock))
        raise LockedError(f"{held} Run the rollback again once {found.owner} is done.")
    return None


def _stop(layout: AppLayout, claim: Claim, engine: Engine, wait: float) -> Done | None:
    """Stop and undo the deploy that is under way. None when there is none, or when it turned out to be
    complete, so that there is a release to go back from."""
    found = under_way(layout)
    if found is None:
        return None
    name = _stop_working_step(layout, found, claim, wait)
    live = store.pointed(layout.live) or ""
    if name and not _is_left_of(found, live, layout, engine):
        return Done(live, changed=True, stopped=name)
    # Looked at anew, since another may have begun meanwhile.
    if under_way(layout) is None:
        return None
    with journal.acquire(layout, claim, at_once=True) as (session, old):
        if old is None:
            session.close()
            return None
        ended = _end(session, old, claim, engine)
    if _is_left_of(old, ended.live, layout, engine):
        return None
    return Done(ended.live, changed=True, stopped=name_of(old), ended=ended)


def _is_left_of(stopped: Journal, live: str, layout: AppLayout, engine: Engine) -> bool:
    """Whether ``live`` is there to be gone back from: a deploy of it had all but finished, or a rollback to it ended
    with what does not run."""
    return (
        live != "" and live == stopped.release and (stopped.action == plan.DEPLOY or not _works(layout, live, engine))
    )


def _works(layout: AppLayout, live: str, engine: Engine) -> bool:
    known = candidate.load_or_none(layout, live)
    return known is not None and switching.works(layout, known, engine)


def _end(session: Session, old: Journal, claim: Claim, engine: Engine) -> Ended:
    """A deploy whose lease runs is stopped for good; one that was left behind, or found good, is recovered."""
    good = old.phase == journal.FINISH and store.pointed(session.layout.last_good) == old.release
    if old.remaining(leases.moment()) > 0 and not good:
        blamed = old.phase in (journal.SOAK, journal.FINISH)
        return ending.undo(session, f"stopped by {claim.owner}: {claim.settings['cause']}", engine, blamed=blamed)
    return ending.recover(session, engine, claim.owner)


def _stop_working_step(layout: AppLayout, found: Journal, claim: Claim, wait: float) -> str:
    """Ask a step that works right now to undo its deploy, and await its end; the deploy's name, '' when none
    works. It may have been too late for the wish."""
    if not store.is_locked(layout.lock):
        return ""
    journal.ask_to_abort(layout, found, claim.owner, str(claim.settings["cause"]))
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        now = journal.read(layout)
        if now is None or now.token != found.token:
            return name_of(found)
        if not store.is_locked(layout.lock):
            # Between two steps: the lock can be had.
            return ""
        time.sleep(0.1)
    raise LockedError(f"{name_of(found)} was asked to stop, but is still at work after {wait:g} s.")
