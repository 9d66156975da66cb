# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The part of a drill that runs on the host, beside the deploy that is drilled.

It runs as a transient unit of systemd with a limit of its own, so that no fault outlives its drill.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, edge, plan, store, switching, tidy
from ansible_collections.davit.ec2.plugins.module_utils.drill import (
    CRASH,
    DEATH_DELAY,
    DIES,
    Drill,
    Marks,
    Outcome,
    judge,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.fault_proxy import FaultProxy
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

MARKS = "drill.json"
LOOK_EVERY = 0.1
CLEAN_UP_WAIT, LOCK_WAIT = 30.0, 90.0

Kill = Callable[[], bool]
Serving = Callable[[], "str | None"]


class Watcher:
    """Injects the fault of one release and writes down when things happened, until told to stop."""

    def __init__(self, release: Release, marks_file: Path, kill: Kill, serving: Serving) -> None:
        self._release = release
        self._drill = Drill.from_json(release.drill)
        self._file = marks_file
        self._kill = kill
        self._serving = serving
        self._marks: dict[str, float] = {}
        self._lock = threading.Lock()
        self.ended = threading.Event()

    def mark(self, what: str) -> None:
        """Note the time of the first ``what``; later ones change nothing."""
        with self._lock:
            if what not in self._marks:
                self._marks[what] = time.time()
                store.write_json(self._file, self._marks)

    def run(self, ready: Callable[[], None]) -> None:
        """Serve the fault until ``ended`` is set. ``ready`` is called once the proxies listen."""
        with self._proxies():
            ready()
            while not self.ended.wait(LOOK_EVERY):
                self._follow_route()
                if self._is_to_die() and self._kill():
                    self.mark("visible")
        self._follow_route()
        self.mark("gone")

    @contextlib.contextmanager
    def _proxies(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for front, back in self._drill.fronts.items():
                proxy = FaultProxy(self._drill, front, back, lambda: self.mark("visible"))
                stack.callback(proxy.close)
                proxy.start()
            yield

    def _follow_route(self) -> None:
        live = self._serving()
        if live == self._release.id:
            self.mark("switched")
        elif "switched" in self._marks:
            self.mark("returned")

    def _is_to_die(self) -> bool:
        if self._drill.kind == DIES:
            return time.time() >= self._marks.get("switched", float("inf")) + DEATH_DELAY
        return self._drill.kind == CRASH


def kill_services(project: str, services: tuple[str, ...], engine: Engine) -> bool:
    """Kill the first process of each running container of ``services``, as a crash would.

    By signal and not through the engine, which would take a stop that was asked for as a reason
    not to restart it. Returns whether there was anything to kill.
    """
    killed = False
    for container in engine.containers(project):
        if container.service not in services or container.status != "running":
            continue
        pid = int(engine.docker("container", "inspect", "--format", "{{.State.Pid}}", container.id))
        if pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
    return killed


def run(layout: AppLayout, release_id: str) -> None:
    """The agent's command: drill one release until SIGTERM or the unit's limit."""
    release = candidate.load(layout, release_id)
    services = Drill.from_json(release.drill).services
    engine = Engine()

    def kill() -> bool:
        # A container can vanish between two looks; the next look tells.
        try:
            return kill_services(release.project, services, engine)
        except DavitError:
            return False

    marks = layout.release(release_id) / MARKS
    watcher = Watcher(release, marks, kill, lambda: switching.serving(layout))

    def stop(_number: int, _frame: FrameType | None) -> None:
        watcher.ended.set()

    signal.signal(signal.SIGTERM, stop)
    watcher.run(tell_systemd)


def tell_systemd() -> None:
    """Say that the proxies listen, to whoever started the unit and waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.connect("\0" + address[1:] if address.startswith("@") else address)
            stream.sendall(b"READY=1")


def look(layout: AppLayout, engine: Engine) -> dict[str, Any]:
    """How the live release stands, in what a drill may not change. Raises DavitError without one."""
    name = store.pointed(layout.live)
    if name is None:
        raise DavitError(f"Nothing is live of {layout.app}, so there is nothing to drill. Deploy it first.")
    live = candidate.load(layout, name)
    tls = edge.uses_tls(layout)
    answers = [edge.answering_release(endpoint, tls) for endpoint in live.endpoints]
    return {
        "live": name,
        "last_good": store.pointed(layout.last_good),
        "route": switching.serving(layout),
        "answering": sorted({str(answer) for answer in answers}),
        "containers": sorted(
            f"{c.service} {c.id[:12]} {c.status} restarts={c.restarts}" for c in engine.containers(live.project)
        ),
    }


def standing(layout: AppLayout, engine: Engine) -> dict[str, Any]:
    """What ``look`` says, with the number of the last deploy: what comes later is the drill's."""
    return {**look(layout, engine), "sequence": plan.next_sequence(store.read_state(layout)) - 1}


def conclude(layout: AppLayout, kind: str, before: Mapping[str, Any], told: str, engine: Engine) -> Outcome:
    """Judge the drill that just ended, and take its release away. ``before`` is what ``standing`` said, ``told`` what
    the deploy ended with."""
    lines = [line for line in store.read_history(layout) if line["sequence"] > before["sequence"] and line.get("drill")]
    line = lines[-1] if lines else None
    marks = read_marks(layout, str(line["release"])) if line else Marks()
    _await_clean_up(layout, str(line["release"]) if line else "", engine)
    with store.locked(layout.lock, LOCK_WAIT):
        after = look(layout, engine)
        sweep(layout, engine)
    return judge(kind, line, marks, {k: v for k, v in before.items() if k != "sequence"}, after, told)


def _await_clean_up(layout: AppLayout, release_id: str, engine: Engine) -> None:
    """Give the host the time to remove the candidate by itself: it lets requests end, ``sweep`` does not."""
    end = time.monotonic() + CLEAN_UP_WAIT
    while release_id and engine.containers(plan.project_name(layout.app, release_id)) and time.monotonic() < end:
        time.sleep(LOOK_EVERY)


def read_marks(layout: AppLayout, release_id: str) -> Marks:
    """The times of a drill: what the watcher wrote, and when the verdict was."""
    directory = layout.release(release_id)
    try:
        noted: dict[str, Any] = json.loads((directory / MARKS).read_bytes())
    except (OSError, ValueError):
        noted = {}
    with contextlib.suppress(OSError):
        noted["verdict"] = (directory / store.VERDICT).stat().st_mtime
    return Marks.from_json(noted)


def sweep(layout: AppLayout, engine: Engine) -> list[str]:
    """Remove the releases of drills that are over. What is live never is one."""
    live = store.pointed(layout.live)
    gone = [n for n in store.kept_releases(layout) if n != live and candidate.load(layout, n).drill]
    for name in gone:
        tidy.forget(layout, name, engine)
    return gone
