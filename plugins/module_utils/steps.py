# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The steps of a deploy between preflight and its end, each under the lock's token.

Part of the program that preflight leaves on the host, from which the modules of these steps run them: what a step
needs is neither packed by the controller nor sent, and is the same code that recovers the deploy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    difference,
    fetch,
    journal,
    registry,
    rollout,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

Warn = Callable[[str], None]


def fetch_release(given: Mapping[str, Any], _warn: Warn) -> dict[str, Any]:
    """Pull the images and write the release; nothing where the live one has the same content."""
    layout = AppLayout(given["app"], given["root"])
    options = fetch.FetchOptions(
        digests=given["digests"],
        docker_config=given["docker_config"],
        created_by=given["created_by"],
        commit=given["commit"],
        force=given["force"],
        update_stateful=given["update_stateful"],
        pull_timeout=given["pull_timeout"],
    )
    engine = Engine(given["docker_config"])
    try:
        with journal.step(layout, given["token"], lease=given["lease"]) as session:
            with rollout.taken_back(session, engine):
                session.advance(journal.FETCH)
                made = fetch.fetch(session, layout.stage, options, engine)
            before = session.journal.previous
            if made is None:
                session.close()
    finally:
        # With the last pull, whatever becomes of it: nothing after it needs the registry.
        if given["docker_config"]:
            registry.logout(given["docker_config"])
    if made is None:
        return {"changed": False, "release": ""}
    return {
        "changed": True,
        "release": made.id,
        "project": made.project,
        "images": {service: image.pinned for service, image in made.images.items()},
        "jobs": list(made.jobs),
        "changes": difference.between(layout, before, made.id),
    }


def start(given: Mapping[str, Any], _warn: Warn) -> dict[str, Any]:
    """Start the candidate beside the live release, and judge it before any traffic."""
    layout = AppLayout(given["app"], given["root"])
    with journal.step(layout, given["token"], lease=given["lease"]) as session:
        wanted = candidate.load(layout, given["release"])
        return {"changed": True, "verdict": rollout.try_candidate(session, wanted, Engine())}


def switch(given: Mapping[str, Any], warn: Warn) -> dict[str, Any]:
    """Send the traffic to the candidate and watch it; with ``finish`` end the deploy as well."""
    layout, engine = AppLayout(given["app"], given["root"]), Engine()
    told: dict[str, Any] = {"changed": True}
    with journal.step(layout, given["token"], lease=given["lease"]) as session:
        wanted = candidate.load(layout, given["release"])
        told["verdict"] = rollout.go_live(session, wanted, engine, given["canary"])
        if given["finish"]:
            told["ended"] = rollout.finish(session, wanted, engine, warn)
    return told


def finish(given: Mapping[str, Any], warn: Warn) -> dict[str, Any]:
    """End the deploy: the release is the last good one, and what it replaced is stopped."""
    layout, engine = AppLayout(given["app"], given["root"]), Engine()
    with journal.step(layout, given["token"], lease=given["lease"]) as session:
        wanted = candidate.load(layout, given["release"])
        return {"changed": True, "ended": rollout.finish(session, wanted, engine, warn)}
