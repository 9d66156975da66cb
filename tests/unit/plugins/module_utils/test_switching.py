"""How a deploy ends: traffic, history, clean-up, on real files with an engine and an edge that only remember."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    drill,
    drill_unit,
    edge,
    ending,
    host,
    journal,
    leases,
    load_probe_unit,
    plan,
    rollout,
    routes,
    store,
    switching,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Container
from ansible_collections.davit.ec2.plugins.module_utils.journal import Session
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route


class Remembering(Engine):
    """Runs nothing; remembers the words of each call, and fails those that hold ``broken``."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.calls: list[str] = []
        self.broken = broken

    def docker(self, *argv: str, timeout: float = 120.0, **_: Any) -> str:
        assert timeout > 0
        self.calls.append(" ".join(argv))
        if self.broken and self.broken in self.calls[-1]:
            raise CommandError(f"'{self.calls[-1]}' failed", "no", 1)
        return ""

    def containers(self, project: str) -> list[Container]:
        return [Container(f"{project}-c1", f"{project}-api-1", "api", "running")]

    def restart_policy(self, ids: Sequence[str], policy: str, retries: int = 0) -> None:
        wanted = f"{policy}:{retries}" if retries else policy
        self.calls.append(f"update {wanted} {' '.join(ids)}")

    def remove_project(self, project: str) -> None:
        self.docker("down", project)

    def stop(self, ids: Sequence[str], timeout: float) -> None:
        self.docker("stop", *ids, timeout=timeout)

    def connect(self, network: str, ids: Iterable[str]) -> None:
        self.docker("connect", network, *ids)

    def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        self.docker("network", name, *labels)

    def logs(self, container: str, lines: int) -> list[str]:
        return [f"last words of {container}"][:lines]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppLayout:
    """An app with two good releases (1 and 2, live) and a candidate (3); the edge follows at once."""
    made = AppLayout("shop", str(tmp_path))
    for directory in (made.routes, made.route_stage, made.releases):
        directory.mkdir(parents=True)
    for number in (1, 2, 3):
        directory = made.release(rid(number))
        directory.mkdir()
        store.write_json(directory / store.RECORD, release(number).to_json())
        store.write_json(directory / store.RUNNING, {"services": {}})
    for number in (1, 2):
        store.point(made.last_good, made.release(rid(number)))
        store.point(made.live, made.release(rid(number)))
        store.append_history(made, past(number))
    serve(made, 2)
    monkeypatch.setattr(edge, "await_release", lambda *_: None)
    # What the host's systemd would do.
    monkeypatch.setattr(tidy, "start", lambda *_: None)
    monkeypatch.setattr(load_probe_unit, "start", lambda *_: None)
    monkeypatch.setattr(load_probe_unit, "stop", lambda *_: {})
    return made


def past(number: int) -> dict[str, Any]:
    return {"sequence": number, "action": plan.DEPLOY, "release": rid(number), "result": plan.SUCCEEDED}


def session_of(layout: AppLayout, phase: str, number: int = 3, action: str = plan.DEPLOY) -> Session:
    """A deploy of ``number`` over the live release 2, in ``phase``."""
    now = leases.moment()
    left = journal.Journal(
        *("token", "alice", "deploy", action, 60, now.boot, now.uptime, "now", "now"),
        phase=phase,
        release=rid(number),
        previous=rid(2),
        settings={"drain_seconds": 0},
    )
    session = Session(layout, left)
    session.advance(phase)
    return session


def rid(number: int) -> str:
    return f"20260131-120000-000000{number}-{number}"


def release(number: int, **more: Any) -> Release:
    values: dict[str, Any] = {
        "id": rid(number),
        "sequence": number,
        "app": "shop",
        "project": plan.project_name("shop", rid(number)),
        "version": f"v{number}",
        "content_hash": str(number) * 64,
        "created_at": "2026-01-31T12:00:00+00:00",
        "created_by": "",
        "commit": "",
        "images": {},
        "services": ("api",),
        "stateful": (),
        "jobs": (),
        "endpoints": (Endpoint(Route("api", 8000), 20000 + number),),
        "gate": {},
    }
    return Release(**{**values, **more})


def serve(layout: AppLayout, number: int) -> None:
    edge.put_route(layout, routes.edge_document("shop", rid(number), release(number).endpoints))


def last_line(layout: AppLayout) -> dict[str, Any]:
    return store.read_history(layout)[-1]


def test_a_candidate_without_traffic_is_removed_and_the_live_one_left_alone(layout: AppLayout) -> None:
    engine = Remembering()
    undone = ending.undo(session_of(layout, journal.GATE), "it died", engine)
    assert (undone.live, undone.result, undone.warnings) == (rid(2), plan.FAILED, ())
    assert [c for c in engine.calls if c.startswith(("down", "stop"))] == [f"down {release(3).project}"]
    assert (switching.serving(layout), last_line(layout)["cause"]) == (rid(2), "it died")
    assert not layout.journal.exists()


def test_a_candidate_with_traffic_gives_it_back(layout: AppLayout) -> None:
    serve(layout, 3)
    store.point(layout.live, layout.release(rid(3)))
    undone = ending.undo(session_of(layout, journal.SOAK), "it died", Remembering())
    assert (undone.live, undone.result) == (rid(2), plan.ROLLED_BACK)
    assert (switching.serving(layout), store.pointed(layout.live)) == (rid(2), rid(2))


def test_traffic_comes_back_while_the_route_of_another_app_is_broken(layout: AppLayout) -> None:
    serve(layout, 3)
    (layout.routes / "wiki.yml").write_text("{")
    assert ending.undo(session_of(layout, journal.SOAK), "it died", Remembering()).live == rid(2)
    assert switching.serving(layout) == rid(2)


def test_a_release_that_finished_well_is_not_undone(layout: AppLayout) -> None:
    """As when the disk is full in the moment of finishing: the route must not be taken from under its users."""
    serve(layout, 3)
    store.point(layout.last_good, layout.release(rid(3)))
    with pytest.raises(DavitError, match="it stays"):
        ending.undo(session_of(layout, journal.FINISH), "no space left", Remembering())
    assert switching.serving(layout) == rid(3)


def test_a_rollback_whose_target_does_not_start_keeps_the_live_release(layout: AppLayout) -> None:
    session = session_of(layout, journal.PREFLIGHT, 1, plan.ROLLBACK)
    with pytest.raises(DavitError, match="create"):
        rollout.bring_back(session, rid(1), Remembering("create"))
    assert (switching.serving(layout), store.pointed(layout.live)) == (rid(2), rid(2))
    assert (last_line(layout)["action"], last_line(layout)["result"]) == (plan.ROLLBACK, plan.FAILED)


def test_a_clean_up_that_does_not_work_is_a_warning(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise DavitError("no systemd")

    monkeypatch.setattr(tidy, "start", fail)
    serve(layout, 3)
    done = ending.finish(session_of(layout, journal.SOAK), release(3), Remembering())
    assert done.warnings == ("no systemd",)
    assert (store.pointed(layout.last_good), last_line(layout)["result"]) == (rid(3), plan.SUCCEEDED)
    assert done.can_return_to == (rid(2), rid(1))


@pytest.mark.parametrize(("forward", "left"), [(True, "older"), (False, "newer")])
def test_only_a_deploy_changes_the_services_that_own_data(layout: AppLayout, forward: bool, left: str) -> None:
    old = release(1, stateful=("db",))
    store.write_json(layout.release(old.id) / store.STATEFUL, {"name": "older"})
    store.write_json(layout.stateful_file, {"name": "newer"})
    candidate.start(layout, old, Remembering(), 5, forward=forward)
    assert json.loads(layout.stateful_file.read_text())["name"] == left


class Choosy(Remembering):
    """An engine whose database gets healthy by some definitions alone."""

    def __init__(self, good: set[str]) -> None:
        super().__init__()
        self.good, self.tried = good, list[str]()
        self.killed_after: list[str] = []

    def compose(self, file: Path | str, *argv: str, **_: Any) -> str:
        if argv[0] == "up":
            self.tried.append(json.loads(Path(file).read_text())["name"])
            if self.tried == self.killed_after:
                raise KeyboardInterrupt
            if self.tried[-1] not in self.good:
                raise CommandError("'docker compose up' failed", "container db is unhealthy", 1)
        return ""


@pytest.mark.parametrize(("good", "warned"), [({"older"}, False), (set(), True)])
def test_a_change_of_the_services_that_own_data_which_never_gets_healthy_is_taken_back(
    layout: AppLayout, good: set[str], warned: bool
) -> None:
    """Else the live release would be left without its database, by a deploy that never touched the live release."""
    changed, engine = release(3, stateful=("db",)), Choosy(good)
    store.write_json(layout.release(changed.id) / store.STATEFUL, {"name": "newer"})
    store.write_json(layout.stateful_file, {"name": "older"})
    with pytest.raises(CommandError):
        candidate.start(layout, changed, engine, 5, forward=True)
    ended = ending.undo(session_of(layout, journal.START), "the database did not start", engine)
    assert (ended.live, engine.tried) == (rid(2), ["newer", "older"])
    assert json.loads(layout.stateful_file.read_text())["name"] == "older"
    assert not layout.stateful_before.exists()
    assert ["did not get healthy as they were before" in warning for warning in ended.warnings] == [True] * warned


def test_a_kill_while_that_change_is_taken_back_leaves_it_to_the_next_recovery(layout: AppLayout) -> None:
    changed, engine = release(3, stateful=("db",)), Choosy({"older"})
    store.write_json(layout.release(changed.id) / store.STATEFUL, {"name": "newer"})
    store.write_json(layout.stateful_file, {"name": "older"})
    with pytest.raises(CommandError):
        candidate.start(layout, changed, engine, 5, forward=True)
    engine.killed_after = ["newer", "older"]
    with pytest.raises(KeyboardInterrupt):
        candidate.restore_stateful(layout, engine, 5)
    candidate.restore_stateful(layout, engine, 5)
    assert engine.tried == ["newer", "older", "older"]
    assert not layout.stateful_before.exists()


def test_a_change_of_the_services_that_own_data_which_got_healthy_stays(layout: AppLayout) -> None:
    """Data does not go back with a release."""
    changed, engine = release(3, stateful=("db",)), Choosy({"older", "newer"})
    store.write_json(layout.release(changed.id) / store.STATEFUL, {"name": "newer"})
    store.write_json(layout.stateful_file, {"name": "older"})
    candidate.start(layout, changed, engine, 5, forward=True)
    ending.undo(session_of(layout, journal.GATE), "its gate failed", engine)
    assert engine.tried == ["newer"]
    assert json.loads(layout.stateful_file.read_text())["name"] == "newer"


@pytest.fixture
def drilled(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> Release:
    """The candidate (3) as the release of a drill, which serves already, as in its soak."""
    fault = drill.Drill(drill.DIES, ("api",))
    made = release(3, drill=fault.to_json())
    store.write_json(layout.release(made.id) / store.RECORD, made.to_json())
    monkeypatch.setattr(drill_unit, "end", lambda *_: None)
    serve(layout, 3)
    store.point(layout.live, layout.release(made.id))
    return made


@pytest.mark.parametrize("phase", [journal.SOAK, journal.FINISH])
def test_a_recovery_takes_a_drill_back_whatever_its_gate_says(
    layout: AppLayout, drilled: Release, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "watch", lambda *_: {"verdict": "pass", "cause": ""})
    ended = ending.recover(session_of(layout, phase), Remembering(), "the host's timer")
    assert (ended.live, ended.result) == (rid(2), plan.ROLLED_BACK)
    assert (switching.serving(layout), store.pointed(layout.last_good)) == (rid(2), rid(2))
    line = last_line(layout)
    assert (line["release"], line["drill"], line["blamed"]) == (drilled.id, drill.DIES, False)


def test_a_drill_cannot_finish(layout: AppLayout, drilled: Release) -> None:
    with pytest.raises(DavitError, match=drill.NOT_CAUGHT):
        ending.finish(session_of(layout, journal.SOAK), drilled, Remembering())
    assert store.pointed(layout.last_good) == rid(2)


@pytest.mark.parametrize(("printed", "stopping"), [("stopping\n", True), ("degraded\n", False), ("", False)])
def test_a_host_that_shuts_down_is_told_from_one_that_is_ill(
    printed: str, stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise CommandError("systemctl failed", "", 1, printed)

    monkeypatch.setattr(host, "run", run)
    assert host.is_stopping() is stopping


def test_a_rollback_to_a_damaged_release_leaves_no_lock(layout: AppLayout) -> None:
    (layout.release(rid(1)) / store.RECORD).write_text("{")
    session = session_of(layout, journal.PREFLIGHT, action=plan.ROLLBACK)
    session.advance(journal.PREFLIGHT, release="", previous="")
    with pytest.raises(DavitError, match="cannot be read"):
        rollout.bring_back(session, rid(1), Remembering())
    assert journal.read(layout) is None


class Starting(Remembering):
    """An engine whose `compose start` takes three looks, with what each look at the containers finds."""

    def __init__(self, *looks: Sequence[Container]) -> None:
        super().__init__()
        self.looks = list(looks)

    def containers(self, project: str) -> list[Container]:
        return list(self.looks.pop(0)) if project == release(3).project else super().containers(project)

    def docker(
        self, *argv: str, timeout: float = 120.0, hopeless: Callable[[], str | None] | None = None, **_: Any
    ) -> str:
        for _look in range(3 if "start" in argv and hopeless is not None else 0):
            reason = hopeless() if hopeless is not None else None
            if reason:
                raise CommandError(reason, "", None)
        return super().docker(*argv, timeout=timeout)


def box(service: str, status: str, code: int = 0) -> Container:
    return Container(service, service, service, status, exit_code=code)


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        ([[box("api", "created")]] * 4, ""),
        ([[box("api", "created")], [box("api", "exited", 3)]], "container api: exited with code 3"),
        ([[box("api", "created")], [box("api", "running")], [box("api", "exited", 3)]], "exited with code 3"),
        # Others wait for it to complete, and it did.
        ([[box("api", "created")], *[[box("api", "exited", 0)]] * 3], ""),
        # A kept release: it ended when it was stopped, and is only being started.
        ([[box("api", "exited", 143)]] * 4, ""),
        ([[box("api", "exited", 143)], [box("api", "running")], [box("api", "exited", 143)]], "with code 143"),
        # A worker starts at the switch, and a stateful service is none of this.
        ([[box("api", "created")], *[[box("other", "exited", 1)]] * 3], ""),
    ],
)
def test_a_start_is_given_up_when_a_container_fails_meanwhile(
    layout: AppLayout, looks: list[list[Container]], reason: str
) -> None:
    engine = Starting(*looks)
    if not reason:
        candidate.start(layout, release(3), engine, 5, forward=True, interrupted=lambda: None)
        assert engine.looks == []
        return
    with pytest.raises(DavitError, match=reason):
        candidate.start(layout, release(3), engine, 5, forward=True, interrupted=lambda: None)


def test_a_start_is_given_up_when_somebody_asks_for_it_and_blames_no_release(layout: AppLayout) -> None:
    session = session_of(layout, journal.FETCH, 3)
    journal.ask_to_abort(layout, session.journal, "alice", "wrong day")
    with pytest.raises(DavitError, match="stopped by alice: wrong day"):
        rollout.try_candidate(session, release(3), Starting(*[[box("api", "created")]] * 9))
    assert (last_line(layout)["result"], last_line(layout)["blamed"]) == (plan.FAILED, False)


def test_what_traffic_returns_to_is_started_whatever_happens(layout: AppLayout) -> None:
    engine = Starting()
    candidate.start(layout, release(3), engine, 5, forward=False)
    assert any("start api" in call for call in engine.calls), engine.calls
