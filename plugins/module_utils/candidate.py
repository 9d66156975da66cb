# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Starting, watching and removing the containers of one release beside the live one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import gate_run, probe, store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Gate, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release, parse_gate


def load(layout: AppLayout, release_id: str) -> Release:
    return Release.from_json(store.read_record(layout, release_id))


def start(layout: AppLayout, wanted: Release, engine: Engine, timeout: float, *, forward: bool) -> None:
    """Bring up ``wanted`` beside whatever runs. Only a deploy goes ``forward``: a rollback runs no job, and
    leaves the services that own data as they are now, since data does not go back with a release.

    The containers start without a restart policy: a candidate that dies has to stay dead to be
    seen, and a reboot must not start it.
    """
    directory = layout.release(wanted.id)
    _ensure_volumes(layout, wanted, engine)
    if wanted.stateful:
        start_stateful(layout, wanted, engine, timeout, update=forward)
    file = directory / store.RUNNING
    engine.compose(file, "create", "--pull", "never", "--no-build", timeout=timeout)
    created = [c.id for c in engine.containers(wanted.project)]
    engine.restart_policy(created, "no")
    if wanted.stateful:
        engine.connect(layout.stateful_network, created)
    if forward:
        for job in wanted.jobs:
            _run_job(layout, wanted, job, engine, timeout)
    engine.compose(file, "start", timeout=timeout)


def _ensure_volumes(layout: AppLayout, wanted: Release, engine: Engine) -> None:
    path = layout.release(wanted.id) / store.VOLUMES
    volumes: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    for name, settings in volumes.items():
        engine.ensure_volume(name, settings, {"davit.app": layout.app})


def start_stateful(layout: AppLayout, wanted: Release, engine: Engine, timeout: float, *, update: bool) -> None:
    """Have the stateful services run; with ``update``, as this release defines them.

    That a definition may change was decided before, in fetch. Waits until they are healthy.
    """
    engine.ensure_network(layout.stateful_network, {"davit.app": layout.app})
    text = (layout.release(wanted.id) / store.STATEFUL).read_bytes()
    if not layout.stateful_file.exists() or (update and layout.stateful_file.read_bytes() != text):
        store.write(layout.stateful_file, text)
    engine.compose(
        layout.stateful_file,
        *("up", "--detach", "--wait", "--wait-timeout", str(int(timeout)), "--pull", "never"),
        timeout=timeout + 30,
    )


def _run_job(layout: AppLayout, wanted: Release, job: str, engine: Engine, timeout: float) -> None:
    file = layout.release(wanted.id) / store.JOBS
    try:
        engine.compose(file, "run", "--rm", "--no-deps", "-T", job, timeout=timeout)
    except CommandError as error:
        said = error.stderr.strip().splitlines()[-20:]
        raise DavitError(
            f"The job '{job}' failed, so the release was not started. {error}", logs={job: said}
        ) from error


def watch(wanted: Release, engine: Engine) -> dict[str, Any]:
    """The verdict of the release's own gate over its running containers."""
    return watch_gate(parse_gate(wanted.gate, wanted.endpoints), wanted.services, wanted.project, engine)


def watch_gate(gate: Gate, services: Sequence[str], project: str | None, engine: Engine) -> dict[str, Any]:
    """The verdict of ``gate`` over the ``services`` of a Compose project."""

    def ask(check: HttpCheck) -> Answer:
        return probe.ask(
            check.url,
            method=check.method,
            headers=check.headers,
            body=check.body,
            timeout=gate.request_timeout,
        )

    return gate_run.run_gate(gate, services, lambda: engine.containers(project) if project else (), ask)


def last_words(project: str, engine: Engine, lines: int = 20) -> dict[str, list[str]]:
    """The last lines of each container's log, by service; for what a person reads on a failure."""
    return {c.service: engine.logs(c.id, lines) for c in engine.containers(project)}


def stop(layout: AppLayout, old: Release, engine: Engine, timeout: float) -> None:
    """Stop a release and keep it for a rollback; a reboot does not start it again."""
    engine.restart_policy([c.id for c in engine.containers(old.project)], "no")
    engine.compose(layout.release(old.id) / store.RUNNING, "stop", timeout=timeout)


def remove(layout: AppLayout, gone: Release, engine: Engine) -> None:
    """Remove the containers and networks of a release. Volumes that outlive it are external."""
    file = layout.release(gone.id) / store.RUNNING
    if not file.exists():
        return
    engine.compose(file, "down", "--remove-orphans", "--volumes", "--timeout", "10")


def drain(seconds: float) -> None:
    """Give clients that hold a connection to the old release the time to move on.

    There is nothing to await here: the edge does not tell when it stopped using a backend.
    """
    time.sleep(seconds)
