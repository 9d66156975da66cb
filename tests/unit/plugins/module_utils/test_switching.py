"""Returning traffic and telling the history, on real files with an engine and an edge that only remember."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import candidate, edge, plan, routes, store, switching
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Container
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience

PATIENCE = Patience(drain=0)


class Remembering(Engine):
    """Runs nothing; remembers the words of each call, and fails those that hold ``broken``."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.calls: list[str] = []
        self.broken = broken

    def docker(self, *argv: str, timeout: float = 120.0) -> str:
        assert timeout > 0
        self.calls.append(" ".join(argv))
        if self.broken and self.broken in self.calls[-1]:
            raise CommandError(f"'{self.calls[-1]}' failed", "no", 1)
        return ""

    def containers(self, project: str) -> list[Container]:
        return [Container("c1", f"{project}-api-1", "api", "running")]

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
        switching.note(made, plan.DEPLOY, release(number), None, plan.SUCCEEDED)
    serve(made, 2)
    monkeypatch.setattr(edge, "await_release", lambda *_: None)
    return made


def rid(number: int) -> str:
    return f"20260131-120000-000000{number}-{number}"


def release(number: int, **more: Any) -> Release:
    values: dict[str, Any] = {
        "id": rid(number),
        "sequence": number,
        "app": "shop",
        "project": f"shop-{number}",
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
    edge.put_route(layout, routes.edge_document("shop", rid(number), release(number).endpoints, tls=False))


def last_line(layout: AppLayout) -> dict[str, Any]:
    return store.read_history(layout)[-1]


def test_a_candidate_without_traffic_is_removed_and_the_live_one_left_alone(layout: AppLayout) -> None:
    engine = Remembering()
    undone = switching.turn_away(layout, release(3), "it died", engine, PATIENCE)
    assert (undone["live"], undone["result"], undone["warnings"]) == (rid(2), plan.FAILED, [])
    assert any(" down " in call and rid(3) in call for call in engine.calls)
    assert not any(rid(2) in call for call in engine.calls)
    assert (switching.serving(layout), last_line(layout)["cause"]) == (rid(2), "it died")


def test_a_candidate_with_traffic_gives_it_back_first(layout: AppLayout) -> None:
    serve(layout, 3)
    store.point(layout.live, layout.release(rid(3)))
    undone = switching.turn_away(layout, release(3), "it died", Remembering(), PATIENCE)
    assert (undone["live"], undone["result"]) == (rid(2), plan.ROLLED_BACK)
    assert (switching.serving(layout), store.pointed(layout.live)) == (rid(2), rid(2))


def test_traffic_comes_back_while_the_route_of_another_app_is_broken(layout: AppLayout) -> None:
    serve(layout, 3)
    (layout.routes / "wiki.yml").write_text("{")
    assert switching.turn_away(layout, release(3), "it died", Remembering(), PATIENCE)["live"] == rid(2)
    assert switching.serving(layout) == rid(2)


def test_a_release_that_finished_well_is_not_turned_away(layout: AppLayout) -> None:
    """As when the disk is full in the moment of finishing: the route must not be taken from under its users."""
    serve(layout, 3)
    store.point(layout.last_good, layout.release(rid(3)))
    with pytest.raises(DavitError, match="it stays"):
        switching.turn_away(layout, release(3), "no space left", Remembering(), PATIENCE)
    assert switching.serving(layout) == rid(3)


def test_the_history_is_true_when_the_removal_does_not_work(layout: AppLayout) -> None:
    undone = switching.turn_away(layout, release(3), "it died", Remembering("down"), PATIENCE)
    assert "down" in undone["warnings"][0]
    assert (last_line(layout)["release"], last_line(layout)["result"]) == (rid(3), plan.FAILED)


def test_a_rollback_whose_target_does_not_start_stops_it_again(layout: AppLayout) -> None:
    engine = Remembering("create")
    with pytest.raises(DavitError, match="create"):
        switching.roll_back(layout, None, engine, PATIENCE, keep=3)
    assert any(" stop" in call and rid(1) in call for call in engine.calls)
    assert (switching.serving(layout), store.pointed(layout.live)) == (rid(2), rid(2))
    assert (last_line(layout)["action"], last_line(layout)["result"]) == (plan.ROLLBACK, plan.FAILED)


def test_a_clean_up_that_does_not_work_is_a_warning(layout: AppLayout) -> None:
    store.point(layout.live, layout.release(rid(3)))
    line = {"action": plan.DEPLOY, "more": {}}
    done = switching.finish(layout, release(3), rid(2), Remembering(" stop"), PATIENCE, 3, line)
    assert "stop" in done.warnings[0]
    assert (store.pointed(layout.last_good), last_line(layout)["result"]) == (rid(3), plan.SUCCEEDED)
    assert done.can_return_to == (rid(2), rid(1))


@pytest.mark.parametrize(("forward", "left"), [(True, "older"), (False, "newer")])
def test_only_a_deploy_changes_the_services_that_own_data(layout: AppLayout, forward: bool, left: str) -> None:
    old = release(1, stateful=("db",))
    store.write_json(layout.release(old.id) / store.STATEFUL, {"name": "older"})
    store.write_json(layout.stateful_file, {"name": "newer"})
    candidate.start(layout, old, Remembering(), 5, forward=forward)
    assert json.loads(layout.stateful_file.read_text())["name"] == left
