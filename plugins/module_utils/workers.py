# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which services of a release may not run beside their predecessors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError


def workers_of(release_model: Mapping[str, Any], routed: Collection[str], parallel: Collection[str]) -> tuple[str, ...]:
    """The services that are moved at the switch, in the order of ``release_model``.

    A service that takes its work from a queue or a clock would do it twice if two releases ran it.
    So only those start beside the live release that receive traffic (``routed``), that are declared
    ``parallel``, or that one of these depends on, through whatever else. Compose itself adds links,
    shared namespaces and volumes_from to depends_on. Raises DavitError when ``parallel`` names a
    service that is not part of each release.
    """
    services: Mapping[str, Any] = release_model.get("services") or {}
    unknown = sorted(set(parallel) - set(services))
    if unknown:
        raise DavitError(
            f"compose_release_parallel names '{unknown[0]}', which is not a service that each release runs;"
            f" those are {', '.join(sorted(services)) or 'none'}."
        )
    beside = _with_needs(services, [*routed, *parallel])
    return tuple(name for name in services if name not in beside)


def _with_needs(services: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend((services.get(name) or {}).get("depends_on") or ())
    return found
