# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The steps of a deploy that touch what runs: try a candidate, go live with it, go back to a kept release.

Each takes back what it did before it raises, so that a host is never left in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    drill,
    drill_unit,
    edge,
    ending,
    exported,
    gates,
    host,
    journal,
    load_probe_unit,
    masking,
    metric_checks,
    quality,
    store,
    switching,
    takeover,
)
from ansible_collections.davit.ec2.plugins.module_utils.ending import Ended
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gate_run import run_soak
from ansible_collections.davit.ec2.plugins.module_utils.gates import Look
from ansible_collections.davit.ec2.plugins.module_utils.journal import Session, StaleTokenError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

BEFORE_TRAFFIC = (journal.START, journal.GATE)
WORKERS_WATCHED = 2.0
"""Seconds at least for which workers are watched, which were in no gate."""


@dataclass(frozen=True)
class Share:
    """One step of a canary: ``weight`` percent of the traffic for ``seconds``."""

    weight: int
    seconds: float

    @classmethod
    def parse(cls, declared: Sequence[Mapping[str, Any]]) -> tuple[Share, ...]:
        """Raises DavitError for weights that do not grow from 1 to 99 (100 is the switch itself)."""
        steps = tuple(cls(int(s["weight"]), float(s.get("seconds", 30))) for s in declared if int(s["weight"]) < 100)
        weights = [s.weight for s in steps]
        if any(w <= 0 for w in weights) or weights != sorted(set(weights)):
            raise DavitError(f"compose_release_canary needs weights that grow, from 1 to 100, not {weights}.")
        return steps


@contextlib.contextmanager
def taken_back(session: Session, engine: Engine) -> Iterator[None]:
    """Undo the deploy when the block fails, and tell so in the error's facts (``ended``).

    Not while the host shuts down: then everything fails, and says nothing against a release. The host
    recovers the deploy as it boots.
    """
    try:
        yield
    except StaleTokenError:
        raise
    except (DavitError, OSError) as error:
        if host.is_stopping():
            raise DavitError(f"This host is shutting down, and recovers the deploy as it boots. ({error})") from error
        facts = dict(getattr(error, "facts", {}))
        # Whoever stops a deploy before the release has had traffic has nothing against the release.
        blamed = session.journal.phase not in BEFORE_TRAFFIC or session.abort_cause() is None
        ended = _undo(session, error, engine, blamed=blamed, facts=facts)
        if not facts.get("logs"):
            facts["logs"] = ended.logs
        back = ended.adopted.get("returned")
        returned = f" The stack '{ended.adopted['project']}' of before was started again." if back else ""
        warned = "".join(f" {warning}" for warning in ended.warnings)
        raise DavitError(f"{error}{returned}{warned}", ended=ended.to_json(), **facts) from error


def _undo(session: Session, error: Exception, engine: Engine, *, blamed: bool, facts: Mapping[str, Any]) -> Ended:
    """Raises DavitError, with the first cause before its own, when it does not work."""
    try:
        return ending.undo(session, str(error), engine, blamed=blamed)
    except StaleTokenError:
        raise
    except (DavitError, OSError) as second:
        raise DavitError(f"{error} It was not taken back: {second}", **facts) from error


def try_candidate(session: Session, wanted: Release, engine: Engine) -> dict[str, Any]:
    """Start ``wanted`` beside the live release and judge it before any traffic; returns the verdict.

    Raises DavitError with verdict and logs when it does not pass; it is gone again then.
    """
    layout, patience = session.layout, ending.patience_of(session)
    with taken_back(session, engine):
        session.advance(journal.START)
        exported.refresh(layout, engine)
        old = _former(session)
        load_probe_unit.start(layout, old or wanted, float(session.setting("probe_rate", 0)))
        if old is not None and session.setting("stop_first", False):
            if float(session.setting("probe_rate", 0)) > 0:
                load_probe_unit.await_first_answer(layout)
            candidate.stop(old, engine, patience.stop_timeout)
        drill_unit.begin(layout, wanted)
        candidate.start(
            layout,
            wanted,
            engine,
            patience.start_timeout,
            forward=True,
            interrupted=session.abort_cause,
            before_data=partial(takeover.take, layout, wanted, engine, patience),
        )
        _enter_gate(session, engine)
        stopped = bool(session.setting("stop_first", False))
        alone = "the live release was stopped first" if stopped else "there is no live release"
        verdict = candidate.judge(wanted, engine, session.abort_cause, live=None if stopped else old, alone=alone)
        _leave_gate(session, wanted, verdict)
        drill.refuse_pass(wanted.drill, soaked=False)
        return verdict


def _enter_gate(session: Session, engine: Engine) -> None:
    session.advance(journal.GATE)
    exported.refresh(session.layout, engine)


def _leave_gate(session: Session, wanted: Release, verdict: Mapping[str, Any]) -> None:
    _keep_evidence(session.layout, wanted, gate=verdict)
    _require_pass(session, verdict)


def _require_pass(session: Session, verdict: Mapping[str, Any]) -> None:
    if verdict["verdict"] == gates.PASS:
        return
    stopped = session.abort_cause()
    raise DavitError(stopped or f"{verdict['verdict']}: {verdict['cause']}", verdict=dict(verdict))


def _keep_evidence(layout: AppLayout, wanted: Release, **verdicts: Any) -> None:
    path = layout.release(wanted.id) / store.VERDICT
    # A disk that is full must not hide what the verdict says.
    with contextlib.suppress(OSError):
        store.write_json(path, {**store.read_json(path), **masking.mask_of(layout).record(verdicts)})


def _former(session: Session) -> Release | None:
    """The release that was live before. None at a first deploy, and when its record is damaged: it serves
    all the same, and traffic can return to it by its route."""
    name = session.journal.previous
    return candidate.load_or_none(session.layout, name) if name else None


def go_live(session: Session, wanted: Release, engine: Engine, canary: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Send the traffic to ``wanted``, by steps if there is a canary, and watch it for the soak.

    Returns the verdict of the soak. At a breach traffic goes back at once, to the release that still
    runs, and DavitError is raised.
    """
    layout, patience = session.layout, ending.patience_of(session)
    seconds = float(session.setting("soak_seconds", 0))
    with taken_back(session, engine):
        edge.read_routes(layout)
        old, before = _former(session), edge.read_route(layout)
        back = switching.document(old) if old is not None else before
        if back is not None:
            edge.keep_way_back(layout, back)
        session.advance(journal.SWITCH, route=before)
        for step in Share.parse(canary):
            if old is None:
                break
            switching.share(layout, old, wanted, step.weight, patience)
            _watch(session, wanted, engine, step.seconds, f"canary {step.weight} %", wanted.beside)
        warm = seconds > 0 and not session.setting("stop_first", False)
        takeover.take(layout, wanted, engine, patience)
        takeover.require_stopped(layout, engine)
        takeover.open_edge(layout, engine, patience)
        switching.switch(layout, wanted, old, engine, patience, warm=warm)
        takeover.note_gap(layout)
        session.advance(journal.SOAK)
        exported.refresh(layout, engine)
        if seconds <= 0 and not wanted.workers:
            drill.refuse_pass(wanted.drill, soaked=True)
            return {"verdict": gates.PASS, "cause": "", "seconds": 0, "checks": []}
        verdict = _watch(session, wanted, engine, max(seconds, WORKERS_WATCHED), "soak", wanted.services)
        drill.refuse_pass(wanted.drill, soaked=True)
        return verdict


def _watch(
    session: Session, wanted: Release, engine: Engine, seconds: float, what: str, services: Sequence[str]
) -> dict[str, Any]:
    gate = candidate.gate_of(wanted)
    way = quality.Way(partial(candidate.ask, gate))
    metrics = quality.looks(candidate.quality_of(wanted).at(metric_checks.SOAK), way)

    def others() -> list[Look]:
        seen = load_probe_unit.look(session.layout, gate.failures)
        return ([] if seen is None else [seen]) + metrics()

    verdict = run_soak(
        gate,
        services,
        partial(engine.containers, wanted.project),
        partial(candidate.ask, gate),
        seconds,
        others=others,
        interrupted=session.abort_cause,
    )
    _keep_evidence(session.layout, wanted, **{what: verdict})
    _require_pass(session, verdict)
    return verdict


def finish(session: Session, wanted: Release, engine: Engine, warn: Callable[[str], None]) -> dict[str, Any]:
    """End a good deploy; how it ended. Raises DavitError, with the deploy taken back, when it was none."""
    with taken_back(session, engine):
        ended = ending.finish(session, wanted, engine)
    for warning in ended.warnings:
        warn(f"Clean-up: {warning}")
    return ended.to_json()


def bring_back(session: Session, name: str, engine: Engine) -> tuple[dict[str, Any], Ended]:
    """Bring back the kept release ``name`` as it was, through its own gate, and prove it at the edge.

    The live release serves until then, unless both do not fit (``stop_first``). Raises DavitError, with the live
    release untouched or started again, when the target is incomplete or when its gate fails.
    """
    layout, patience = session.layout, ending.patience_of(session)
    with taken_back(session, engine):
        target = candidate.load(layout, name)
        edge.read_routes(layout)
        verify(layout, target, engine)
        session.advance(journal.START, release=name, previous=store.pointed(layout.live) or "")
        old = _former(session)
        load_probe_unit.start(layout, old or target, float(session.setting("probe_rate", 0)))
        if old is not None and old.id != target.id and session.setting("stop_first", False):
            candidate.stop(old, engine, patience.stop_timeout)
        candidate.start(layout, target, engine, patience.start_timeout, forward=False, interrupted=session.abort_cause)
        _enter_gate(session, engine)
        # Its data and model were judged when it was deployed; on the way back it counts that it works, and soon.
        verdict = candidate.watch(target, engine, session.abort_cause)
        _leave_gate(session, target, verdict)
        session.advance(journal.SWITCH, route=edge.read_route(layout))
        switching.switch(layout, target, old, engine, patience)
        cause = session.setting("cause", "")
        return verdict, ending.finish(session, target, engine, cause=cause)


def verify(layout: AppLayout, target: Release, engine: Engine) -> None:
    """Check that a release is whole before it is gone back to. Raises DavitError with what lacks."""
    engine.compose(layout.release(target.id) / store.RUNNING, "config", "--quiet")
    missing = [image for image in target.pinned_images if not engine.has_image(image)]
    if missing:
        raise DavitError(
            f"Release {target.id} cannot be brought back: its image {missing[0]} is no longer on this"
            " host. Deploy its version again instead:"
            f" -e compose_release_version={target.version}."
        )
