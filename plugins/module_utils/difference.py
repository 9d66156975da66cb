# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a release changes against another one, in names and digests, and never in values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import canonical, store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import told_origin

MOST_NAMES = 200

_MODELS = (store.RUNNING, store.STATEFUL, store.JOBS)


def between(layout: AppLayout, before: str, after: str) -> dict[str, Any]:
    """How the kept release ``after`` differs from ``before``; {} when there is none before.

    It is for people: whatever cannot be read or understood is told in ``unknown``, and stops nothing.
    """
    if not before or before == after:
        return {}
    try:
        return {"against": before, **_compare(layout.release(before), layout.release(after))}
    except Exception as error:  # a deploy must not end for the sake of its report
        return {"against": before, "unknown": [f"the two releases could not be compared ({type(error).__name__})"]}


def _compare(before: Path, after: Path) -> dict[str, Any]:
    old, new = store.read_json(before / store.RECORD), store.read_json(after / store.RECORD)
    told: dict[str, Any] = {
        "version": [str(old.get("version", "")), str(new.get("version", ""))],
        "images": images(old.get("images") or {}, new.get("images") or {}),
        "environment": names(_environment(before), _environment(after)),
        "secrets": names(_secrets(before), _secrets(after)),
        "origins": origins(old.get("secrets") or {}, new.get("secrets") or {}),
        "compose": [],
        "unknown": [],
    }
    shown = [store.read_json(place / store.CANONICAL) for place in (before, after)]
    if all(shown):
        told["compose"] = canonical.compare(*shown)
    else:
        told["unknown"].append("the Compose file: one of the two was deployed before Davit kept what can be compared")
    return told


def images(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """The services whose image is another one, with the reference and digest of both; '' for a service that is not
    there. Another tag of the same image is no change."""
    found = []
    for service in sorted({*before, *after}):
        pair = [str((record.get(service) or {}).get("pinned", "")) for record in (before, after)]
        if pair[0].partition("@")[2] != pair[1].partition("@")[2]:
            found.append({"service": service, "before": pair[0], "after": pair[1]})
    return found


def origins(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    """The secrets that came from another place or in another version; '' for one that is not there."""
    told = [{name: told_origin(origin) for name, origin in record.items()} for record in (before, after)]
    pairs = {name: [record.get(name, "") for record in told] for name in sorted({*before, *after})}
    changed = [{"name": name, "before": old, "after": new} for name, (old, new) in pairs.items() if old != new]
    return changed[:MOST_NAMES]


def names(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """The names of what was added, removed and changed."""
    return {
        "added": sorted(set(after) - set(before))[:MOST_NAMES],
        "removed": sorted(set(before) - set(after))[:MOST_NAMES],
        "changed": sorted(n for n in set(before) & set(after) if before[n] != after[n])[:MOST_NAMES],
    }


def _environment(place: Path) -> dict[str, str]:
    """``service: NAME`` to value."""
    return {
        f"{service}: {name}": str(value)
        for file in _MODELS
        for service, entry in (store.read_json(place / file).get("services") or {}).items()
        for name, value in (entry.get("environment") or {}).items()
    }


def _secrets(place: Path) -> dict[str, str]:
    """Name of each secret and config of the Compose file to the hash of what is in it."""
    found = {}
    for file in _MODELS:
        model = store.read_json(place / file)
        for kind in ("secrets", "configs"):
            for name, entry in (model.get(kind) or {}).items():
                content = _content(entry)
                found[f"{kind[:-1]} {name}"] = hashlib.sha256(content).hexdigest()
    return found


def _content(entry: Mapping[str, Any]) -> bytes:
    try:
        return Path(str(entry["file"])).read_bytes()
    except (KeyError, OSError):
        return str(entry.get("content", "")).encode()
