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


# What decides which containers, images and volumes an engine finds at its start, and what it is where nobody says it.
# Of the image store, engine 29 decides for itself on a new host.
PLACES: dict[str, Any] = {
    "data-root": "/var/lib/docker",
    "features.containerd-snapshotter": False,
    "storage-driver": "",
    "userns-remap": "",
}


@dataclass(frozen=True)
class Plan:
    """The text to write, the settings that differ, and what makes a running engine follow."""

    text: str
    differing: tuple[str, ...]
    action: Action


def render(config: Mapping[str, Any]) -> str:
    """``config`` as the text of daemon.json: sorted, so that equal settings are equal bytes."""
    return json.dumps(config, indent=4, sort_keys=True) + "\n"


def data_root(current: str | None) -> str:
    """Where an engine with this file keeps what it has."""
    return str(_settings(current).get("data-root") or PLACES["data-root"])


def in_use(info: Mapping[str, Any]) -> dict[str, Any]:
    """Of PLACES, what a running engine chose for itself where its file says nothing; ``info`` is its own answer."""
    by_containerd = ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or [])
    return {"features.containerd-snapshotter": by_containerd, "storage-driver": info.get("Driver", "")}


def refuse_hiding(current: str | None, wanted: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """For an engine that has data. ``chosen`` is what it chose for itself, as far as it could be asked.

    Raises DavitError where it would come up without the containers, images and volumes that it has.
    """
    before = _settings(current)
    for place, default in PLACES.items():
        said, shall = _value(before, place), _value(wanted, place)
        had = chosen.get(place, default) if said is None else said
        if said == shall or (had or default) == (shall or default):
            continue
        name, _, inner = place.partition(".")
        keep = f"Take {place} out of docker_engine_daemon_options"
        if said is not None:
            value = f"{{{inner}: {_text(had)}}}" if inner else _text(had)
            keep = f"Keep it with docker_engine_daemon_options: {{{name}: {value}}}"
        raise DavitError(
            f"This engine has its images, containers and volumes with {place}: {_text(had) or 'unset'}, and would start"
            f" without them with {_text(shall) or 'unset'}. {keep}, or move the data and change daemon.json by hand"
            " first. Nothing was changed."
        )


def plan(current: str | None, wanted: Mapping[str, Any], taken: str | None = None) -> Plan:
    """Compare the text of the file as it is (None: there is none) with the wanted settings.

    A file that is not a JSON object cannot have started an engine, so all of it counts as changed.
    ``taken`` is the text that the running engine has read, where that is another one.
    """
    text = render(wanted)
    before = _settings(current if taken is None else taken)
    differing = tuple(
        key
        for key in sorted({*before, *wanted})
        if key not in before or key not in wanted or before[key] != wanted[key]
    )
    if not differing:
        return Plan(text, differing, "none")
    return Plan(text, differing, "reload" if RELOADABLE.issuperset(differing) else "restart")


def _value(settings: Mapping[str, Any], place: str) -> Any:
    name, _, inner = place.partition(".")
    value = settings.get(name)
    if not inner:
        return value
    return value.get(inner) if isinstance(value, Mapping) else None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")


def _settings(text: str | None) -> dict[str, Any]:
    try:
        settings = json.loads(text or "{}")
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}
