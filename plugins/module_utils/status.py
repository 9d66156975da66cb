# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a person wants to know of an app: records, edge and containers side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    edge,
    exported,
    gates,
    http_client,
    journal,
    leases,
    plan,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Look
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release, told_origin


def describe(layout: AppLayout, engine: Engine) -> dict[str, Any]:
    """The state of one app. What cannot be read is said in ``problems``, never raised."""
    state = store.read_state(layout)
    told: dict[str, Any] = {
        "live": state.live or "",
        "last_good": state.last_good or "",
        "can_return_to": list(plan.rollback_targets(state)),
        "kept": list(state.kept),
        "edge_serves": switching.serving(layout),
        "under_way": _under_way(layout),
        "last": _last(layout),
        "problems": [],
    }
    if told["edge_serves"] != told["live"]:
        told["problems"].append(f"the edge serves '{told['edge_serves']}' but the record says '{told['live']}'")
    if state.live is None:
        return told
    if not edge.is_up():
        told["problems"].append("the edge does not answer, so no app of this host is served")
    try:
        live = candidate.load(layout, state.live)
        looks = _looks(layout, live, engine)
        told.update(_live(layout, live, looks))
        # A health check that was not made yet, as after a boot, says nothing.
        wrong = [f"{_service(look)} {look.observed}" for look in looks if not (look.holds or look.pending)]
        told["problems"] += [f"not all of it runs: {'; '.join(wrong)}"] if wrong else []
    except DavitError as error:
        told["problems"].append(str(error))
    return told


def standing(layout: AppLayout) -> dict[str, Any]:
    """What is live and what a rollback would choose; {} where the records cannot be read."""
    try:
        state = store.read_state(layout)
        return {"live": state.live or "", "can_return_to": list(plan.rollback_targets(state))}
    except (DavitError, OSError, ValueError, LookupError, TypeError):
        return {}


def _under_way(layout: AppLayout) -> str:
    """Who holds the lock, in one line; '' when nobody does."""
    found = journal.read(layout)
    if found is None:
        return ""
    left = found.remaining(leases.moment())
    lease = f"its lease ends in {left:.0f} s" if left else "its lease has ended, and the host recovers it"
    return f"{found.reason} by {found.owner}, phase {found.phase}, since {found.started_at}; {lease}"


def _last(layout: AppLayout) -> dict[str, Any]:
    """How the last deploy or rollback ended."""
    lines = store.read_history(layout)
    wanted = ("action", "release", "version", "result", "cause", "at", "by", "probe", "recovered_by")
    return {key: lines[-1][key] for key in wanted if key in lines[-1]} if lines else {}


def _looks(layout: AppLayout, live: Release, engine: Engine) -> list[Look]:
    """A look at each service of ``live``, and at each that owns its data."""
    own = gates.judge_containers(live.services, engine.containers(live.project), {})
    return own + gates.judge_containers(live.stateful, engine.containers(layout.stateful_project), {})


def _service(look: Look) -> str:
    return look.name.partition(" ")[2]


def _live(layout: AppLayout, live: Release, looks: Sequence[Look]) -> dict[str, Any]:
    return {
        "version": live.version,
        "commit": live.commit,
        "since": exported.since(store.read_history(layout), live),
        "images": {name: image.pinned for name, image in live.images.items()},
        "running": all(look.holds for look in looks),
        "containers": {_service(look): look.observed for look in looks},
        "model": _model(live),
        "secrets": {name: told_origin(origin) for name, origin in live.secrets.items()},
    }


def _model(live: Release) -> str:
    """The model that the live service says it uses; empty when it is not asked or does not say."""
    if not live.model_probe or not live.endpoints:
        return ""
    answer = http_client.ask(live.endpoints[0].url + live.model_probe["path"], timeout=3)
    try:
        seen = gates.value_at(json.loads(answer.body), live.model_probe["key"])
    except ValueError:
        return ""
    return "" if seen is gates.MISSING else str(seen)
