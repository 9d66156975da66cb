"""A host with a stack that somebody started by hand, and a deploy that takes its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    edge,
    journal,
    opening,
    plan,
    rollout,
    steps,
    store,
    takeover,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
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


ADOPTION = Flow("adoption", {"soak_seconds": 0.005})


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
        "Config": {"Labels": {"com.docker.compose.service": service}},
        "HostConfig": {"RestartPolicy": {"Name": box.policy}},
        "State": {"Status": box.status},
        "Mounts": mounts,
    }


def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> Adopting:
    made = Adopting(root)
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
    with journal.acquire(layout, claim) as (session, old):
        opening.begin(session, old, claim, host)
        token = session.journal.token
    with journal.step(layout, token) as session, rollout.taken_back(session, host):
        session.advance(journal.FETCH, release=rid(1), previous="")
        host.tick("publish")
        host.publish(flow.release)
    given = {"app": layout.app, "root": layout.root, "token": token, "lease": None, "release": rid(1)}
    steps.start(given, lambda _: None)
    steps.switch({**given, "canary": (), "finish": True}, lambda _: None)


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
