# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a changed daemon.json asks of a running Docker engine; plain values, no engine needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

Action = Literal["none", "reload", "restart"]

# The settings that dockerd reads again on SIGHUP; every other one asks for a restart.
RELOADABLE = frozenset(
    {
        "debug",
        "default-runtime",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)


@dataclass(frozen=True)
class Plan:
    """The text to write, the settings that differ, and what makes a running engine follow."""

    text: str
    differing: tuple[str, ...]
    action: Action


def render(config: Mapping[str, Any]) -> str:
    """``config`` as the text of daemon.json: sorted, so that equal settings are equal bytes."""
    return json.dumps(config, indent=4, sort_keys=True) + "\n"


def plan(current: str | None, wanted: Mapping[str, Any]) -> Plan:
    """Compare the text of the file as it is (None: there is none) with the wanted settings.

    A file that is not a JSON object cannot have started an engine, so all of it counts as changed.
    Raises DavitError where the engine would come up without the containers and volumes that it has.
    """
    text = render(wanted)
    before = _settings(current)
    root = before.get("data-root")
    if root and wanted.get("data-root") != root:
        raise DavitError(
            f"This engine keeps its images, containers and volumes in {root} (data-root), and would start without them."
            f" Keep it with docker_engine_daemon_options: {{data-root: {root}}}, or move the data and take the setting"
            " out of daemon.json by hand first. Nothing was changed."
        )
    differing = tuple(
        key
        for key in sorted({*before, *wanted})
        if key not in before or key not in wanted or before[key] != wanted[key]
    )
    if not differing:
        return Plan(text, differing, "none")
    return Plan(text, differing, "reload" if RELOADABLE.issuperset(differing) else "restart")


def _settings(text: str | None) -> dict[str, Any]:
    try:
        settings = json.loads(text or "{}")
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}
