"""A host that only remembers: an engine and an edge in memory, records on a real disk.

Every change to it goes through ``Host.tick``, so that a test sees each state in which a program that is
killed could leave it.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    candidate,
    edge,
    exported,
    journal,
    leases,
    load_probe_unit,
    plan,
    rollout,
    routes,
    steps,
    store,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, Gate, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route

APP = "shop"
GATE = {"interval": 0.001, "stable_seconds": 0, "successes": 1, "failures": 1, "timeout": 0.01}


class Layout(AppLayout):
    """As on a host, but with all below ``root``."""

    @property
    def stage(self) -> Path:
        return Path(self.root) / "run" / self.app

    @property
    def probe(self) -> Path:
        return Path(self.root) / "run" / "probe.json"


def rid(number: int) -> str:
    return f"20260131-120000-000000{number}-{number}"


def number_of(name: str) -> int:
    """Of a release or of its project."""
    return plan.sequence_of(name) if name.startswith("2026") else int(name.split("-")[1])


def release(number: int, **more: Any) -> Release:
    values: dict[str, Any] = {
        "id": rid(number),
        "sequence": number,
        "app": APP,
        "project": plan.project_name(APP, rid(number)),
        "version": f"v{number}",
        "content_hash": str(number) * 64,
        "created_at": "2026-01-31T12:00:00+00:00",
        "created_by": "",
        "commit": "",
        "images": {},
        "services": ("web",),
        "stateful": (),
        "jobs": (),
        "endpoints": (Endpoint(Route("web", 8000), 20000 + number),),
        "gate": GATE,
    }
    return Release(**{**values, **more})


@dataclass
class Box:
    """A container. ``stopped``: by hand, which the engine remembers over a reboot. ``stopping``: it still runs, and
    ends soon, whatever is asked of it meanwhile."""

    status: str = "created"
    policy: str = "no"
    stopped: bool = False
    stopping: bool = False


@dataclass
class State:
    """All that outlives a program: containers by project and service, the files, and the kernel's boot."""

    boxes: dict[str, dict[str, Box]] = field(default_factory=dict)
    files: dict[str, bytes | str] = field(default_factory=dict)

    def key(self) -> str:
        """Equal for states that differ in nothing but times and tokens."""
        told = {name: _told(name, content) for name, content in self.files.items()}
        boxes = {p: {s: vars(box) for s, box in own.items()} for p, own in self.boxes.items() if own}
        return json.dumps([boxes, told], sort_keys=True)

    def rebooted(self) -> State:
        """After a loss of power: what shall run does, and nothing else."""
        after = copy.deepcopy(self)
        for box in (box for own in after.boxes.values() for box in own.values()):
            box.stopping = False
            if box.policy == "always" or (box.policy == "unless-stopped" and not box.stopped):
                box.status = "running"
            elif box.status == "running":
                box.status = "exited"
        after.files = {name: content for name, content in after.files.items() if not name.startswith("run/")}
        return after

    @property
    def serving(self) -> str:
        route = self.files.get(f"edge/dynamic/{APP}.yml")
        return routes.served_release(json.loads(route) if route else None, APP) or ""

    def running(self) -> dict[str, set[str]]:
        found = {p: {s for s, box in own.items() if box.status == "running"} for p, own in self.boxes.items()}
        return {project: services for project, services in found.items() if services}


_PASSING = {"token", "heartbeat", "heartbeat_at", "started_at", "boot", "at", "deploy", "cause", "owner", "by", "gate"}


@functools.cache
def _told(name: str, content: bytes | str) -> Any:
    if isinstance(content, str):
        return content
    if name.endswith(("deploy.json", "history.jsonl", "verdict.json")):
        return [_without_times(line) for line in content.decode().replace("\n}", "}").replace("\n ", "").split("\n")]
    return content.decode()


def _without_times(line: str) -> Any:
    try:
        found = json.loads(line)
    except ValueError:
        return line
    for key in [k for k in found if k in _PASSING or k.startswith(("canary", "soak"))]:
        found[key] = "-"
    return found


class Host(Engine):
    """The engine, and around it the host. ``seen`` is told of each state before anything changes it."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.layout = Layout(APP, str(root))
        self.root = root
        self.boxes: dict[str, dict[str, Box]] = {}
        self.now = Moment("boot", 1000.0)
        self.bad_before_traffic: set[int] = set()
        self.bad_in_traffic: set[int] = set()
        self.seen: Callable[[str], None] = lambda _: None
        self._files: dict[str, bytes | str] | None = None

    def tick(self, what: str) -> None:
        self.seen(what)

    # The disk

    def state(self) -> State:
        if self._files is None:
            self._files = self._read_all()
        return State(copy.deepcopy(self.boxes), dict(self._files))

    def _read_all(self) -> dict[str, bytes | str]:
        files: dict[str, bytes | str] = {}
        top = str(self.root)
        for directory, _names, _others in os.walk(top):
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.path[len(top) + 1 :]
                    if entry.is_symlink():
                        files[name] = str(Path(entry.path).readlink())
                    elif entry.is_file() and not name.endswith("lock"):
                        files[name] = Path(entry.path).read_bytes()
        return files

    def disk_changes(self) -> None:
        """What was read of the disk holds no longer."""
        self._files = None

    def restore(self, state: State) -> None:
        self.boxes = copy.deepcopy(state.boxes)
        for directory in (self.layout.routes, self.layout.route_stage, self.layout.releases, self.root / "run"):
            directory.mkdir(parents=True, exist_ok=True)
        for directory in self.layout.releases.iterdir():
            if not any(name.startswith(str(directory.relative_to(self.root))) for name in state.files):
                shutil.rmtree(directory)
        there = self._read_all()
        for name in there.keys() - state.files.keys():
            (self.root / name).unlink()
        for name, content in state.files.items():
            if there.get(name) == content:
                continue
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
        self.disk_changes()

    def publish(self, made: Release) -> None:
        """As the last step of a fetch."""
        directory = self.layout.release(made.id)
        directory.mkdir(parents=True)
        (directory / store.RUNNING).write_text(json.dumps({"release": made.id}))
        (directory / store.RECORD).write_text(json.dumps(made.to_json()))
        self.disk_changes()

    def run_release(self, made: Release, *, status: str = "running") -> None:
        stopped = status != "running"
        policy = "no" if stopped else "unless-stopped"
        self.boxes[made.project] = {s: Box(status, policy, stopped) for s in made.services}

    # The engine

    def docker(self, *argv: str, **_: Any) -> str:
        raise AssertionError(f"unexpected: docker {' '.join(argv)}")

    def compose(self, file: Path | str, *argv: str, **_: Any) -> str:
        wanted = candidate.load(self.layout, Path(file).parent.name)
        own = self.boxes.setdefault(wanted.project, {})
        if argv[0] == "create":
            for service in wanted.services:
                if service not in own:
                    self.tick(f"create {service}")
                    own[service] = Box()
        elif argv[0] == "start":
            for service in argv[1:]:
                self.tick(f"start {service}")
                own[service].status = "running"
                own[service].stopped = own[service].stopping
        elif argv[0] != "config":
            raise AssertionError(f"unexpected: compose {argv}")
        return ""

    def has_image(self, *_: Any, **__: Any) -> bool:
        return True

    def containers(self, project: str) -> list[Container]:
        own = self.boxes.get(project, {})
        return [
            Container(f"{project}/{s}", f"{project}-{s}-1", s, box.status, policy=box.policy) for s, box in own.items()
        ]

    def _box(self, identity: str) -> Box:
        project, _slash, service = identity.partition("/")
        return self.boxes[project][service]

    def restart_policy(self, ids: Sequence[str], policy: str, *_: Any) -> None:
        for identity in ids:
            self.tick(f"policy {policy} {identity}")
            self._box(identity).policy = policy

    def stop(self, ids: Sequence[str], *_: Any, **__: Any) -> None:
        for identity in ids:
            self.tick(f"stop {identity}")
            box = self._box(identity)
            if box.status == "running":
                box.stopping = box.stopped = True
                self.tick(f"stopping {identity}")
                box.status, box.stopping = "exited", False

    def time_passes(self) -> None:
        """What was stopping has stopped, though whoever asked for it is gone."""
        for box in (box for own in self.boxes.values() for box in own.values()):
            if box.stopping:
                box.status, box.stopping = "exited", False

    def remove_project(self, project: str) -> None:
        for service in list(self.boxes.get(project, {})):
            self.tick(f"remove {project}/{service}")
            del self.boxes[project][service]
        self.boxes.pop(project, None)

    def projects(self, *_: Any, **__: Any) -> dict[str, bool]:
        return {p: any(box.status == "running" for box in own.values()) for p, own in self.boxes.items() if own}

    def logs(self, *_: Any, **__: Any) -> list[str]:
        return []

    # The edge

    @property
    def serving(self) -> str:
        return routes.served_release(edge.read_route(self.layout), APP) or ""

    def runs(self, made: Release) -> bool:
        own = self.boxes.get(made.project, {})
        return all(s in own and own[s].status == "running" for s in made.beside)

    def await_release(self, _endpoints: Sequence[Endpoint], name: str, *_: Any) -> None:
        if self.serving != name or not self.runs(candidate.load(self.layout, name)):
            raise DavitError(f"the edge does not answer with {name}")

    def await_canary(self, _endpoints: Sequence[Endpoint], value: str, *_: Any) -> None:
        document = edge.read_route(self.layout) or {}
        if value not in json.dumps(document):
            raise DavitError(f"the edge does not answer with {value}")

    def ask(self, _gate: Gate, check: HttpCheck) -> Answer:
        number = int(check.url.split(":")[2].split("/")[0]) - 20000
        box = self.boxes.get(plan.project_name(APP, rid(number)), {}).get("web")
        if box is None or box.status != "running":
            return Answer(error="refused")
        served = self.serving == rid(number)
        bad = number in (self.bad_in_traffic if served else self.bad_before_traffic)
        return Answer(status=500 if bad else 200)


def install(host: Host, patch: pytest.MonkeyPatch) -> None:
    """Let the product work on ``host``; each write to the disk is a tick too."""

    def ticking(where: Any, name: str) -> None:
        real = getattr(where, name)

        def with_tick(*arguments: Any, **named: Any) -> Any:
            host.tick(f"{name} {arguments[0] if arguments else ''}")
            try:
                return real(*arguments, **named)
            finally:
                host.disk_changes()

        patch.setattr(where, name, with_tick)

    for name in ("write", "point", "append_history", "remove_tree"):
        ticking(store, name)
    ticking(edge, "put_route")
    ticking(edge, "keep_way_back")
    ticking(journal.Session, "close")
    patch.setattr("os.fsync", lambda _: None)
    patch.setattr(leases, "moment", lambda: host.now)
    patch.setattr(edge, "await_release", host.await_release)
    patch.setattr(edge, "await_canary", host.await_canary)
    patch.setattr(candidate, "ask", host.ask)
    patch.setattr(rollout, "WORKERS_WATCHED", 0.0)
    patch.setattr(agent, "install", lambda *_: None)
    patch.setattr(agent, "Engine", lambda: host)
    patch.setattr(steps, "Engine", lambda: host)
    # What the host's systemd would do.
    patch.setattr(load_probe_unit, "start", lambda *_: None)
    patch.setattr(load_probe_unit, "stop", lambda *_: {})
    patch.setattr(tidy, "start", lambda *_: None)
    # What monitoring reads is made of all this and changes nothing of it.
    patch.setattr(exported, "refresh", lambda *_: None)
    patch.setattr(tidy, "rest", lambda *_: None)
