# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A Compose project that belongs to the host itself: its files, their checks, and what a change of them needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import http_client, store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT

COMPOSE = "compose.yaml"
APPLIED = ".applied"
"""Holds the hash of the files that the running project has taken; gone while a change of them is under way."""
STAGES = Path("/run/davit-stacks")
"""Memory-backed, since files may hold secrets; what a run left that was killed goes with the next one, or a boot."""
ROUTES = Path(DEFAULT_ROOT) / "edge/dynamic"
STAGE = Path(DEFAULT_ROOT) / "edge/stage"
PULL_TIMEOUT = 900.0


@dataclass(frozen=True)
class Change:
    """What is different. ``services`` are those whose files changed, which are reloaded if they can be.

    Not ``applied`` are files that were written by a run which then died, or failed: nobody knows who has read them.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    compose: bool
    running: bool

    @property
    def any(self) -> bool:
        return bool(self.written or self.removed or self.compose or not self.running)

    @property
    def services(self) -> tuple[str, ...]:
        """The first folder of each file is the service's name."""
        return tuple(sorted({name.partition("/")[0] for name in (*self.written, *self.removed) if "/" in name}))


def plan(wanted: Mapping[str, str], there: Mapping[str, str], *, running: bool, applied: bool = True) -> Change:
    """What has to change: path to text as wanted, and as there is. Without ``applied`` it is all of it."""
    written = tuple(sorted(name for name, text in wanted.items() if not applied or there.get(name) != text))
    removed = tuple(sorted(set(there) - set(wanted)))
    return Change(written, removed, COMPOSE in written, running)


def fingerprint(files: Mapping[str, str]) -> str:
    """A hash over names and texts."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def told(change: Change, reloads: Sequence[str]) -> str:
    """What is done, in words."""
    if not change.any:
        return "runs as it is wanted"
    if change.compose or not change.running:
        return "started what is new, and what changed"
    reloaded = [service for service in change.services if service in reloads]
    others = [service for service in change.services if service not in reloads]
    said = [f"reloaded {', '.join(reloaded)}"] if reloaded else []
    return "; ".join(said + ([f"restarted {', '.join(others)}"] if others else []))


def refuse_paths(files: Mapping[str, str]) -> None:
    """Raises DavitError for a file that would lie outside of the project, or in the Compose file's place."""
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name == COMPOSE or len(path.parts) < 2:
            raise DavitError(f"The file '{name}' does not belong into a folder of one of the project's services.")


class Stack:
    """The project on this host."""

    def __init__(
        self,
        project: str,
        directory: str,
        compose: Mapping[str, Any],
        files: Mapping[str, str],
        route: Mapping[str, Any],
    ) -> None:
        refuse_paths(files)
        self.project = project
        self.directory = Path(directory)
        self.compose = {"name": project, **compose}
        # Nothing in it is a variable: what comes from Ansible is filled in already.
        text = json.dumps(self.compose, indent=2, sort_keys=True).replace("$", "$$") + "\n"
        self.wanted = {**files, COMPOSE: text}
        self.route = dict(route)
        self.route_file = ROUTES / f"_{project}.yml"
        self.engine = Engine()

    def run(
        self,
        checks: Sequence[Mapping[str, Any]],
        reload: Mapping[str, str],
        ready: Sequence[str],
        timeout: float,
        *,
        dry: bool,
    ) -> dict[str, Any]:
        """Have it as wanted. Raises DavitError, with the old files in place, when a check refuses the new ones."""
        there = self._there()
        # What a run took over that then died, or never answered, is taken over again.
        applied = there.pop(APPLIED, "") == fingerprint(there)
        change = plan(self.wanted, there, running=self._running(), applied=applied or not there)
        routed = self._route_differs()
        action = told(change, list(reload))
        result = {"changed": change.any or routed, "action": action, "diff": self._diff(change)}
        if dry or not result["changed"]:
            return result
        if change.any:
            self._apply(change, checks, reload)
            self._await(ready, timeout)
            store.write(self.directory / APPLIED, fingerprint(self.wanted).encode())
        if routed:
            self._put_route()
        return result

    def stop(self, *, dry: bool) -> dict[str, Any]:
        """Have nothing of it run, and nothing of it served; files and data stay."""
        running = bool(self._containers())
        changed = running or self.route_file.exists()
        if changed and not dry:
            self.route_file.unlink(missing_ok=True)
            if running:
                self.engine.compose(self.directory / COMPOSE, "down")
        return {"changed": changed, "action": "stopped" if changed else "does not run, as it is wanted"}

    # What is there

    def _there(self) -> dict[str, str]:
        if not self.directory.is_dir():
            return {}
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        return {path.relative_to(self.directory).as_posix(): path.read_text("utf-8", "replace") for path in files}

    def _containers(self) -> dict[str, str]:
        """Service to status; nothing where there is no engine yet."""
        try:
            return {c.service: c.status for c in self.engine.containers(self.project)}
        except (DavitError, OSError):
            return {}

    def _running(self) -> bool:
        found = self._containers()
        return set(found) == set(self.compose["services"]) and set(found.values()) == {"running"}

    def _route_differs(self) -> bool:
        return store.read_json(self.route_file) != self.route

    def _diff(self, change: Change) -> list[dict[str, str]]:
        # Names alone: the texts may hold secrets.
        before, after = "".join(f"{n}\n" for n in change.removed), "".join(f"{n}\n" for n in change.written)
        return [{"before_header": "removed", "after_header": "written", "before": before, "after": after}]

    # What is done

    def _apply(self, change: Change, checks: Sequence[Mapping[str, Any]], reload: Mapping[str, str]) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self._staged() as staged:
            if change.compose or not change.running:
                self.engine.compose(staged / COMPOSE, "pull", "--quiet", "--policy", "missing", timeout=PULL_TIMEOUT)
            for check in checks:
                self._check(staged, check)
        self._put(change)
        file = self.directory / COMPOSE
        if change.compose or not change.running:
            self.engine.compose(file, "up", "--detach", "--remove-orphans", "--quiet-pull")
        # A container that was made anew has read its files already; to read them again does no harm.
        for service in change.services:
            if service in reload:
                self._reload(reload[service])
            elif service in self.compose["services"]:
                self.engine.compose(file, "restart", service)

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        """The wanted files in a directory of their own, for as long as they are checked."""
        place = STAGES / self.project
        store.remove_tree(place)
        store.make_private(place)
        try:
            for name, text in self.wanted.items():
                path = place / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                store.write(path, text.encode())
            yield place
        finally:
            store.remove_tree(place)

    def _check(self, staged: Path, check: Mapping[str, Any]) -> None:
        service = self.compose["services"][check["service"]]
        mounts = [str(volume) for volume in service.get("volumes", [])]
        own = [m.replace(f"{self.directory}/", f"{staged}/", 1) for m in mounts if m.startswith(f"{self.directory}/")]
        words = ["run", "--rm", "--network", "none", "--read-only", "--user", "0:0"]
        words += [word for mount in own for word in ("--volume", mount)]
        program, *arguments = check["argv"]
        try:
            self.engine.docker(*words, "--entrypoint", program, service["image"], *arguments)
        except CommandError as error:
            said = "\n".join((error.stdout + error.stderr).strip().splitlines()[-15:])
            raise DavitError(
                f"{' '.join(check['argv'])} refuses the new files, so the old ones stay:\n{said}"
            ) from error

    def _put(self, change: Change) -> None:
        (self.directory / APPLIED).unlink(missing_ok=True)
        for name in change.written:
            path = self.directory / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            store.write(path, self.wanted[name].encode())
        for name in change.removed:
            (self.directory / name).unlink(missing_ok=True)

    def _reload(self, url: str) -> None:
        end = time.monotonic() + 30
        while True:
            answer = http_client.ask(url, method="POST")
            if answer.status == 200:
                return
            if time.monotonic() > end:
                raise DavitError(f"{url} does not take its new files: {answer.error or answer.status}.")
            time.sleep(0.3)

    def _await(self, ready: Sequence[str], timeout: float) -> None:
        end = time.monotonic() + timeout
        for url in ready:
            while (answer := http_client.ask(url)).status != 200:
                if time.monotonic() > end:
                    words = {c.service: self.engine.logs(c.id, 10) for c in self.engine.containers(self.project)}
                    raise DavitError(
                        f"{self.project}: {url} does not answer within {timeout:g} s"
                        f" ({answer.error or f'status {answer.status}'}).",
                        logs=words,
                    )
                time.sleep(0.3)

    def _put_route(self) -> None:
        if not self.route:
            self.route_file.unlink(missing_ok=True)
            return
        if not ROUTES.is_dir():
            raise DavitError("There is no edge on this host to serve it; run the role edge first.")
        # As the edge's other files: written outside of the watched directory, and renamed into it.
        staged = STAGE / self.route_file.name
        store.write_json(staged, self.route)
        staged.rename(self.route_file)
