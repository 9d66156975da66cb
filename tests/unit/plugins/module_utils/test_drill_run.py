"""The part of a drill on the host: what it does when, and what it writes down."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import drill_run, http_client
from ansible_collections.davit.ec2.plugins.module_utils.drill import Drill
from ansible_collections.davit.ec2.plugins.module_utils.drill_run import MARKS, Watcher
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

CANDIDATE, LIVE = "20260101-000000-abcdef0-2", "20260101-000000-abcdef0-1"


def release(drilled: Drill) -> Release:
    return Release(
        id=CANDIDATE,
        sequence=2,
        app="app",
        project="app-2-abcdef0",
        version="v1",
        content_hash="h",
        created_at="",
        created_by="",
        commit="",
        images={},
        services=("web",),
        stateful=(),
        jobs=(),
        endpoints=(),
        gate={},
        drill=drilled.to_json(),
    )


class Run:
    """A watcher at work in a thread, on a host whose route and containers a test moves."""

    def __init__(self, drilled: Drill, directory: Path) -> None:
        self.route: str | None = LIVE
        self.running = False
        self.kills = 0
        self.file = directory / MARKS
        self.watcher = Watcher(release(drilled), self.file, self._kill, lambda: self.route)
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self.watcher.run, args=(self.ready.set,))

    def _kill(self) -> bool:
        self.kills += self.running
        return self.running

    def __enter__(self) -> Run:
        self._thread.start()
        assert self.ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.ended.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    @property
    def marks(self) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return found


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_a_crash_comes_as_soon_as_the_container_runs_and_each_time_again(tmp_path: Path) -> None:
    with Run(Drill("crash", ("web",)), tmp_path) as run:
        assert run.marks == {}
        run.running = True
        until(lambda: run.kills > 1)
        first = run.marks["visible"]
    assert run.marks["visible"] == first
    assert run.marks["gone"] > first


def test_a_death_in_the_soak_waits_for_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_run, "DEATH_DELAY", 0.3)
    with Run(Drill("dies_in_soak", ("web",)), tmp_path) as run:
        run.running = True
        time.sleep(0.3)
        assert run.kills == 0
        run.route = CANDIDATE
        until(lambda: run.kills)
        run.route = LIVE
        until(lambda: "returned" in run.marks)
    marks = run.marks
    assert marks["switched"] + 0.3 <= marks["visible"] <= marks["returned"] <= marks["gone"]


def test_a_proxy_notes_the_first_spoiled_answer(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        front: int = free.getsockname()[1]
    with Run(Drill("never_ready", ("web",), {front: 9}), tmp_path) as run:
        assert run.marks == {}
        assert http_client.ask(f"http://127.0.0.1:{front}/").status == 503
        until(lambda: "visible" in run.marks)
    assert run.kills == 0
    assert http_client.ask(f"http://127.0.0.1:{front}/").error == "connection refused"


def test_the_time_of_the_verdict_is_that_of_its_file(tmp_path: Path) -> None:
    layout = AppLayout("app", str(tmp_path))
    directory = layout.release(CANDIDATE)
    directory.mkdir(parents=True)
    (directory / MARKS).write_text('{"visible": 5.0}')
    assert drill_run.read_marks(layout, CANDIDATE).verdict is None
    (directory / "verdict.json").write_text("{}")
    marks = drill_run.read_marks(layout, CANDIDATE)
    assert marks.visible == 5.0
    assert marks.verdict == (directory / "verdict.json").stat().st_mtime
