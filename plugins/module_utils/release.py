# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The record of a release: everything that a rollback needs to bring it back as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Gate
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
PATIENCE: Mapping[str, Callable[[Any], Any]] = {
    "successes": int,
    "failures": int,
    "interval": float,
    "timeout": float,
    "request_timeout": float,
    "stable_seconds": float,
}
"""How long a gate looks, and how often; a template may give a number as text."""


@dataclass(frozen=True)
class Image:
    """An image as the Compose file names it, and the digest that this release means by it."""

    reference: str
    pinned: str

    @property
    def digest(self) -> str:
        return self.pinned.partition("@")[2]


@dataclass(frozen=True)
class Release:
    """One immutable release, as ``release.json`` holds it. Times are UTC, ISO 8601."""

    id: str
    sequence: int
    app: str
    project: str
    version: str
    content_hash: str
    created_at: str
    created_by: str
    commit: str
    images: Mapping[str, Image]
    services: tuple[str, ...]
    stateful: tuple[str, ...]
    jobs: tuple[str, ...]
    """In the order in which they run."""
    endpoints: tuple[Endpoint, ...]
    gate: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the edge adds to each answer."""
    model_probe: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Where the service tells its metrics: ``path``, and ``service`` unless it is the first routed one."""
    environment_names: tuple[str, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By name where the value came from: ``from``, and for a store ``name`` and ``version``. Never a value."""
    workers: tuple[str, ...] = ()
    drill: Mapping[str, Any] = field(default_factory=dict)
    """The fault that this release carries on purpose (see drill.py); empty for a real one."""
    adopts: Mapping[str, Any] = field(default_factory=dict)
    """The stack of before whose place and data this release takes (see adoption.py); empty for all but one."""

    @property
    def beside(self) -> tuple[str, ...]:
        """Services that run beside those of another release; workers do not."""
        return tuple(s for s in self.services if s not in self.workers)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "endpoints": [e.to_json() for e in self.endpoints]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Release:
        """Raises DavitError for a record that lacks something."""
        try:
            # Releases of before were told how the edge serves, which is its own affair.
            values = {name: value for name, value in record.items() if name not in ("tls", "resolver")}
            values["images"] = {n: Image(**image) for n, image in record["images"].items()}
            values["endpoints"] = tuple(Endpoint.from_json(e) for e in record["endpoints"])
            for key in ("services", "stateful", "jobs", "environment_names"):
                values[key] = tuple(record[key])
            # Not in the records of the first versions.
            values["workers"] = tuple(record.get("workers", ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DavitError(f"The record of release {record.get('id')} is damaged: {error!r}.") from error

    @property
    def pinned_images(self) -> tuple[str, ...]:
        return tuple(sorted({image.pinned for image in self.images.values()}))


def told_origin(origin: Mapping[str, str]) -> str:
    """Where a secret came from, in words: the store, its name there, and the version if the store has any."""
    version = origin.get("version")
    words = (origin.get("from"), origin.get("name"), f"version {version}" if version else "")
    return " ".join(word for word in words if word)


def fill_in(value: Any, variables: Mapping[str, str]) -> Any:
    """``value`` with each ``${NAME}`` in its texts replaced, so that a gate can expect what the
    release was given. Raises DavitError for a name that ``variables`` lacks."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda m: _variable(m["name"], variables), value)
    if isinstance(value, Mapping):
        return {key: fill_in(entry, variables) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_in(entry, variables) for entry in value]
    return value


def _variable(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise DavitError(
            f"A gate uses ${{{name}}}, which is not in compose_release_environment"
            f" (known: {', '.join(sorted(variables)) or 'none'})."
        )
    return variables[name]


def parse_gate(declared: Mapping[str, Any], endpoints: Sequence[Endpoint]) -> Gate:
    """The gate of a release. Checks without ``service`` mean the first routed one.

    With no HTTP check declared, each routed port has to answer without a server error: less than
    that says nothing about a service that takes traffic.
    """
    by_service = {e.route.service: e for e in reversed(endpoints)}
    checks = []
    for entry in declared.get("http") or []:
        service = str(entry.get("service") or endpoints[0].route.service)
        if service not in by_service:
            raise DavitError(
                f"The gate '{entry.get('name') or entry.get('path')}' names the service '{service}',"
                f" which has no route; routed are {', '.join(sorted(by_service))}."
            )
        checks.append(gates.parse_http(entry, by_service[service].url))
    if not checks:
        checks = [
            gates.HttpCheck(
                name=f"{e.route.service} answers on {e.route.path}",
                url=e.url + e.route.path,
                status=tuple(range(200, 500)),
                readiness=True,
            )
            for e in endpoints
        ]
    elif not any(check.readiness for check in checks):
        checks[0] = gates.HttpCheck(**{**vars(checks[0]), "readiness": True})
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        raise DavitError("Two gates have the same name; give each its own 'name'.")
    try:
        patience = {key: kind(declared[key]) for key, kind in PATIENCE.items() if declared.get(key) is not None}
    except (TypeError, ValueError) as error:
        raise DavitError(f"{', '.join(PATIENCE)} of compose_release_gate are numbers: {error}.") from error
    return Gate(http=tuple(checks), **patience)
