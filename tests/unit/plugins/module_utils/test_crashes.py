"""A deploy or rollback that is killed at any point, and again in each recovery: what the host is left with.

The real steps run over a host in memory. Each state that they pass through is one that a kill would leave;
from each, with and without a reboot, the host recovers as its timer does, and the states which *that* passes
through are recovered from in turn, until no new one appears.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    edge,
    journal,
    plan,
    rollback,
    store,
    switching,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment
from tests.unit.support import crashes
from tests.unit.support.crashes import states_of
from tests.unit.support.flows import ALONE, CANARY, SETTINGS, SOAK, WORKERS, Flow, deploy, go_back, prepare
from tests.unit.support.host import Host, State, install, number_of, rid

FLOWS = (
    Flow("deploy"),
    Flow("soak", SOAK),
    Flow("gate fails", SOAK, bad_before_traffic=True),
    Flow("soak fails", SOAK, bad_in_traffic=True),
    Flow("first deploy", SOAK, first=True),
    Flow("first deploy whose gate fails", SOAK, first=True, bad_before_traffic=True),
    Flow("first deploy whose soak fails", SOAK, first=True, bad_in_traffic=True),
    Flow("canary", SOAK, canary=CANARY),
    Flow("workers", SOAK, **WORKERS),
    Flow("workers whose soak fails", SOAK, bad_in_traffic=True, **WORKERS),
    Flow("stop first", {**SOAK, "stop_first": True}),
    Flow("stop first whose gate fails", {**SOAK, "stop_first": True}, bad_before_traffic=True),
    Flow("stop first with workers", {**SOAK, "stop_first": True}, **WORKERS),
    Flow("stop first whose soak fails", {**SOAK, "stop_first": True}, bad_in_traffic=True),
    Flow("rollback", back=True),
    Flow("rollback, stop first", {"stop_first": True}, back=True, **WORKERS),
    Flow("rollback, stop first, whose gate fails", {"stop_first": True}, back=True, bad_before_traffic=True),
    Flow("rollback with workers", back=True, **WORKERS),
    Flow("rollback whose gate fails", back=True, bad_before_traffic=True),
    Flow("repair", back=True, lost="containers", **WORKERS),
    Flow("repair of a worker", {"stop_first": True}, back=True, lost="mail", **WORKERS),
    Flow("repair of the route", back=True, lost="route"),
    Flow("repair whose gate fails", back=True, lost="web", bad_in_traffic=True, **WORKERS),
    Flow("repair of the route whose gate fails", back=True, lost="route", bad_before_traffic=True, **WORKERS),
    Flow(
        "repair, stop first, whose gate fails",
        {"stop_first": True},
        back=True,
        lost="mail",
        bad_in_traffic=True,
        **WORKERS,
    ),
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    install(made, monkeypatch)
    return made


def explore(host: Host, flow: Flow, start: list[tuple[str, State]], act: Callable[[], Any]) -> int:
    """Do ``act`` from each state of ``flow``, and from all that this leads to."""

    def before() -> None:
        # A breach that was found stays found, however well the candidate looks later.
        left_by = journal.read(host.layout)
        breached = set() if left_by is None or left_by.failed else {flow.target}
        host.bad_before_traffic = breached if flow.bad_before_traffic else set()
        host.bad_in_traffic = breached if flow.bad_in_traffic else set()

    return crashes.explore(
        *(host, start, act),
        always=partial(require_service, flow),
        before=before,
        after=partial(require_truth, host, flow),
    )


def require_service(flow: Flow, state: State, path: tuple[str, ...]) -> None:
    """What has to hold at every moment, and not only in the end."""
    served, running = state.serving, state.running()
    if served and not flow.stop_first and not flow.lost:
        assert running.get(flow.release(number_of(served)).project, set()) >= {"web"}, (path, running)
    copies = [p for p, services in running.items() if "web" in services]
    assert len(copies) <= 1 or not flow.stop_first, (path, running)
    twice = [p for p, services in running.items() if services & set(flow.workers)]
    assert len(twice) <= 1, (path, running)


def require_truth(host: Host, flow: Flow, path: tuple[str, ...]) -> None:
    """After a recovery and the clean-up: one live release or none, and every record says so."""
    layout = host.layout
    assert not layout.journal.exists(), path
    assert not layout.way_back.exists(), path
    lines = [line for line in store.read_history(layout) if "deploy" in line]
    if flow.lost and path != ALONE and not any(line["release"] for line in lines):
        # It was killed before the repair began, so all is as it was.
        return
    kept = flow.release(number_of(live)).project if (live := store.pointed(layout.live)) else ""
    armed = {p for p, own in host.boxes.items() if any(box.policy != "no" for box in own.values())}
    assert armed <= {kept}, (path, "a reboot would start it again", host.boxes)
    host.time_passes()
    problems = tidy.clean_up(layout, 3, 0, host)
    assert problems == [], path
    live = store.pointed(layout.live) or ""
    assert host.serving == live, (path, host.serving, live)
    assert (store.pointed(layout.last_good) or "") == live, path
    state = host.state()
    expected = {flow.release(number_of(live)).project: set(flow.services)} if live else {}
    assert state.running() == expected, (path, state.boxes)
    policies = {box.policy for name in expected for box in state.boxes[name].values()}
    assert policies <= {"unless-stopped"}, (path, state.boxes)
    if live:
        assert edge.read_route(layout) == switching.document(flow.release(number_of(live))), path
    assert len(lines) <= 1, (path, lines)
    results = [line["result"] for line in lines]
    if flow.lost:
        # It stays whatever its gate says, and a later rollback finds all that was there before.
        assert (live, any(line.get("blamed") for line in lines)) == (rid(2), False), (path, lines)
        assert plan.good_releases(store.read_state(layout)) == {rid(1), rid(2)}, (path, lines)
        return
    assert (results == [plan.SUCCEEDED]) == (live == rid(flow.target)), (path, results, live)
    if live != rid(flow.target):
        assert live == ("" if flow.first else rid(2)), path
        assert not any(number_of(project) == 3 for project in state.boxes), path
    assert not (flow.fails and live == rid(flow.target)), path


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_whenever_it_is_killed_the_host_puts_itself_right(host: Host, flow: Flow) -> None:
    prepare(host, flow)
    act = go_back if flow.back else deploy

    def tried() -> None:
        if flow.fails:
            with pytest.raises(DavitError):
                act(host, flow)
        else:
            act(host, flow)

    states = states_of(host, tried)
    require_truth(host, flow, ALONE)
    assert explore(host, flow, states, lambda: agent.recover(host.layout)) > len(states) / 2


@pytest.mark.parametrize("lease", ["runs", "ended"])
@pytest.mark.parametrize("flow", [f for f in FLOWS if not f.fails and not f.first], ids=lambda flow: flow.name)
def test_whenever_it_is_left_a_rollback_leads_back(host: Host, flow: Flow, lease: str) -> None:
    """Out of a deploy to what was live before, also when the deploy had all but ended; a rollback that was
    left is not gone further than it wanted."""
    prepare(host, flow)
    tried, states = 0, states_of(host, lambda: (go_back if flow.back else deploy)(host, flow))
    for what, state in states:
        host.restore(state)
        left = journal.read(host.layout)
        if left is None or (flow.lost and not left.release):
            # Nothing had begun, so it is as broken as before.
            continue
        tried += 1
        host.now = Moment("boot", 1000.0 if lease == "runs" else 9999.0)
        told = Claim("bob@desk", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is slow"})
        done = rollback.go_back(host.layout, "", told, host, 1)
        assert tidy.clean_up(host.layout, 3, 0, host) == [], what
        live = store.pointed(host.layout.live)
        assert (host.serving, done.live, store.pointed(host.layout.last_good)) == (live, live, live), what
        assert set(host.state().running()) == {flow.release(number_of(str(live))).project}, what
        assert not host.layout.journal.exists(), what
        assert live in ((rid(1), rid(2)) if flow.back else (rid(2),)), what
    assert tried > len(states) / 2
