"""Deploys and rollbacks of each kind over a host in memory, as the role and the modules call the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    edge,
    journal,
    opening,
    plan,
    rollback,
    rollout,
    steps,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from tests.unit.support.host import Host, State, release, rid

SETTINGS: dict[str, Any] = {"drain_seconds": 0, "keep": 3}


@dataclass(frozen=True)
class Flow:
    """What is tried. ``fails`` says that it must not go live when nobody interrupts it.

    ``lost`` is what the live release lacks, and a rollback to it is to mend.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    canary: tuple[Mapping[str, Any], ...] = ()
    services: tuple[str, ...] = ("web",)
    workers: tuple[str, ...] = ()
    first: bool = False
    back: bool = False
    lost: str = ""
    bad_before_traffic: bool = False
    bad_in_traffic: bool = False

    @property
    def target(self) -> int:
        if self.lost:
            return 2
        return 1 if self.back else 3

    @property
    def fails(self) -> bool:
        return self.bad_before_traffic or self.bad_in_traffic

    @property
    def stop_first(self) -> bool:
        return bool(self.settings.get("stop_first"))

    def release(self, number: int) -> Release:
        return release(number, services=self.services, workers=self.workers)


ALONE = ("nobody interrupts",)
SOAK = {"soak_seconds": 0.005}
WORKERS: dict[str, Any] = {"services": ("web", "mail"), "workers": ("mail",)}
CANARY = ({"weight": 10, "seconds": 0.001}, {"weight": 50, "seconds": 0.001})


def prepare(host: Host, flow: Flow) -> None:
    """Release 2 is live and 1 is kept, unless it is a first deploy."""
    host.restore(State())
    if flow.bad_before_traffic:
        host.bad_before_traffic = {flow.target}
    if flow.bad_in_traffic:
        host.bad_in_traffic = {flow.target}
    if flow.first:
        return
    for number in (1, 2):
        host.publish(flow.release(number))
        done = {"sequence": number, "action": plan.DEPLOY, "release": rid(number), "result": plan.SUCCEEDED}
        store.append_history(host.layout, {**done, "previous": rid(number - 1) if number > 1 else None})
    host.run_release(flow.release(1), status="exited")
    host.run_release(flow.release(2))
    edge.put_route(host.layout, switching.document(flow.release(2)))
    store.point(host.layout.live, host.layout.release(rid(2)))
    store.point(host.layout.last_good, host.layout.release(rid(2)))
    if flow.lost:
        lose(host, flow.release(2), flow.lost)


def lose(host: Host, made: Release, what: str) -> None:
    if what == "route":
        edge.put_route(host.layout, None)
    elif what == "containers":
        host.remove_project(made.project)
    else:
        del host.boxes[made.project][what]


def deploy(host: Host, flow: Flow) -> None:
    """The modules of a deploy, one after the other, as the role calls them."""
    layout = host.layout
    claim = Claim("alice@laptop", "deploy v3", plan.DEPLOY, 60, {**SETTINGS, **flow.settings})
    with journal.acquire(layout, claim) as (session, old):
        opening.begin(session, old, claim, host)
        token = session.journal.token
    with journal.step(layout, token) as session, rollout.taken_back(session, host):
        previous = store.pointed(layout.live) or ""
        session.advance(journal.FETCH, release=rid(3), previous=previous)
        host.tick("publish")
        host.publish(flow.release(3))
    given = {"app": layout.app, "root": layout.root, "token": token, "lease": None, "release": rid(3)}
    steps.start(given, warn)
    steps.switch({**given, "canary": flow.canary, "finish": False}, warn)
    steps.finish(given, warn)


def warn(_: str) -> None:
    """What a module would warn of."""


def go_back(host: Host, flow: Flow) -> None:
    claim = Claim("alice@laptop", "rollback", plan.ROLLBACK, 60, {**SETTINGS, **flow.settings, "cause": "slow"})
    rollback.go_back(host.layout, rid(2) if flow.lost else "", claim, host, 1)
