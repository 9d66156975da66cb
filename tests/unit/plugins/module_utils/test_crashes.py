"""A deploy or rollback that is killed at any point, and again in each recovery: what the host is left with.

The real steps run over a host in memory. Each state that they pass through is one that a kill would leave;
from each, with and without a reboot, the host recovers as its timer does, and the states which *that* passes
through are recovered from in turn, until no new one appears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    candidate,
    edge,
    host_lock,
    journal,
    plan,
    rollback,
    rollout,
    store,
    switching,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from tests.unit.support import crashes
from tests.unit.support.crashes import states_of
from tests.unit.support.host import Host, State, install, number_of, release, rid

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
    with journal.acquire(layout, claim) as (session, _old):
        journal.begin(session, claim)
        token = session.journal.token
    with journal.step(layout, token) as session, rollout.taken_back(session, host):
        previous = store.pointed(layout.live) or ""
        session.advance(journal.FETCH, release=rid(3), previous=previous)
        host.tick("publish")
        host.publish(flow.release(3))
    with journal.step(layout, token) as session:
        rollout.try_candidate(session, candidate.load(layout, rid(3)), host)
    with journal.step(layout, token) as session:
        rollout.go_live(session, candidate.load(layout, rid(3)), host, flow.canary)
    with journal.step(layout, token) as session:
        rollout.finish(session, candidate.load(layout, rid(3)), host, lambda _: None)


def go_back(host: Host, flow: Flow) -> None:
    claim = Claim("alice@laptop", "rollback", plan.ROLLBACK, 60, {**SETTINGS, **flow.settings, "cause": "slow"})
    rollback.go_back(host.layout, rid(2) if flow.lost else "", claim, host, 1)


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
    for what, state in states_of(host, lambda: (go_back if flow.back else deploy)(host, flow)):
        host.restore(state)
        left = journal.read(host.layout)
        if left is None or (flow.lost and not left.release):
            # Nothing had begun, so it is as broken as before.
            continue
        host.now = Moment("boot", 1000.0 if lease == "runs" else 9999.0)
        told = Claim("bob@desk", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is slow"})
        done = rollback.go_back(host.layout, "", told, host, 1)
        assert tidy.clean_up(host.layout, 3, 0, host) == [], what
        live = store.pointed(host.layout.live)
        assert (host.serving, done.live, store.pointed(host.layout.last_good)) == (live, live, live), what
        assert set(host.state().running()) == {flow.release(number_of(str(live))).project}, what
        assert not host.layout.journal.exists(), what
        assert live in ((rid(1), rid(2)) if flow.back else (rid(2),)), what


@pytest.mark.parametrize("by", ["the timer", "the rollback"])
@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("flow", [Flow("deploy"), Flow("repair", back=True, lost="web")], ids=lambda flow: flow.name)
def test_a_last_good_release_that_does_not_run_keeps_nobody_from_replacing_it(
    host: Host, flow: Flow, starts: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(host, flow)
    wanted, real = flow.release(flow.target), host.compose
    left = states_of(host, lambda: (go_back if flow.back else deploy)(host, flow))

    def compose(file: Path | str, *argv: str, **more: Any) -> str:
        if argv[0] == "start" and Path(file).parent.name == wanted.id:
            raise DavitError("port is already allocated")
        return real(file, *argv, **more)

    if not starts:
        monkeypatch.setattr(host, "compose", compose)
    tried = 0
    # A repair that the rollback itself completes is what was wanted of a rollback; else it goes on to an earlier one.
    mended = starts and flow.back and by == "the rollback"
    expected = wanted.id if mended else rid(flow.target - 1)
    for what, state in left:
        host.restore(state)
        begun = journal.read(host.layout)
        if begun is None or not begun.release or store.pointed(host.layout.last_good) != wanted.id:
            continue
        tried += 1
        host.boxes[wanted.project].pop("web", None)
        host.now = Moment("another boot", 1.0)
        if by == "the timer":
            assert ("port is already allocated" in agent.recover(host.layout)) is not starts, what
            assert not host.layout.journal.exists(), what
            assert host.runs(wanted) is starts, what
            assert not any(line.get("blamed") for line in store.read_history(host.layout)), what
        told = Claim("bob", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is down"})
        done = rollback.go_back(host.layout, "", told, host, 1)
        assert (done.live, done.changed, host.serving) == (expected, True, expected), what
        assert switching.works(host.layout, flow.release(number_of(expected)), host), what
    assert tried > 1


@pytest.mark.parametrize("wanted", ["", rid(1)])
def test_a_rollback_neither_frees_nor_overtakes_the_lock_of_an_upgrade(host: Host, wanted: str) -> None:
    flow = Flow("rollback", back=True)
    prepare(host, flow)
    upgrade = Claim("carol", "upgrade of the engine", "maintenance", 900, {})
    host_lock.hold(str(host.root), upgrade, lambda _: None)
    before, told = host.state(), Claim("bob", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is slow"})
    with pytest.raises(LockedError, match=r"by carol \(upgrade of the engine.*again once carol is done"):
        rollback.go_back(host.layout, wanted, told, host, 1)
    assert host.state() == before
    # Whoever held it did not come back, and the timer has not been yet.
    host.now = Moment("boot", 9999.0)
    done = rollback.go_back(host.layout, wanted, told, host, 1)
    assert (done.live, done.changed, done.stopped, host.serving) == (rid(1), True, "", rid(1))
    assert store.read_history(host.layout)[-1]["result"] == plan.SUCCEEDED
    assert not host.layout.journal.exists()


def test_a_way_back_that_fails_keeps_the_cause_and_the_blame(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow("soak fails", SOAK, bad_in_traffic=True)
    prepare(host, flow)
    slow = {rid(2)}

    def await_release(endpoints: Any, name: str, *_: Any) -> None:
        if name in slow:
            raise DavitError("the edge is slow")
        host.await_release(endpoints, name)

    monkeypatch.setattr(edge, "await_release", await_release)
    with pytest.raises(DavitError, match=r"in the soak.*It was not taken back: the edge is slow"):
        deploy(host, flow)
    left = journal.read(host.layout)
    assert left is not None
    assert "in the soak" in left.failed
    slow.clear()
    # What revert.yml does with the error that it was given.
    done = rollback.undo(host.layout, left.token, "the edge is slow", host, blamed=False)
    assert (done.live, host.serving) == (rid(2), rid(2))
    line = store.read_history(host.layout)[-1]
    assert (line["result"], line["blamed"], "in the soak" in line["cause"]) == (plan.ROLLED_BACK, True, True)


def test_a_disk_that_the_release_has_filled_does_not_keep_its_traffic(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow("soak fails", SOAK, bad_in_traffic=True)
    prepare(host, flow)
    real = store.write

    def write(*arguments: Any) -> None:
        if host.serving == rid(3):
            raise OSError(28, "No space left on device")
        real(*arguments)

    advance = journal.Session.advance

    def advanced(session: journal.Session, phase: str, **more: Any) -> None:
        # All is well until the release has begun to serve.
        monkeypatch.setattr(store, "write", real if phase == journal.SOAK else write)
        advance(session, phase, **more)
        monkeypatch.setattr(store, "write", write)

    opened, policy = Path.open, host.restart_policy

    def open_(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if mode == "w" and host.serving == rid(3):
            raise OSError(28, "No space left on device")
        return opened(path, mode, *arguments, **named)

    def restart_policy(ids: Sequence[str], *wanted: Any) -> None:
        if ids and host.serving == rid(3):
            raise DavitError("The Docker engine refused POST /containers/x/update: no space left on device")
        policy(ids, *wanted)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(host, "restart_policy", restart_policy)
    monkeypatch.setattr(journal.Session, "advance", advanced)
    with pytest.raises(DavitError, match="in the soak"):
        deploy(host, flow)
    assert host.serving == rid(2)
    assert store.pointed(host.layout.live) == rid(2)
    assert list(host.layout.route_stage.glob("*.back")) == []


@pytest.mark.parametrize("lost", ["containers", "mail", "one that runs", "route"])
def test_a_rollback_to_what_is_live_mends_what_it_has_lost(host: Host, lost: str) -> None:
    flow = Flow("live", **WORKERS)
    prepare(host, flow)
    wanted, claim = flow.release(2), Claim("alice", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "gone"})
    assert switching.works(host.layout, wanted, host)
    assert rollback.go_back(host.layout, rid(2), claim, host, 1).changed is False
    if lost == "one that runs":
        host.boxes[wanted.project]["mail"].status = "exited"
    else:
        lose(host, wanted, lost)
    assert not switching.works(host.layout, wanted, host)
    did: list[str] = []
    host.seen = did.append
    assert rollback.go_back(host.layout, rid(2), claim, host, 1).changed is True
    assert not [what for what in did if what.startswith(("policy no", "stop"))], "what runs is left running"
    assert switching.works(host.layout, wanted, host)
    assert {box.policy for box in host.boxes[wanted.project].values()} == {"unless-stopped"}
    assert store.pointed(host.layout.last_good) == rid(2)
