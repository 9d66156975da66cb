# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a Compose file may not say if two releases of it are to run beside each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """One thing that is refused: where, why, and what to write instead.

    ``path`` leads to the offending key, so that a caller with the source at hand can name the line.
    """

    path: tuple[str, ...]
    why: str
    instead: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.why}. Instead: {self.instead}."


Service = Mapping[str, Any]


def refuse(model: Mapping[str, Any], stateful: frozenset[str]) -> list[Refusal]:
    """Everything in ``model`` that cannot be released, in the order of the file.

    ``model`` is a Compose file, either as written (YAML) or as ``docker compose config`` prints it.
    ``stateful`` names the services that are declared to own data.
    """
    found: list[Refusal] = []
    services: Mapping[str, Service] = model.get("services") or {}
    for name, service in services.items():
        where = ("services", name)
        for check in _ALWAYS:
            found.extend(check(where, service or {}))
        if name not in stateful:
            for check in _STATELESS:
                found.extend(check(where, service or {}))
            found.extend(_volumes(where, service or {}, model.get("volumes") or {}))
    for name, network in (model.get("networks") or {}).items():
        found.extend(_network(("networks", name), network or {}))
    found.extend(_unknown_stateful(services, stateful))
    return found


def _host_network(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    mode = str(service.get("network_mode") or "")
    if mode == "host" or mode.startswith("container:"):
        yield Refusal(
            (*where, "network_mode"),
            f"'{mode}' lets two releases meet on the same ports",
            "remove it; the edge reaches the service by a loopback port of its own",
        )


def _container_name(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    if service.get("container_name"):
        yield Refusal(
            (*where, "container_name"),
            "a fixed name can exist only once, but the next release starts beside the live one",
            "remove it; inside the release the service answers under its service name",
        )


def _outside_links(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    if service.get("external_links"):
        yield Refusal(
            (*where, "external_links"),
            "they tie a release to containers of another",
            "declare the other container as a service of this file",
        )
    for source in service.get("volumes_from") or []:
        if str(source).startswith("container:"):
            yield Refusal(
                (*where, "volumes_from"),
                "it ties a release to a container of another",
                "mount a declared volume",
            )


def _build_only(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    if not service.get("image"):
        yield Refusal(
            (*where, "build") if "build" in service else where,
            "there is no 'image:', so there is nothing to pull by digest",
            "push the built image to a registry and name it with 'image:' ('build:' may stay)",
        )


def _replicas(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    wanted = service.get("scale") or (service.get("deploy") or {}).get("replicas") or 1
    if str(wanted).isdigit() and int(wanted) > 1 and service.get("ports"):
        yield Refusal(
            where,
            f"{wanted} copies cannot publish one port",
            "let one copy use more workers, or add hosts to the fleet",
        )


def _static_address(where: tuple[str, ...], service: Service) -> Iterator[Refusal]:
    networks = service.get("networks")
    if not isinstance(networks, Mapping):
        return
    for name, settings in networks.items():
        if settings and (settings.get("ipv4_address") or settings.get("ipv6_address")):
            yield Refusal(
                (*where, "networks", name),
                "a fixed address can exist only once",
                "use the service name",
            )


def _network(where: tuple[str, ...], network: Mapping[str, Any]) -> Iterator[Refusal]:
    if network.get("external"):
        yield Refusal(
            where,
            "on a network shared between releases a service name answers for all of them",
            "remove 'external'; reach other apps through the edge",
        )
    if any((config or {}).get("subnet") for config in (network.get("ipam") or {}).get("config") or []):
        yield Refusal(where, "a fixed subnet can exist only once", "remove 'ipam'; the engine chooses one")


def _volumes(where: tuple[str, ...], service: Service, declared: Mapping[str, Any]) -> Iterator[Refusal]:
    for mount in service.get("volumes") or []:
        kind, source, read_only = _mount(mount)
        if read_only or not source or kind not in ("volume", "bind"):
            continue
        what = f"the writable {'volume' if kind == 'volume' else 'bind mount'} '{source}'"
        if kind == "volume" and source in declared and is_memory(declared[source] or {}):
            continue
        yield Refusal(
            (*where, "volumes"),
            f"{what} would be written by two releases at once",
            f"declare the service as the owner of data with 'compose_release_stateful: [{where[1]}]'"
            " (one copy, never restarted by a release), or mount it read-only",
        )


def is_memory(volume: Mapping[str, Any]) -> bool:
    """Whether a declared volume lives in memory, so that each release has one of its own."""
    return (volume.get("driver_opts") or {}).get("type") == "tmpfs"


def _mount(mount: Any) -> tuple[str, str, bool]:
    """Kind, source and read-only of a mount in long or short form."""
    if isinstance(mount, Mapping):
        return (
            str(mount.get("type", "volume")),
            str(mount.get("source") or ""),
            bool(mount.get("read_only")),
        )
    parts = re.split(r":(?![^{]*\})", str(mount))
    if len(parts) == 1:
        return "volume", "", False
    kind = "bind" if parts[0][:1] in ("/", ".", "~") else "volume"
    return kind, parts[0], len(parts) > 2 and "ro" in parts[2].split(",")


def _unknown_stateful(services: Mapping[str, Service], stateful: frozenset[str]) -> Iterator[Refusal]:
    for name in sorted(stateful - set(services)):
        yield Refusal(
            ("services",),
            f"compose_release_stateful names '{name}', which is not a service of this file",
            f"one of {', '.join(sorted(services)) or 'none'}",
        )


Check = Callable[[tuple[str, ...], Service], Iterator[Refusal]]
_ALWAYS: tuple[Check, ...] = (_host_network, _container_name, _outside_links, _build_only)
_STATELESS: tuple[Check, ...] = (_replicas, _static_address)
