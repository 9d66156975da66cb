# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Moving traffic from one release to another, forward and back, and proving at the edge that it moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, edge, routes, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.routes import Warm


@dataclass(frozen=True)
class Patience:
    """Times in seconds: for the edge to follow, for clients to leave, for containers to start or stop."""

    switch_timeout: float = 10.0
    drain: float = 2.0
    start_timeout: float = 120.0
    stop_timeout: float = 60.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Patience:
        """From arguments of a module or the settings of a journal."""
        return cls(
            switch_timeout=float(settings.get("switch_timeout", cls.switch_timeout)),
            drain=float(settings.get("drain_seconds", cls.drain)),
            start_timeout=float(settings.get("start_timeout", cls.start_timeout)),
            stop_timeout=float(settings.get("stop_timeout", cls.stop_timeout)),
        )


def serving(layout: AppLayout) -> str:
    """The release that the edge sends this app's traffic to, from the route file; '' for none."""
    return routes.served_release(edge.read_route(layout), layout.app) or ""


def works(layout: AppLayout, live: Release, engine: Engine) -> bool:
    """Whether ``live`` is what the edge serves, and runs as a whole, with the services that own its data."""
    data = {c.service for c in engine.containers(layout.stateful_project) if c.status == "running"}
    return serving(layout) == live.id and candidate.is_running(live, engine) and data >= set(live.stateful)


def document(wanted: Release, warm: Warm | None = None) -> dict[str, Any]:
    """The route with which ``wanted`` serves."""
    return routes.edge_document(
        wanted.app, wanted.id, wanted.endpoints, headers=wanted.headers, metrics=wanted.metrics, warm=warm
    )


def switch(
    layout: AppLayout, wanted: Release, old: Release | None, engine: Engine, patience: Patience, *, warm: bool = False
) -> None:
    """Send the traffic to ``wanted``, prove it by asking through the edge, and move the workers.

    With ``warm``, ``old`` stays behind the new one for what that breaks off. When the edge does not
    follow, the former route is put back and proved in turn before DavitError is raised. The release is
    made fit for a crash before it serves, but its workers only once those of ``old`` are stopped for good: a
    reboot in between must not start both. That the other apps' routes are whole is for whoever goes
    *forward* to check: a return must not wait for somebody else's file.
    """
    before = edge.read_route(layout)
    tls = edge.uses_tls(layout)
    candidate.settle(wanted, engine, wanted.beside)
    edge.put_route(layout, document(wanted, Warm(old.id, old.endpoints) if warm and old else None))
    try:
        edge.await_release(wanted.endpoints, wanted.id, tls, patience.switch_timeout)
    except DavitError as error:
        edge.put_route(layout, before)
        back = routes.served_release(before, layout.app)
        if back is not None and old is not None and old.id == back:
            edge.await_release(old.endpoints, back, tls, patience.switch_timeout)
        raise DavitError(f"{error} The route is back on {back or 'nothing'}.") from error
    store.point(layout.live, layout.release(wanted.id))
    _move_workers(layout, wanted, old, engine, patience)


def _move_workers(layout: AppLayout, wanted: Release, old: Release | None, engine: Engine, patience: Patience) -> None:
    if old is not None and old.id != wanted.id:
        candidate.stop_workers(old, engine, patience.stop_timeout)
    if wanted.workers:
        candidate.start_workers(layout, wanted, engine, patience.start_timeout)
        candidate.settle(wanted, engine)


def share(layout: AppLayout, live: Release, trial: Release, weight: int, patience: Patience) -> None:
    """Give ``trial`` the part ``weight`` (percent) of the traffic of ``live``, and prove that the edge knows."""
    edge.put_route(layout, document(live, Warm(trial.id, trial.endpoints, weight)))
    tls = edge.uses_tls(layout)
    edge.await_canary(live.endpoints, routes.canary_value(trial.id, weight), tls, patience.switch_timeout)


def serve_alone(layout: AppLayout, release: Release, patience: Patience) -> None:
    """Let ``release`` serve, with nothing else in its route. Nothing is done when that is so."""
    wanted = document(release)
    if edge.read_route(layout) == wanted:
        return
    edge.put_route(layout, wanted)
    edge.await_release(release.endpoints, release.id, edge.uses_tls(layout), patience.switch_timeout)


def resume(layout: AppLayout, wanted: Release, former: str, engine: Engine, patience: Patience) -> None:
    """Complete the switch to ``wanted``, whose route is in place, where it may have been cut short."""
    candidate.settle(wanted, engine, wanted.beside)
    _move_workers(layout, wanted, candidate.load_or_none(layout, former) if former else None, engine, patience)


def return_traffic(
    layout: AppLayout,
    failed: Release | None,
    former: Release | None,
    engine: Engine,
    patience: Patience,
    *,
    alone: bool = False,
) -> None:
    """Give the traffic of ``failed`` back to ``former``, which is started first if it does not run; with no
    former release, take the route away. ``alone`` on a host that has no room for both."""
    if former is None:
        edge.put_route(layout, None)
        store.point(layout.live, None)
        return
    if not _serves_beside(former, engine):
        if alone and failed is not None:
            candidate.stop(failed, engine, patience.stop_timeout)
        candidate.start(layout, former, engine, patience.start_timeout, forward=False)
        # Whatever its gate says now: it was good, and what serves at the moment is not.
        candidate.watch(former, engine)
    switch(layout, former, failed, engine, patience)


def _serves_beside(release: Release, engine: Engine) -> bool:
    running = {c.service for c in engine.containers(release.project) if c.status == "running"}
    return running >= set(release.beside)
