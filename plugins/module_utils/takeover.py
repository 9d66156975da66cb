# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Taking the place of a stack that runs already, and giving it back when the release that came does not stay.

What is needed to give it back is on the disk before the first of its containers is stopped, and they are never
removed: so whoever ends the deploy can start them again, also after a reboot. Data is touched by one process at a time:
a container that owns it is started only once the other one has stopped.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import adoption, edge, edge_plan, journal, leases, plan, store
from ansible_collections.davit.ec2.plugins.module_utils.adoption import ONEOFF, PROJECT, Old
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience

TAKEN, ADOPTED = "taken", "adopted"


def pending(layout: AppLayout) -> dict[str, Any]:
    """What was taken over and may have to be given back; {} when there is nothing of the kind."""
    record = store.read_json(layout.adoption)
    return record if record.get("state") == TAKEN else {}


def find(project: str, engine: Engine) -> list[Old]:
    """The containers of the services of ``project``; what 'docker compose run' made is nobody's service."""
    found = (Old.from_inspect(record) for record in engine.stack(project))
    return [container for container in found if not container.oneoff]


def take(layout: AppLayout, wanted: Release, engine: Engine, patience: Patience) -> None:
    """Stop the stack that ``wanted`` adopts, those that own its data last. Nothing when that was done before.

    Raises DavitError when somebody else uses the data.
    """
    if not wanted.adopts or pending(layout):
        return
    # From the file that is about to run: the record of a release has only the volumes that Davit manages.
    running_file = store.read_json(layout.release(wanted.id) / store.STATEFUL)
    data = {*wanted.adopts["volumes"].values(), *adoption.data_of(running_file, {})}
    old, now = find(wanted.adopts["project"], engine), leases.moment()
    running = [container for container in old if container.runs]
    record = {
        "state": TAKEN,
        "project": wanted.adopts["project"],
        "folder": wanted.adopts["folder"],
        "volumes": dict(wanted.adopts["volumes"]),
        "data": sorted(data),
        "release": wanted.id,
        # Whether it answers says less: one that is slow for a moment must not be taken from the host's other apps.
        "edge": not any(c.status == "running" for c in engine.containers(edge_plan.PROJECT)),
        "began": [now.boot, now.uptime] if running else None,
        "containers": [{**asdict(c), "owns": bool(c.writes & data)} for c in old],
    }
    store.write_json(layout.adoption, record)
    # A reboot from here on must not start it beside what comes.
    engine.restart_policy([c.id for c in old], "no")
    # Who gives it back has to know that the engine may still be stopping one of them.
    store.write_json(layout.adoption, {**record, "stopping": True})
    _stop(record["containers"], engine, patience)
    require_unused(data, engine)


def _stop(containers: Sequence[Mapping[str, Any]], engine: Engine, patience: Patience) -> None:
    """Stop those of ``containers`` that ran, the owners of data last; returns once they are down."""
    running = [c for c in containers if c["runs"]]
    engine.stop([c["id"] for c in running if not c["owns"]], patience.stop_timeout)
    engine.stop([c["id"] for c in running if c["owns"]], patience.stop_timeout)


def require_unused(data: Collection[str], engine: Engine, project: str = "", app: str = "") -> None:
    """Raise DavitError while a container outside of ``project`` and of ``app`` can write any of ``data``."""
    for source in sorted(data):
        for name, labels in engine.users(source).items():
            owner, oneoff = labels.get(PROJECT, ""), labels.get(ONEOFF) == "True"
            if (project and owner == project and not oneoff) or (app and labels.get("davit.app") == app):
                continue
            advice = f"stop it (docker stop {name})"
            if owner and not oneoff and "davit.app" not in labels:
                advice = f"take that stack over with its data, compose_release_adopt: {{project: {owner}}}; or stop it"
            raise DavitError(
                f"The {'directory' if source.startswith('/') else 'volume'} {source} is in use by the container {name},"
                f" and two databases on one volume lose data. Instead: {advice}."
            )


def require_stopped(layout: AppLayout, engine: Engine) -> None:
    """Raise DavitError when the stack whose place is being taken runs again, or anyone else has its data: a unit with
    Restart=always starts it again within the deploy."""
    record = pending(layout)
    if not record:
        return
    again = [container.name for container in find(record["project"], engine) if container.runs]
    if again:
        raise DavitError(
            f"{again[0]} of the stack '{record['project']}' was started again while its place was taken, and two"
            " databases on one volume lose data. Before the next deploy, stop and disable what starts it: a unit of"
            " systemd (systemctl disable --now <unit>), a cron job, an old workflow."
        )
    require_unused(record.get("data", ()), engine, app=layout.app)


def refuse_both(layout: AppLayout, engine: Engine) -> str:
    """Raise DavitError when somebody has started the stack that was taken over: its data has another owner now.

    Returns that stack's project, '' when none was taken over."""
    record = store.read_json(layout.adoption)
    if record.get("state") != ADOPTED:
        return ""
    data = set(record.get("data") or record["volumes"].values())
    both = [c.name for c in find(record["project"], engine) if c.runs and c.writes & data]
    if both:
        raise DavitError(
            f"{both[0]} runs on the data that '{layout.app}' has taken over from the stack '{record['project']}', and"
            f" two databases on one volume lose data. Stop it at once (docker stop {' '.join(both)}), and take away"
            " what has started it: an old workflow, a cron job, a unit of systemd."
        )
    return str(record["project"])


def open_edge(layout: AppLayout, engine: Engine, patience: Patience) -> None:
    """Start the edge on the ports that the stack has let go of, if it was waiting for them."""
    if not pending(layout).get("edge") or edge.is_up():
        return
    engine.compose(layout.edge / edge.COMPOSE, "up", "--detach", "--pull", "never", timeout=patience.start_timeout)
    deadline = time.monotonic() + patience.start_timeout
    while not edge.is_up():
        if time.monotonic() > deadline:
            raise DavitError(
                f"The edge did not start within {patience.start_timeout:g} s."
                f" See 'docker compose -p {edge_plan.PROJECT} logs'."
            )
        time.sleep(0.05)


def note_gap(layout: AppLayout) -> None:
    """Keep how long nothing answered: until now, when the new release was proven at the edge."""
    record = pending(layout)
    if record:
        store.write_json(layout.adoption, {**record, **_gap(record)})


def _gap(record: Mapping[str, Any]) -> dict[str, float]:
    """For how long nothing has answered; {} when nothing had run, and when a reboot came in between."""
    now, began = leases.moment(), record["began"]
    return {"gap_seconds": round(now.uptime - began[1], 1)} if began and began[0] == now.boot else {}


def told(layout: AppLayout, release: str) -> dict[str, Any]:
    """What a person wants to know of the adoption by ``release``; {} when it adopted nothing."""
    record = store.read_json(layout.adoption)
    if record.get("release") != release:
        return {}
    return {key: record[key] for key in ("project", "volumes", "gap_seconds") if key in record}


def complete(layout: AppLayout) -> None:
    """From here on the adopted data is the app's. The old containers stay, stopped, until a person removes them."""
    record = pending(layout)
    if record:
        store.write_json(layout.adoption, {**record, "state": ADOPTED, "at": journal.utc()})


def give_back(layout: AppLayout, engine: Engine, patience: Patience) -> dict[str, Any]:
    """Take away the release that came, with its stateful services, and start the stack of before as it was.

    Returns what became of it; {} when nothing was taken over. May die at any line and be called again.
    """
    record = pending(layout)
    if not record:
        return {}
    engine.remove_project(plan.project_name(layout.app, record["release"]))
    engine.stop([c.id for c in engine.containers(layout.stateful_project)], patience.stop_timeout)
    engine.remove_project(layout.stateful_project)
    layout.stateful_file.unlink(missing_ok=True)
    if record["edge"] and (layout.edge / edge.COMPOSE).exists() and not edge.serves_others(layout):
        engine.compose(layout.edge / edge.COMPOSE, "down", timeout=patience.stop_timeout)
    there = {container.id for container in find(record["project"], engine)}
    containers: Sequence[Mapping[str, Any]] = [c for c in record["containers"] if c["id"] in there]
    if record.get("stopping"):
        # One whose stop was given up on still runs, would not be started, and ends a moment later.
        _stop(containers, engine, patience)
        store.write_json(layout.adoption, {**record, "stopping": False})
    _start_as_before(record["project"], containers, engine, patience)
    layout.adoption.unlink(missing_ok=True)
    returned = any(container["runs"] for container in containers)
    return {"project": record["project"], "returned": returned, **_gap(record)}


def _start_as_before(project: str, containers: Sequence[Mapping[str, Any]], engine: Engine, patience: Patience) -> None:
    for c in containers:
        engine.restart_policy([c["id"]], c["policy"], c["retries"])
    running = [c for c in containers if c["runs"]]
    try:
        engine.start([c["id"] for c in running if c["owns"]], patience.start_timeout)
        _await_health(project, {c["id"] for c in running if c["owns"]}, engine, patience.start_timeout)
        engine.start([c["id"] for c in running if not c["owns"]], patience.start_timeout)
    except DavitError as error:
        raise DavitError(
            f"The stack '{project}' of before could not be started again: {error} On the host, once the cause is gone:"
            f" docker compose -p {project} start"
        ) from error


def _await_health(project: str, ids: set[str], engine: Engine, timeout: float) -> None:
    """Give those that others wait for the time to get ready; whatever they say, the others are started then."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        own = [c for c in engine.containers(project) if c.id in ids]
        if all(c.health != "starting" for c in own):
            return
        time.sleep(0.1)
