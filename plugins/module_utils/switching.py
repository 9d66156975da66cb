# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Moving traffic from one release to another, forward and back, and writing down what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, edge, gates, plan, routes, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release


@dataclass(frozen=True)
class Patience:
    """Times in seconds: for the edge to follow, for clients to leave, for containers to start or stop."""

    switch_timeout: float = 10.0
    drain: float = 2.0
    start_timeout: float = 120.0
    stop_timeout: float = 60.0


def serving(layout: AppLayout) -> str | None:
    """The release that the edge sends this app's traffic to, from the route file."""
    return routes.served_release(edge.read_route(layout), layout.app)


def switch(layout: AppLayout, wanted: Release, engine: Engine, patience: Patience) -> str | None:
    """Send the traffic to ``wanted`` and prove it by asking through the edge.

    Returns the release that was live before. When the edge does not follow, the old route is put
    back and proved in turn before DavitError is raised. A release becomes fit for a reboot only
    after the switch. That the other apps' routes are whole is for whoever goes *forward* to check: a
    return must not wait for somebody else's file.
    """
    before = edge.read_route(layout)
    previous = store.pointed(layout.live)
    document = routes.edge_document(layout.app, wanted.id, wanted.endpoints, tls=wanted.tls, resolver=wanted.resolver)
    edge.put_route(layout, document)
    try:
        edge.await_release(wanted.endpoints, wanted.id, wanted.tls, patience.switch_timeout)
    except DavitError as error:
        edge.put_route(layout, before)
        back = routes.served_release(before, layout.app)
        if back is not None:
            old = candidate.load(layout, back)
            edge.await_release(old.endpoints, back, old.tls, patience.switch_timeout)
        raise DavitError(f"{error} The route is back on {back or 'nothing'}.") from error
    engine.restart_policy([c.id for c in engine.containers(wanted.project)], "unless-stopped")
    store.point(layout.live, layout.release(wanted.id))
    return previous if previous != wanted.id else None


def note(
    layout: AppLayout,
    action: str,
    release: Release,
    previous: str | None,
    result: str,
    **more: Any,
) -> dict[str, Any]:
    """Add a line to the history, and return it."""
    line = {
        "sequence": release.sequence,
        "action": action,
        "release": release.id,
        "version": release.version,
        "previous": previous,
        "result": result,
        "content_hash": release.content_hash,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **more,
    }
    store.append_history(layout, line)
    return line


@dataclass(frozen=True)
class Finished:
    """What a good end of a deploy or rollback did; ``warnings`` are clean-ups that did not work."""

    removed: tuple[str, ...]
    can_return_to: tuple[str, ...]
    warnings: tuple[str, ...]


def finish(
    layout: AppLayout,
    wanted: Release,
    previous: str | None,
    engine: Engine,
    patience: Patience,
    keep: int,
    line: Mapping[str, Any],
) -> Finished:
    """Make ``wanted`` the last good release, stop the old one and let go of what is too old.

    Last good moves first, since a failed deploy after this one returns to it. After the history line
    everything is clean-up, whose failure is a warning and never a failed deploy.
    """
    store.point(layout.last_good, layout.release(wanted.id))
    note(layout, str(line["action"]), wanted, previous, plan.SUCCEEDED, **line["more"])
    warnings: list[str] = []
    if previous is not None:
        old = candidate.load(layout, previous)
        candidate.drain(patience.drain)
        _attempt(warnings, partial(candidate.stop, layout, old, engine, patience.stop_timeout))
    state = store.read_state(layout)
    removed = plan.to_remove(state, keep)
    for name in removed:
        _attempt(warnings, partial(forget, layout, name, engine))
    return Finished(removed, plan.rollback_targets(store.read_state(layout)), tuple(warnings))


def _attempt(warnings: list[str], step: Callable[[], None]) -> None:
    try:
        step()
    except (DavitError, OSError) as error:
        warnings.append(str(error))


def forget(layout: AppLayout, name: str, engine: Engine) -> None:
    """Remove a release wholly: containers, directory, and the images that no kept one needs."""
    gone = candidate.load(layout, name)
    candidate.remove(layout, gone, engine)
    staying = [candidate.load(layout, k).pinned_images for k in store.kept_releases(layout) if k != name]
    store.remove_tree(layout.release(name))
    for image in plan.images_to_remove([gone.pinned_images], staying):
        engine.remove_image(image)


def turn_away(
    layout: AppLayout, failed: Release, cause: str, engine: Engine, patience: Patience, **more: Any
) -> dict[str, Any]:
    """Undo a deploy that failed, from whatever point it had reached.

    When the edge serves the candidate already, traffic goes back first, to the last good release,
    which still runs. The history is told before the candidate is removed, so that the record is true
    also when the removal does not work. Raises DavitError for a release that finished well: it is
    the last good one, and there is nothing to undo.
    """
    last_good = store.pointed(layout.last_good)
    if last_good == failed.id:
        raise DavitError(
            f"Release {failed.id} finished well and is the last good one, so it stays."
            " To leave it, run playbooks/rollback.yml."
        )
    switched = serving(layout) == failed.id
    previous = last_good if switched else store.pointed(layout.live)
    if switched:
        _return_traffic(layout, previous, engine, patience)
    logs = candidate.last_words(failed.project, engine)
    result = plan.ROLLED_BACK if switched else plan.FAILED
    note(layout, plan.DEPLOY, failed, previous, result, cause=cause, **more)
    warnings: list[str] = []
    _attempt(warnings, partial(candidate.remove, layout, failed, engine))
    return {"live": previous, "logs": logs, "result": result, "warnings": warnings}


def _return_traffic(layout: AppLayout, previous: str | None, engine: Engine, patience: Patience) -> None:
    if previous is None:
        edge.put_route(layout, None)
        store.point(layout.live, None)
        return
    old = candidate.load(layout, previous)
    running = engine.containers(old.project)
    if not running or any(c.status != "running" for c in running):
        candidate.start(layout, old, engine, patience.start_timeout, forward=False)
    switch(layout, old, engine, patience)


def roll_back(
    layout: AppLayout, wanted: str | None, engine: Engine, patience: Patience, keep: int, **more: Any
) -> dict[str, Any]:
    """Bring back an earlier release as it was, through its own gate, and prove it at the edge.

    The live release serves until the target has passed. Raises DavitError, with the live release
    untouched, when there is no target, when it is incomplete or when its gate fails.
    """
    state = store.read_state(layout)
    name = plan.rollback_target(state, wanted)
    if name == state.live and serving(layout) == name:
        return {"changed": False, "release": name, "live": name}
    target = candidate.load(layout, name)
    edge.read_routes(layout)
    verify(layout, target, engine)
    try:
        candidate.start(layout, target, engine, patience.start_timeout, forward=False)
        verdict = candidate.watch(target, engine)
        _require_pass(target, verdict, state.live, engine)
        previous = switch(layout, target, engine, patience)
    except DavitError as error:
        note(layout, plan.ROLLBACK, target, state.live, plan.FAILED, **{**more, "cause": str(error)})
        candidate.stop(layout, target, engine, patience.stop_timeout)
        raise
    line = {"action": plan.ROLLBACK, "more": more}
    done = finish(layout, target, previous, engine, patience, keep, line)
    return {
        "changed": True,
        "release": name,
        "live": name,
        "previous": previous,
        "verdict": verdict,
        "can_return_to": list(done.can_return_to),
        "warnings": list(done.warnings),
    }


def _require_pass(target: Release, verdict: Mapping[str, Any], live: str | None, engine: Engine) -> None:
    if verdict["verdict"] != gates.PASS:
        raise DavitError(
            f"Release {target.id} did not pass its own gate, so {live} stays live: {verdict['cause']}.",
            verdict=verdict,
            logs=candidate.last_words(target.project, engine),
        )


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
