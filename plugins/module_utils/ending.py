# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The ways in which a deploy or rollback ends: finished, undone, or recovered after its controller died.

Each may itself die at any line and be called again: what it has done is seen on the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    drill,
    drill_unit,
    edge,
    exported,
    gates,
    journal,
    load_probe_unit,
    masking,
    plan,
    recording,
    recovery,
    store,
    switching,
    takeover,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Session
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.recovery import Recovery
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience


@dataclass(frozen=True)
class Ended:
    """How it ended on this host. ``live`` is '' when nothing is; ``probe`` is what the load probe saw, ``adopted``
    the stack that was taken over, or ``returned``."""

    result: str
    release: str
    live: str
    cause: str
    logs: dict[str, list[str]]
    probe: dict[str, Any]
    can_return_to: tuple[str, ...]
    warnings: tuple[str, ...]
    adopted: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "can_return_to": list(self.can_return_to), "warnings": list(self.warnings)}


def patience_of(session: Session) -> Patience:
    return Patience.of(session.journal.settings)


def finish(session: Session, wanted: Release, engine: Engine, *, cause: str = "", recovered_by: str = "") -> Ended:
    """Make ``wanted`` the last good release; the old one is stopped in the background.

    Raises DavitError when what runs is not what the record says. Last good moves first, since a failed
    deploy after this one returns to it. After the history line everything is clean-up, whose failure is
    a warning and never a failed deploy.
    """
    layout, patience = session.layout, patience_of(session)
    drill.refuse_pass(wanted.drill, soaked=True)
    # Not of a rollback, which may be how somebody leaves the release that has filled it.
    if session.journal.action == plan.DEPLOY and store.pointed(layout.last_good) != wanted.id and store.is_full(layout):
        raise DavitError(
            "The host's disk has become full, and a release is not good while that is so. Free some of it; if it was"
            " not this release that filled it, deploy it again with compose_release_force=true."
        )
    session.advance(journal.FINISH)
    warnings: list[str] = []
    if session.journal.previous not in ("", wanted.id):
        tidy.attempt(warnings, partial(_retire, layout, session.journal.previous, engine))
    candidate.settle(wanted, engine)
    switching.serve_alone(layout, wanted, patience)
    require_truth(wanted, engine)
    if store.pointed(layout.last_good) != wanted.id:
        # Once it is the last good one it stays, and the next deploy looks for the old stack.
        takeover.require_stopped(layout, engine)
    return _conclude(session, wanted.id, engine, warnings, cause=cause, recovered_by=recovered_by)


def _conclude(
    session: Session, name: str, engine: Engine, warnings: list[str], result: str = plan.SUCCEEDED, **told: Any
) -> Ended:
    """Write down that ``name`` is live and the last good one, with what is ``told`` of it, and free the lock."""
    layout = session.layout
    store.point(layout.live, layout.release(name))
    store.point(layout.last_good, layout.release(name))
    seen, adopted = load_probe_unit.stop(layout), takeover.told(layout, name)
    recording.note(session, name, result, probe=recording.in_short(seen), adopted=adopted, **told)
    takeover.complete(layout)
    session.close()
    exported.refresh(layout, engine)
    tidy.attempt(warnings, partial(tidy.start, layout, session.setting("keep", 3), patience_of(session)))
    targets = plan.rollback_targets(store.read_state(layout))
    return Ended(result, name, name, "", {}, seen, targets, tuple(warnings), adopted)


def _retire(layout: AppLayout, name: str, engine: Engine) -> None:
    """From here on a reboot must not start the old release."""
    engine.restart_policy([c.id for c in engine.containers(plan.project_name(layout.app, name))], "no")


def require_truth(wanted: Release, engine: Engine) -> None:
    """Compare what runs with the record. Raises DavitError: a release that is not what it says is not good."""
    found = engine.containers(wanted.project)
    for service in wanted.services:
        image = wanted.images[service].pinned if service in wanted.images else None
        for container in (c for c in found if c.service == service):
            if image is not None and container.image != image:
                raise DavitError(f"'{service}' runs {container.image} instead of {image}.")
            if container.status != "running":
                raise DavitError(f"'{service}' is {container.status} at the end of the deploy.")
        if not any(c.service == service for c in found):
            raise DavitError(f"'{service}' has no container at the end of the deploy.")


def undo(session: Session, cause: str, engine: Engine, *, blamed: bool = True) -> Ended:
    """Take back what a deploy or rollback has done so far, and free the lock.

    Raises DavitError when it finished well: then there is nothing to undo.
    """
    layout = session.layout
    if session.journal.failed:
        # An undo that was itself cut short: what it was for has not changed.
        cause, blamed = session.journal.failed, True
    what = recovery.undo(session.journal, switching.serving(layout), store.pointed(layout.last_good) or "")
    if what is None:
        raise DavitError(
            f"Release {session.journal.release} finished well and is the last good one, so it stays."
            " To leave it, run playbooks/rollback.yml."
        )
    return _carry_out(session, what, engine, cause, blamed=blamed)


def recover(session: Session, engine: Engine, by: str) -> Ended:
    """Complete or undo what an earlier controller left unfinished, and free the lock."""
    layout, old = session.layout, session.journal
    what = recovery.recover(old, switching.serving(layout), store.pointed(layout.last_good) or "")
    gone = f"its controller ({old.owner}) went away in phase {old.phase}; recovered by {by}"
    if what.action in (recovery.JUDGE, recovery.FINISH) and _is_drill(layout, what.candidate):
        what = Recovery(recovery.RETURN, what.candidate, old.previous, "the release of a drill never stays")
    blamed = bool(old.failed)
    if what.action == recovery.JUDGE:
        what = _judge(session, what, engine)
        blamed = what.action == recovery.RETURN
    if what.action == recovery.FINISH:
        try:
            return _complete(session, what, engine, cause=gone, recovered_by=by)
        except (DavitError, OSError) as error:
            if what.candidate == store.pointed(layout.last_good):
                return _keep_last_good(session, what, engine, error, cause=gone, recovered_by=by)
            # It cannot be completed, and what served before still can.
            what, blamed = Recovery(recovery.RETURN, what.candidate, old.previous, str(error)), True
    cause = f"{gone}: {what.reason}"
    return _carry_out(session, what, engine, cause, blamed=blamed, recovered_by=by)


def _complete(session: Session, what: Recovery, engine: Engine, *, cause: str, recovered_by: str) -> Ended:
    wanted = candidate.load(session.layout, what.candidate)
    if wanted.id == store.pointed(session.layout.last_good):
        # It stays in any case, and may have lost a container, as one that a rollback to the live release was to mend.
        candidate.ensure_running(session.layout, wanted, engine, patience_of(session).start_timeout)
    switching.resume(session.layout, wanted, session.journal.previous, engine, patience_of(session))
    return finish(session, wanted, engine, cause=cause, recovered_by=recovered_by)


def _keep_last_good(
    session: Session, what: Recovery, engine: Engine, error: Exception, *, cause: str, recovered_by: str
) -> Ended:
    """Free the lock of what is the last good release already and does not run: nothing is left to decide, and what
    replaces it, a deploy or a rollback, needs the lock."""
    warning = masking.mask_of(session.layout).text(
        f"Release {what.candidate} is the last good one, so it stays live, but not all is well with it: {error}"
        " Deploy another version, or run playbooks/rollback.yml."
    )
    # Its deploy had ended well; a repair of it has not.
    result = plan.INTERRUPTED if what.candidate == session.journal.previous else plan.SUCCEEDED
    told = f"{cause}. {warning}"
    more = {"cause": told, "blamed": False, "recovered_by": recovered_by}
    ended = _conclude(session, what.candidate, engine, [warning], result, **more)
    return replace(ended, cause=told)


def _judge(session: Session, what: Recovery, engine: Engine) -> Recovery:
    """Turn JUDGE into FINISH or RETURN by the candidate's own gate."""
    layout = session.layout
    try:
        wanted = candidate.load(layout, what.candidate)
        store.point(layout.live, layout.release(wanted.id))
        switching.resume(layout, wanted, what.otherwise, engine, patience_of(session))
        verdict = candidate.watch(wanted, engine)
    except (DavitError, OSError) as error:
        verdict = {"verdict": gates.FAIL, "cause": str(error)}
    if verdict["verdict"] == gates.PASS:
        return Recovery(recovery.FINISH, what.candidate, what.candidate, "its gate passed")
    return Recovery(recovery.RETURN, what.candidate, what.otherwise, f"{verdict['verdict']}: {verdict['cause']}")


def _carry_out(
    session: Session, what: Recovery, engine: Engine, cause: str, *, blamed: bool, recovered_by: str = ""
) -> Ended:
    """FORGET, REMOVE or RETURN. Traffic first, then the record, then the lock. What does not work here is
    raised with the journal in place, so that the host's timer tries again."""
    layout, patience, warnings = session.layout, patience_of(session), list[str]()
    phase = session.journal.phase
    # A rollback to the live release has nothing to go back to, and does not ask whether it is good.
    stays = what.candidate == what.live
    blamed = blamed and not stays
    # Before anything is removed: what a release says of itself may hold its own secrets.
    mask = masking.mask_of(layout)
    cause = mask.text(cause)
    if blamed and not session.journal.failed:
        # A failed release may have filled the disk, and its traffic has to go back all the same.
        with store.unless_full():
            session.advance(phase, failed=cause)
    journal.enter(journal.REVERT)
    if what.action == recovery.FORGET:
        return _forget(session, what, engine, cause, recovered_by)
    former = candidate.load_or_none(layout, what.live) if what.live else None
    project = plan.project_name(layout.app, what.candidate)
    # When traffic has to move back, that comes first: its containers are there until the clean-up.
    logs = mask.texts(candidate.last_words(project, engine)) if what.action == recovery.REMOVE else {}
    failed = candidate.load_or_none(layout, what.candidate)
    _let_serve(session, what, failed, former, engine, warnings)
    if failed is not None and failed.drill:
        drill_unit.end(layout)
    store.point(layout.live, layout.release(what.live) if what.live else None)
    logs = logs or mask.texts(candidate.last_words(project, engine))
    if not stays and session.journal.action == plan.DEPLOY and store.is_full(layout):
        tidy.attempt(warnings, partial(_clear_away, project, engine, patience))
    adopted = {} if what.live else takeover.give_back(layout, engine, patience)
    seen = load_probe_unit.stop(layout)
    served = not stays and (what.action == recovery.RETURN or phase in (journal.SOAK, journal.FINISH))
    result = _result(served=served, blamed=blamed, recovered=recovered_by != "")
    told = {"cause": cause, "probe": recording.in_short(seen), "phase": phase, "adopted": adopted}
    recording.note(session, what.candidate, result, blamed=blamed, recovered_by=recovered_by, **told)
    session.close()
    exported.refresh(layout, engine)
    tidy.attempt(warnings, partial(tidy.start, layout, session.setting("keep", 3), patience))
    return _ended(layout, result, what, cause, logs, seen, warnings, adopted)


def _clear_away(project: str, engine: Engine, patience: Patience) -> None:
    """Remove a release now and not in the clean-up: it may be what fills the disk, and would take the room for its own
    record. It is told to stop first, since its last requests are still being answered."""
    engine.stop([c.id for c in engine.containers(project)], patience.stop_timeout)
    engine.remove_project(project)


def _result(*, served: bool, blamed: bool, recovered: bool) -> str:
    """How a deploy or rollback that did not stay ends in the records."""
    if served:
        return plan.ROLLED_BACK
    return plan.INTERRUPTED if recovered and not blamed else plan.FAILED


def _forget(session: Session, what: Recovery, engine: Engine, cause: str, recovered_by: str) -> Ended:
    """Nothing of it has been started."""
    layout, warnings = session.layout, list[str]()
    store.remove_tree(layout.stage)
    if what.candidate:
        tidy.attempt(warnings, partial(tidy.forget, layout, what.candidate, engine))
    if not what.live:
        # Only a damaged journal says that nothing was started when a stack was taken over.
        takeover.give_back(layout, engine, patience_of(session))
    if recovered_by:
        recording.note(session, what.candidate, plan.INTERRUPTED, cause=cause, blamed=False, recovered_by=recovered_by)
    session.close()
    exported.refresh(layout, engine)
    return _ended(layout, plan.FAILED, what, cause, {}, {}, warnings)


def _let_serve(
    session: Session,
    what: Recovery,
    failed: Release | None,
    former: Release | None,
    engine: Engine,
    warnings: list[str],
) -> None:
    """Have ``what.live`` serve, and the candidate no more."""
    layout, patience = session.layout, patience_of(session)
    if what.live and former is None:
        _return_to_damaged(session, what, warnings)
    elif former is not None and what.candidate == what.live:
        _keep(session, former, engine, warnings)
    elif what.action == recovery.RETURN:
        alone = bool(session.setting("stop_first", False))
        switching.return_traffic(layout, failed, former, engine, patience, alone=alone)
        _disarm(plan.project_name(layout.app, what.candidate), failed, engine, patience)
    else:
        _set_aside(session, what.candidate, failed, former, engine, warnings)


def _return_to_damaged(session: Session, what: Recovery, warnings: list[str]) -> None:
    """The former release runs, but its record cannot be read: all that is needed is its route of before."""
    warnings.append(f"The record of release {what.live} is damaged. It serves; deploy a version to replace it.")
    if what.action == recovery.RETURN and session.journal.route is not None:
        edge.put_route(session.layout, dict(session.journal.route))


def _keep(session: Session, live: Release, engine: Engine, warnings: list[str]) -> None:
    """Have the live release run and serve as far as it does, after a repair of it that failed or was stopped. What does
    not work is told and does not hold the lock, which the deploy or rollback that replaces it needs."""
    layout, patience = session.layout, patience_of(session)
    tidy.attempt(warnings, partial(candidate.ensure_running, layout, live, engine, patience.start_timeout))
    tidy.attempt(warnings, partial(switching.serve_alone, layout, live, patience))


def _set_aside(
    session: Session,
    name: str,
    failed: Release | None,
    former: Release | None,
    engine: Engine,
    warnings: list[str],
) -> None:
    """Take the candidate away, and have the former release serve alone and run as a whole.

    Before the switch no request can have reached the candidate, so it is removed at once; later, and
    the target of a rollback, is left to the clean-up, which gives it the time to end well.
    """
    layout, patience = session.layout, patience_of(session)
    if former is not None:
        # What the former release lives on comes first.
        tidy.attempt(warnings, partial(candidate.restore_stateful, layout, engine, patience.start_timeout))
    if former is not None and candidate.is_running(former, engine):
        switching.serve_alone(layout, former, patience)
    project = plan.project_name(layout.app, name)
    if session.journal.action == plan.ROLLBACK or session.journal.phase not in (journal.START, journal.GATE):
        _disarm(project, failed, engine, patience)
        if failed is not None and session.setting("stop_first", False):
            candidate.stop(failed, engine, patience.stop_timeout)
    else:
        engine.remove_project(project)
    if former is not None and candidate.ensure_running(layout, former, engine, patience.start_timeout):
        candidate.watch(former, engine)
        switching.serve_alone(layout, former, patience)


def _disarm(project: str, failed: Release | None, engine: Engine, patience: Patience) -> None:
    """From here on neither a crash nor a reboot starts a release that did not stay, and its workers do nothing more;
    the rest of it ends in the clean-up, which gives its last requests the time to be answered."""
    engine.restart_policy([c.id for c in engine.containers(project)], "no")
    if failed is not None:
        candidate.stop_workers(failed, engine, patience.stop_timeout)


def _is_drill(layout: AppLayout, name: str) -> bool:
    known = candidate.load_or_none(layout, name)
    return known is not None and bool(known.drill)


def _ended(
    layout: AppLayout,
    result: str,
    what: Recovery,
    cause: str,
    logs: dict[str, list[str]],
    seen: dict[str, Any],
    warnings: list[str],
    adopted: dict[str, Any] | None = None,
) -> Ended:
    targets = plan.rollback_targets(store.read_state(layout))
    return Ended(result, what.candidate, what.live, cause, logs, seen, targets, tuple(warnings), adopted or {})
