# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The lock of an app: who works on it, in which phase, and until when.

It is one file, ``deploy.json``, which is there only while a deploy or a rollback is under way or was
left unfinished. Two things exclude each other: the *lease*, which says who may go on between two
steps, and the kernel's lock, which a step holds while it works. A lease alone would not do, since the
step of a controller that died runs on; so a takeover needs both, and a step whose token is no longer
the journal's changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import leases, store
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

PREFLIGHT, FETCH, START, GATE = "preflight", "fetch", "start", "gate"
SWITCH, SOAK, FINISH = "switch", "soak", "finish"
PHASES = (PREFLIGHT, FETCH, START, GATE, SWITCH, SOAK, FINISH)
REVERT = "revert"
"""Not in the journal, which keeps the phase that is taken back; for the times that a step tells."""

MAINTENANCE = "maintenance"
"""The action of who works on the host as a whole, as an upgrade of the engine."""

STEP_WAIT = 15.0
"""Seconds that a step waits for the kernel's lock, which the host's timer holds for a moment now and then."""

TIDY_WAIT = 90.0
"""Seconds that a new deploy waits while the clean-up of the one before removes releases and images."""


PASSED: list[tuple[str, float]] = []
"""Phases that this process has entered, with the clock's time: a step is one process, and may pass several."""


def enter(phase: str) -> None:
    if not PASSED or PASSED[-1][0] != phase:
        PASSED.append((phase, time.time()))


def timings(until: float) -> list[dict[str, Any]]:
    """For people: when each phase of this process began, in seconds since 1970, and how long it took up to the
    next one, or to ``until``. A clock that was set back meanwhile makes no negative time."""
    ends = [began for _phase, began in PASSED[1:]] + [until]
    return [
        {"phase": phase, "began": round(began, 3), "seconds": round(max(end - began, 0.0), 3)}
        for (phase, began), end in zip(PASSED, ends)
    ]


class StaleTokenError(DavitError):
    """The lock was taken over, so this controller must neither go on nor undo anything."""


class LockedError(DavitError):
    """Somebody else holds the lock."""


@dataclass(frozen=True)
class Journal:
    """What ``deploy.json`` holds. ``previous`` is what was live before, '' at a first deploy.

    ``route`` is the edge's document of before the switch, ``failed`` why the candidate was found
    wanting: once that is written, nobody judges it anew. ``settings`` are the times and numbers that
    whoever recovers needs, as the role was given them.
    """

    token: str
    owner: str
    reason: str
    action: str
    lease_seconds: float
    boot: str
    heartbeat: float
    started_at: str
    heartbeat_at: str
    phase: str = PREFLIGHT
    release: str = ""
    previous: str = ""
    route: Mapping[str, Any] | None = None
    failed: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def remaining(self, now: leases.Moment) -> float:
        """Seconds until the lease ends; 0 when it has, as after a reboot."""
        return leases.remaining(leases.Moment(self.boot, self.heartbeat), self.lease_seconds, now)


def read(layout: AppLayout) -> Journal | None:
    """The journal; None when nobody works on this app.

    One that cannot be read is as good as one whose lease has ended and which knows of no release:
    what it left is found by the edge and by the containers.
    """
    try:
        return Journal(**json.loads(layout.journal.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Journal("", "unknown", "unknown (its journal is damaged)", "deploy", 0, "", 0, "", "")


def _write(layout: AppLayout, journal: Journal) -> None:
    store.write_json(layout.journal, asdict(journal))


def _renew(session: Session) -> None:
    """Renew the lease, as far as the disk takes it: without that it ends sooner, and on a full disk the way back has to
    go on. Meanwhile the kernel's lock keeps others out."""
    session.journal = _beat(session.journal)
    with store.unless_full():
        _write(session.layout, session.journal)


def _beat(journal: Journal) -> Journal:
    now = leases.moment()
    return replace(journal, boot=now.boot, heartbeat=now.uptime, heartbeat_at=utc())


def utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass
class Session:
    """A step that holds the kernel's lock with a valid token."""

    layout: AppLayout
    journal: Journal

    def advance(self, phase: str, **changes: Any) -> None:
        """Write the phase before anything of it is done."""
        enter(phase)
        self.journal = _beat(replace(self.journal, phase=phase, **changes))
        _write(self.layout, self.journal)

    def close(self) -> None:
        """Free the lock: the deploy or rollback has ended."""
        for path in (self.layout.abort, self.layout.way_back):
            path.unlink(missing_ok=True)
        self.layout.journal.unlink(missing_ok=True)

    def reopen(self) -> None:
        """Hold the lock again after a recovery, which frees it at its end; the kernel's lock was held all along."""
        _write(self.layout, self.journal)

    @property
    def closed(self) -> bool:
        return not self.layout.journal.exists()

    def setting(self, name: str, default: Any) -> Any:
        return self.journal.settings.get(name, default)

    def abort_cause(self) -> str | None:
        """Why a person wants this very deploy to stop; None when nobody does."""
        try:
            asked = json.loads(self.layout.abort.read_bytes())
        except (OSError, ValueError):
            return None
        if asked.get("token") != self.journal.token:
            return None
        return f"stopped by {asked.get('by') or 'a person'}: {asked.get('cause') or 'asked for'}"


def ask_to_abort(layout: AppLayout, journal: Journal, by: str, cause: str) -> None:
    """Ask the step that works right now to undo its deploy; it looks several times a second."""
    store.write_json(layout.abort, {"token": journal.token, "by": by, "cause": cause})


@contextlib.contextmanager
def step(layout: AppLayout, token: str, *, lease: float | None = None) -> Iterator[Session]:
    """Work with a lock that is held already.

    Raises StaleTokenError when the lock is no longer this deploy's. The lease is renewed at both ends:
    while the step works, the kernel's lock keeps others out.
    """
    with store.locked(layout.lock, STEP_WAIT):
        found = read(layout)
        if found is None or found.token != token:
            raise StaleTokenError(_stale(layout, found))
        session = Session(layout, replace(found, lease_seconds=lease or found.lease_seconds))
        _renew(session)
        try:
            yield session
        finally:
            if not session.closed:
                _renew(session)


def _stale(layout: AppLayout, found: Journal | None) -> str:
    who = f"{found.owner} holds it now ({found.reason})" if found else "it is free again"
    return (
        f"This deploy lost its lock on '{layout.app}': its lease ran out, and {who}. Nothing was"
        " changed and nothing undone. playbooks/status.yml shows what is live; run the deploy again."
    )


@dataclass(frozen=True)
class Claim:
    """Who wants the lock, and what for."""

    owner: str
    reason: str
    action: str
    lease_seconds: float
    settings: Mapping[str, Any]


@contextlib.contextmanager
def acquire(layout: AppLayout, claim: Claim, *, at_once: bool = False) -> Iterator[tuple[Session, Journal | None]]:
    """Take the lock. Gives the session and, if there is one, the journal of an unfinished deploy that
    has to be recovered first: until then it keeps its phase, under the new token.

    ``at_once`` takes over the lease of a deploy or rollback that has not ended, but none of maintenance, during which
    no release may start. The kernel's lock is needed all the same.
    Raises LockedError with who holds the lock and until when.
    """
    store.make_private(layout.home)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(store.locked(layout.lock, TIDY_WAIT if read(layout) is None else 0))
        except store.BusyError as error:
            raise LockedError(held(layout, read(layout), working=True)) from error
        old = read(layout)
        now = leases.moment()
        if old is not None and old.remaining(now) > 0 and not (at_once and old.action != MAINTENANCE):
            raise LockedError(held(layout, old, working=False))
        fresh = _fresh(claim)
        if old is not None:
            session = Session(layout, replace(old, token=fresh.token, lease_seconds=claim.lease_seconds))
            store.make_room(layout)
            _renew(session)
        else:
            session = Session(layout, fresh)
            _write(layout, session.journal)
        yield session, old
        if not session.closed:
            _renew(session)


def begin_anew(layout: AppLayout, claim: Claim) -> Session:
    """Start where nothing is under way. The caller holds the kernel's lock."""
    session = Session(layout, _fresh(claim))
    _write(layout, session.journal)
    return session


def _fresh(claim: Claim) -> Journal:
    now = leases.moment()
    return Journal(
        token=secrets.token_hex(8),
        owner=claim.owner,
        reason=claim.reason,
        action=claim.action,
        lease_seconds=claim.lease_seconds,
        boot=now.boot,
        heartbeat=now.uptime,
        started_at=utc(),
        heartbeat_at=utc(),
        settings=dict(claim.settings),
    )


def begin(session: Session, claim: Claim) -> None:
    """Start anew under the token of ``session``, once what was unfinished is recovered."""
    session.journal = replace(_fresh(claim), token=session.journal.token)
    _write(session.layout, session.journal)


def held(layout: AppLayout, found: Journal | None, *, working: bool) -> str:
    """Who holds the lock of an app, and until when."""
    if found is None:
        return (
            f"The clean-up of an earlier deploy of '{layout.app}' is still at work ({layout.lock} is locked)."
            " Run again in a moment."
        )
    said = (
        f"'{layout.app}' is locked by {found.owner} ({found.reason}, phase {found.phase}, since"
        f" {found.started_at}): {'at work right now' if working else 'between two steps'}."
    )
    left = found.remaining(leases.moment())
    if left > 0:
        said += (
            f" If that controller is gone, the lock is free in {left:.0f} s, and the host puts things right by itself."
        )
    return said + " Nothing was touched."
