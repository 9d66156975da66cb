"""A deploy that takes the place of a stack is killed at any point, and again in each recovery: one of the two serves.

As in test_crashes.py, the real steps run over a host in memory. The old stack owns port 80 and a volume; the edge
waits.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    candidate,
    edge,
    journal,
    leases,
    plan,
    rollback,
    rollout,
    store,
    takeover,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.adoption import Old
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience
from tests.unit.support import crashes
from tests.unit.support.crashes import states_of
from tests.unit.support.host import APP, Box, Host, State, install, release, rid

OLD, STATEFUL, EDGE = "old", "shop-stateful", "davit-edge"
AS_BEFORE = {"web": Box("running", "always"), "db": Box("running", "unless-stopped"), "cron": Box("exited", "no", True)}
RUNNING = {
    "services": {"db": {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}},
    "volumes": {"data": {"name": "old_data", "external": True}},
}
ADOPTS = {"project": OLD, "folder": "/srv/old", "volumes": {"data": "old_data"}}


@dataclass(frozen=True)
class Flow:
    """What is tried. ``stateful``: whether the new release has a database on the old one's volume."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    stateful: bool = True
    workers: bool = False
    bad_before_traffic: bool = False
    bad_in_traffic: bool = False
    edge_fails: bool = False

    @property
    def fails(self) -> bool:
        return self.bad_before_traffic or self.bad_in_traffic or self.edge_fails

    @property
    def release(self) -> Release:
        worked = {"services": ("web", "mail"), "workers": ("mail",)} if self.workers else {}
        return release(1, stateful=("db",) if self.stateful else (), adopts=ADOPTS, **worked)

    @property
    def served(self) -> dict[str, set[str]]:
        """What runs once it is live."""
        return {
            self.release.project: set(self.release.services),
            EDGE: {"traefik"},
            **({STATEFUL: {"db"}} if self.stateful else {}),
        }


SOAK = {"soak_seconds": 0.005}
FLOWS = (
    Flow("adoption", SOAK),
    Flow("without data", SOAK, stateful=False),
    Flow("gate fails", bad_before_traffic=True),
    Flow("without data, gate fails", stateful=False, bad_before_traffic=True),
    Flow("workers whose soak fails", SOAK, bad_in_traffic=True, workers=True),
    Flow("the edge does not start", edge_fails=True),
)
every_flow = pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)


class Adopting(Host):
    """A host with an old stack, whose edge is a container that needs the old stack's port."""

    edge_fails = False

    def compose(self, file: Path | str, *argv: str, **more: Any) -> str:
        if Path(file) == self.layout.edge / edge.COMPOSE:
            self._edge(argv[0])
        elif Path(file) == self.layout.stateful_file:
            assert argv[0] == "up"
            self.tick("up db")
            self.boxes[STATEFUL] = {"db": Box("running", "unless-stopped")}
        else:
            return super().compose(file, *argv, **more)
        return ""

    def _edge(self, verb: str) -> None:
        self.tick(f"edge {verb}")
        if verb == "down":
            self.boxes.pop(EDGE, None)
        elif self.edge_fails or self.boxes[OLD]["web"].status == "running":
            raise DavitError("port 80 is in use")
        else:
            self.boxes[EDGE] = {"traefik": Box("running", "unless-stopped")}

    def stack(self, project: str) -> list[dict[str, Any]]:
        assert project == OLD
        return [inspected(service, box) for service, box in self.boxes[OLD].items()]

    def users(self, data: str) -> dict[str, Mapping[str, str]]:
        owners = (p for p in (OLD, STATEFUL) if self.boxes.get(p, {}).get("db", Box()).status == "running")
        own = {STATEFUL: {"davit.app": APP}}
        return {f"{p}-db-1": {"com.docker.compose.project": p, **own.get(p, {})} for p in owners if data == "old_data"}

    def start(self, ids: Any, *_: Any) -> None:
        for identity in ids:
            self.tick(f"start {identity}")
            assert not (identity == f"{OLD}/web" and EDGE in self.boxes), "port 80 is in use"
            self._box(identity).status, self._box(identity).stopped = "running", False

    def ensure_network(self, *_: Any) -> None: ...

    def connect(self, *_: Any) -> None: ...

    def publish(self, made: Release) -> None:
        super().publish(made)
        (self.layout.release(made.id) / store.STATEFUL).write_text(json.dumps(RUNNING))
        self.disk_changes()

    def await_release(self, *arguments: Any) -> None:
        if EDGE not in self.boxes:
            raise DavitError("connection refused")
        super().await_release(*arguments)


def inspected(service: str, box: Box) -> dict[str, Any]:
    mounts = [{"Type": "volume", "Name": "old_data", "Destination": "/data", "RW": True}] if service == "db" else []
    return {
        "Id": f"{OLD}/{service}",
        "Name": f"/{OLD}-{service}-1",
        "Config": {"Labels": {"com.docker.compose.service": service}, "StopTimeout": 300 if service == "db" else None},
        "HostConfig": {"RestartPolicy": {"Name": box.policy}},
        "State": {"Status": box.status},
        "Mounts": mounts,
    }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopting:
    made = Adopting(tmp_path)
    install(made, monkeypatch)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        made.tick(f"unlink {path.name}")
        real(path, missing_ok)
        made.disk_changes()

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(edge, "is_up", lambda: made.boxes.get(EDGE, {}).get("traefik", Box()).status == "running")
    return made


def prepare(host: Adopting, flow: Flow) -> None:
    host.restore(State({OLD: AS_BEFORE}, {"edge/compose.yaml": b"{}"}))
    host.bad_before_traffic = {1} if flow.bad_before_traffic else set()
    host.bad_in_traffic = {1} if flow.bad_in_traffic else set()
    host.edge_fails = flow.edge_fails


def deploy(host: Adopting, flow: Flow) -> None:
    """The modules of a first deploy, as the role calls them."""
    layout = host.layout
    claim = Claim("alice@laptop", "deploy v1", plan.DEPLOY, 60, {"drain_seconds": 0, "keep": 3, **flow.settings})
    with journal.acquire(layout, claim) as (session, _old):
        journal.begin(session, claim)
        token = session.journal.token
    with journal.step(layout, token) as session, rollout.taken_back(session, host):
        session.advance(journal.FETCH, release=rid(1), previous="")
        host.tick("publish")
        host.publish(flow.release)
    with journal.step(layout, token) as session:
        rollout.try_candidate(session, candidate.load(layout, rid(1)), host)
    with journal.step(layout, token) as session:
        rollout.go_live(session, candidate.load(layout, rid(1)), host, ())
        rollout.finish(session, candidate.load(layout, rid(1)), host, lambda _: None)


def always(state: State, path: tuple[str, ...]) -> None:
    """The data has one owner at every moment, and so have port 80 and the work of a worker."""
    running = state.running()
    owners = [p for p in (OLD, STATEFUL) if "db" in running.get(p, set())]
    assert len(owners) <= 1, (path, running)
    assert not ("web" in running.get(OLD, set()) and EDGE in running), (path, running)
    both = "web" in running.get(OLD, set()) and any("mail" in services for services in running.values())
    assert not both, (path, running)
    assert set(state.boxes[OLD]) == set(AS_BEFORE), (path, "a container of the old stack is gone")


def require_one_of_two(host: Adopting, flow: Flow, path: tuple[str, ...]) -> None:
    layout = host.layout
    assert not layout.journal.exists(), path
    assert tidy.clean_up(layout, 3, 0, host) == [], path
    state, live = host.state(), store.pointed(layout.live)
    lines = [line for line in store.read_history(layout) if "deploy" in line]
    assert len(lines) <= 1, (path, lines)
    if live:
        assert not flow.fails, path
        assert state.running() == flow.served, (path, state.boxes)
        assert {box.policy for box in state.boxes[OLD].values()} == {"no"}, path
        assert store.read_json(layout.adoption)["state"] == takeover.ADOPTED, path
        assert (host.serving, store.pointed(layout.last_good)) == (live, live), path
        assert [line["result"] for line in lines] == [plan.SUCCEEDED], path
        assert lines[0]["adopted"]["project"] == OLD, path
        return
    assert state.running() == {OLD: {"web", "db"}}, (path, state.boxes)
    assert state.boxes[OLD] == {**AS_BEFORE, **_left_alone(state)}, (path, state.boxes)
    assert not layout.adoption.exists(), path
    assert not layout.stateful_file.exists(), path
    assert host.serving == "", path
    assert all(line["result"] != plan.SUCCEEDED for line in lines), path


def _left_alone(state: State) -> dict[str, Box]:
    """A container that did not run is told from one that never ran by its past alone."""
    box = state.boxes[OLD]["cron"]
    return {"cron": Box(box.status, "no", box.stopped)}


def tried(host: Adopting, flow: Flow) -> None:
    if not flow.fails:
        deploy(host, flow)
        return
    with pytest.raises(DavitError):
        deploy(host, flow)


@every_flow
def test_whenever_it_is_killed_exactly_one_of_the_two_serves(host: Adopting, flow: Flow) -> None:
    prepare(host, flow)
    states = states_of(host, lambda: tried(host, flow))
    require_one_of_two(host, flow, ("nobody interrupts",))
    assert bool(store.pointed(host.layout.live)) == (not flow.fails)

    def before() -> None:
        left_by = journal.read(host.layout)
        breached = set() if left_by is None or left_by.failed else {1}
        host.bad_before_traffic = breached if flow.bad_before_traffic else set()
        host.bad_in_traffic = breached if flow.bad_in_traffic else set()

    seen = crashes.explore(
        *(host, states, lambda: agent.recover(host.layout)),
        always=always,
        before=before,
        after=partial(require_one_of_two, host, flow),
    )
    assert seen > len(states) / 2


@pytest.mark.parametrize("lease", ["runs", "ended"])
@pytest.mark.parametrize("flow", [FLOWS[0], FLOWS[1]], ids=lambda flow: flow.name)
def test_whenever_it_is_left_a_rollback_leads_back_to_the_old_stack(host: Adopting, flow: Flow, lease: str) -> None:
    prepare(host, flow)
    for what, state in states_of(host, lambda: deploy(host, flow)):
        host.restore(state)
        left = journal.read(host.layout)
        if left is None or store.pointed(host.layout.last_good):
            continue
        host.now = leases.Moment("boot", 1000.0 if lease == "runs" else 9999.0)
        claim = Claim("bob@desk", "rollback", plan.ROLLBACK, 60, {"drain_seconds": 0, "keep": 3, "cause": "it is slow"})
        # Once its lease has ended, a deploy that had switched is judged and finished, and then nothing is before it.
        may_be_good = lease == "ended" and left.phase in (journal.SWITCH, journal.SOAK, journal.FINISH)
        with contextlib.suppress(*([DavitError] if may_be_good else [])):
            rollback.go_back(host.layout, "", claim, host, 1)
        assert may_be_good or not store.pointed(host.layout.live), what
        require_one_of_two(host, flow, (what,))


def test_a_container_is_stopped_after_those_that_use_it(host: Adopting) -> None:
    prepare(host, FLOWS[0])
    done = [what for what, _state in states_of(host, lambda: deploy(host, FLOWS[0]))]
    assert done.index(f"stop {OLD}/web") < done.index(f"stop {OLD}/db") < done.index("up db") < done.index("edge up")
    # As late as possible: what needs no data is there before.
    assert done.index("create web") < done.index(f"stop {OLD}/web")


def test_without_data_the_old_stack_serves_until_the_gate_has_passed(host: Adopting) -> None:
    prepare(host, FLOWS[1])
    states = states_of(host, lambda: deploy(host, FLOWS[1]))
    stop = next(state for what, state in states if what == f"stop {OLD}/web")
    assert json.loads(stop.files["apps/shop/deploy.json"])["phase"] == journal.SWITCH


def test_the_policy_comes_back_with_its_number_of_retries() -> None:
    record = inspected("web", Box("running", "on-failure"))
    record["HostConfig"]["RestartPolicy"]["MaximumRetryCount"] = 4
    old = Old.from_inspect(record)
    assert (old.policy, old.retries) == ("on-failure", 4)


@pytest.mark.parametrize("moment", [(candidate, "judge"), (takeover, "note_gap")], ids=lambda moment: moment[1])
def test_a_unit_that_starts_the_old_stack_again_within_the_deploy_is_noticed(
    host: Adopting, monkeypatch: pytest.MonkeyPatch, moment: tuple[Any, str]
) -> None:
    prepare(host, FLOWS[0])
    real = getattr(*moment)

    def restarted(*arguments: Any, **named: Any) -> Any:
        host.boxes[OLD]["db"].status = "running"
        return real(*arguments, **named)

    monkeypatch.setattr(*moment, restarted)
    with pytest.raises(DavitError, match=r"old-db-1.*started again.*systemctl disable --now.*was started again\."):
        deploy(host, FLOWS[0])
    require_one_of_two(host, Flow("restarted", bad_before_traffic=True), (moment[1],))


def test_another_that_takes_the_data_within_the_deploy_is_noticed(host: Adopting) -> None:
    store.make_private(host.layout.home)
    prepare(host, FLOWS[0])
    record = {"state": takeover.TAKEN, "project": OLD, "data": ["/srv/db"]}
    store.write_json(host.layout.adoption, record)
    host.boxes[OLD] = {}
    takeover.require_stopped(host.layout, host)
    host.users = lambda data: {"stranger": {}} if data == "/srv/db" else {}  # type: ignore[method-assign]
    with pytest.raises(DavitError, match="The directory /srv/db is in use by the container stranger"):
        takeover.require_stopped(host.layout, host)


def test_data_in_a_directory_makes_an_owner_too(host: Adopting, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(host, FLOWS[0])
    mounted = {"Type": "bind", "Source": "/srv/db", "Destination": "/data", "RW": True}
    real = host.stack
    monkeypatch.setattr(
        host, "stack", lambda p: [{**r, "Mounts": [mounted] if r["Id"] == "old/db" else []} for r in real(p)]
    )
    made = release(1, stateful=("db",), adopts={**ADOPTS, "volumes": {}})
    host.publish(made)
    model = {"services": {"db": {"volumes": [{"type": "bind", "source": "/srv/db", "target": "/data"}]}}}
    (host.layout.release(made.id) / store.STATEFUL).write_text(json.dumps(model))
    takeover.take(host.layout, made, host, Patience())
    record = takeover.pending(host.layout)
    assert record["data"] == ["/srv/db"]
    assert {c["service"]: c["owns"] for c in record["containers"]} == {"web": False, "db": True, "cron": False}


def test_a_stop_that_was_given_up_on_is_finished_before_the_stack_is_started_again(
    host: Adopting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine goes on stopping a container when its client is gone, and such a container cannot be started."""
    prepare(host, FLOWS[0])
    real, tries = host.stop, list[float]()

    def stop(ids: list[str], timeout: float) -> None:
        if f"{OLD}/db" in ids:
            tries.append(timeout)
            if len(tries) <= 2:
                raise DavitError("docker stop did not end")
        real(ids)

    monkeypatch.setattr(host, "stop", stop)
    with pytest.raises(DavitError, match="docker stop did not end"):
        deploy(host, FLOWS[0])
    # The way back could not stop it either, so the host's timer is to try again.
    assert journal.read(host.layout) is not None
    assert takeover.pending(host.layout)["stopping"]
    host.now = leases.Moment("boot", 9999.0)
    agent.recover(host.layout)
    assert len(tries) == 3
    assert min(tries) > 300, "less than the grace period of the container"
    require_one_of_two(host, Flow("slow", bad_before_traffic=True), ())


def test_an_edge_that_is_slow_for_a_moment_is_not_taken_for_one_that_waits(
    host: Adopting, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(host, FLOWS[0])
    host.boxes[EDGE] = {"traefik": Box("running", "unless-stopped")}
    monkeypatch.setattr(edge, "is_up", lambda: False)
    host.publish(FLOWS[0].release)
    takeover.take(host.layout, FLOWS[0].release, host, Patience())
    assert takeover.pending(host.layout)["edge"] is False


@pytest.mark.parametrize(("route", "stays"), [("stock.yml", True), ("_edge.yml", False), (f"{APP}.yml", False)])
def test_the_edge_of_other_apps_stays_on_a_way_back(host: Adopting, route: str, stays: bool) -> None:
    prepare(host, FLOWS[0])
    host.boxes[EDGE] = {"traefik": Box("running", "unless-stopped")}
    (host.layout.routes / route).write_text("{}")
    record = {"state": takeover.TAKEN, "project": OLD, "release": rid(1), "edge": True, "began": None, "containers": []}
    store.write_json(host.layout.adoption, record)
    told = takeover.give_back(host.layout, host, Patience())
    assert (EDGE in host.boxes) == stays
    assert told == {"project": OLD, "returned": False}, "none of it had run"


def test_a_stack_that_did_not_run_is_not_said_to_be_started_again(host: Adopting) -> None:
    flow = Flow("gate fails", bad_before_traffic=True)
    prepare(host, flow)
    for box in host.boxes[OLD].values():
        box.status = "exited"
    with pytest.raises(DavitError) as failed:
        deploy(host, flow)
    assert "started again" not in str(failed.value)
