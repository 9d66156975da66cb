# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What monitoring may know of an app: its deploys as metrics, where its releases answer with theirs, and its names.

Three files, which Prometheus and node_exporter read by themselves. They are made anew from the records
whenever those change, so that they cannot lag behind for long, and nothing depends on them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, journal, plan, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.journal import Journal
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

BEFORE_START = (journal.PREFLIGHT, journal.FETCH, journal.START)

_HELP = {
    "davit_release_info": "The release that is live.",
    "davit_release_live_since_timestamp_seconds": "When the live release went live.",
    "davit_releases_running": "Releases of the app of which anything runs.",
    "davit_deploy_in_progress": "1 while a deploy or a rollback is under way.",
    "davit_deploy_started_timestamp_seconds": "When what is under way began.",
    "davit_deploy_last_result": "How the last deploy or rollback ended.",
    "davit_deploy_last_end_timestamp_seconds": "When the last deploy or rollback ended.",
    "davit_deploy_last_duration_seconds": "How long the last deploy or rollback took.",
    "davit_deploy_probe_requests": "Requests that the last deploy's own probe sent through the edge.",
    "davit_deploy_probe_failures": "Requests of that probe that failed.",
    "davit_deploy_probe_longest_gap_seconds": "The longest time that this probe went without an answer.",
    "davit_rolled_back_timestamp_seconds": "When traffic last went back to an earlier release.",
}


@dataclass(frozen=True)
class Seen:
    """All that is told of one app. ``trial`` is the release that is being tried, if there is one."""

    app: str
    live: Release | None
    trial: Release | None
    under_way: Journal | None
    history: Sequence[Mapping[str, Any]]
    running: int


def look(layout: AppLayout, engine: Engine) -> Seen:
    """Read the records and ask the engine. Raises DavitError or OSError when it does not answer."""
    live, under_way = store.pointed(layout.live), journal.read(layout)
    trial = under_way.release if under_way and under_way.phase not in BEFORE_START else ""
    return Seen(
        app=layout.app,
        live=candidate.load_or_none(layout, live) if live else None,
        trial=candidate.load_or_none(layout, trial) if trial and trial != live else None,
        under_way=under_way,
        history=store.read_history(layout),
        running=sum(engine.projects(layout.app).values()),
    )


def refresh(layout: AppLayout, engine: Engine) -> None:
    """Write the files. What does not work is left for the next time: no deploy fails for want of its metrics,
    whatever is wrong with them."""
    with contextlib.suppress(Exception):
        seen = look(layout, engine)
        for directory in (layout.metrics.parent, layout.targets.parent, layout.names.parent):
            # Read by containers under other users, into which just these directories are mounted.
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        store.write(layout.metrics, metrics(seen).encode(), 0o644)
        store.write_json(layout.targets, targets(seen), 0o644)
        store.write_json(layout.names, names(seen), 0o644)


def targets(seen: Seen) -> list[dict[str, Any]]:
    """Where the live and the tried release answer with metrics, as Prometheus' file_sd wants it."""
    found = []
    for role, release in (("live", seen.live), ("candidate", seen.trial)):
        if release is None or not release.metrics:
            continue
        wanted = release.metrics.get("service") or release.endpoints[0].route.service
        labels = {"app": seen.app, "release": release.id, "version": release.version, "role": role}
        found += [
            {
                "targets": [f"127.0.0.1:{endpoint.host_port}"],
                "labels": {**labels, "service": wanted, "__metrics_path__": release.metrics["path"]},
            }
            for endpoint in [e for e in release.endpoints if e.route.service == wanted][:1]
        ]
    return found


def names(seen: Seen) -> list[dict[str, Any]]:
    """The names for which the edge needs a certificate, in the same form."""
    endpoints = seen.live.endpoints if seen.live else ()
    found = sorted({host for endpoint in endpoints for host in endpoint.route.hosts})
    return [{"targets": found}] if found else []


def metrics(seen: Seen) -> str:
    """The state of the app's deploys in Prometheus' text format."""
    lines: list[str] = []
    for name, value, labels in _samples(seen):
        if not any(line.startswith(f"# TYPE {name} ") for line in lines):
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in {"app": seen.app, **labels}.items())
        lines.append(f"{name}{{{told}}} {value:.17g}")
    return "\n".join(lines) + "\n"


def _samples(seen: Seen) -> Iterator[tuple[str, float, dict[str, str]]]:
    if seen.live is not None:
        yield "davit_release_info", 1, {"release": seen.live.id, "version": seen.live.version}
        yield "davit_release_live_since_timestamp_seconds", seconds(since(seen.history, seen.live)), {}
    yield "davit_releases_running", seen.running, {}
    yield "davit_deploy_in_progress", int(seen.under_way is not None), {}
    if seen.under_way is not None and seen.under_way.started_at:
        yield "davit_deploy_started_timestamp_seconds", seconds(seen.under_way.started_at), {}
    if seen.history:
        yield from _last(seen.history[-1])
    returned = [line for line in seen.history if _went_back(line)]
    if returned:
        yield "davit_rolled_back_timestamp_seconds", seconds(returned[-1]["at"]), {}


def _last(line: Mapping[str, Any]) -> Iterator[tuple[str, float, dict[str, str]]]:
    ended = seconds(line["at"])
    yield "davit_deploy_last_result", 1, {"action": line["action"], "result": line["result"].replace(" ", "_")}
    yield "davit_deploy_last_end_timestamp_seconds", ended, {}
    yield "davit_deploy_last_duration_seconds", ended - seconds(line["deploy"]), {}
    probe = line.get("probe") or {}
    if probe.get("requests"):
        yield "davit_deploy_probe_requests", probe["requests"], {}
        yield "davit_deploy_probe_failures", probe["failures"], {}
        yield "davit_deploy_probe_longest_gap_seconds", probe["longest_gap_ms"] / 1000, {}


def _went_back(line: Mapping[str, Any]) -> bool:
    return line["result"] == plan.ROLLED_BACK or (line["action"], line["result"]) == (plan.ROLLBACK, plan.SUCCEEDED)


def since(history: Sequence[Mapping[str, Any]], live: Release) -> str:
    """When ``live`` went live; when it was made, if the history does not tell."""
    good = [line for line in history if line["release"] == live.id and line["result"] == plan.SUCCEEDED]
    return str(good[-1]["at"] if good else live.created_at)


def seconds(moment: str) -> float:
    """Seconds since 1970 of an ISO 8601 time."""
    return datetime.fromisoformat(moment).timestamp()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
