# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""From a user's Compose file to the files that run: release, stateful services and jobs.

The input is what ``docker compose config --format json`` prints, in which every value is resolved
and every literal ``$`` doubled; the output is Compose again. Names come last: the content hash is
taken over a model that knows neither its project nor its directory.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.jobs import jobs_of, refuse_early_jobs, waits_of_jobs
from ansible_collections.davit.ec2.plugins.module_utils.refusals import is_memory
from ansible_collections.davit.ec2.plugins.module_utils.routes import DEFAULT_HEADERS, Endpoint, Route

HERE = "@release@"
"""Stands for the release's directory until the release has one."""

Model = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """A Compose model taken apart. Services are without names, paths start with HERE."""

    release: Model
    stateful: Model
    jobs: Model
    images: dict[str, str]
    notices: tuple[str, ...] = field(default=())


def split(model: Mapping[str, Any], files_dir: str, stateful: frozenset[str]) -> Split:
    """Take ``model`` apart into what each release runs, what outlives releases, and what runs once.

    ``files_dir`` is where the model's relative paths lead. Raises DavitError for a model that
    cannot be taken apart, such as a database that depends on a web server.
    """
    services: dict[str, Model] = copy.deepcopy(dict(model.get("services") or {}))
    jobs = jobs_of(services)
    notices = []
    for name, service in services.items():
        if name in stateful and service.get("ports"):
            notices.append(f"the ports of '{name}' are not published: other services of the app reach it as '{name}'")
        _neutralise(service, files_dir)
    parts = {
        "release": {n: s for n, s in services.items() if n not in stateful and n not in jobs},
        "stateful": {n: s for n, s in services.items() if n in stateful},
        "jobs": {n: s for n, s in services.items() if n in jobs and n not in stateful},
    }
    _cut_dependencies(parts, stateful, jobs)
    made = {part: _submodel(model, chosen, files_dir) for part, chosen in parts.items()}
    _check_stateful_binds(made["stateful"])
    images = {name: str(service["image"]) for name, service in services.items()}
    return Split(made["release"], made["stateful"], made["jobs"], images, tuple(notices))


def _neutralise(service: Model, files_dir: str) -> None:
    """Drop what Davit decides itself, and make the paths independent of the directory."""
    for key in ("ports", "profiles", "build", "env_file", "container_name", "restart"):
        service.pop(key, None)
    service.pop("pull_policy", None)
    for mount in service.get("volumes") or []:
        if mount.get("type") == "bind":
            mount["source"] = _from_here(str(mount["source"]), files_dir)
            mount["bind"] = {**(mount.get("bind") or {}), "create_host_path": False}


def _from_here(path: str, files_dir: str) -> str:
    root = files_dir.rstrip("/")
    if path == root or path.startswith(root + "/"):
        return f"{HERE}/files{path[len(root) :]}"
    return path


def _cut_dependencies(parts: Mapping[str, Mapping[str, Model]], stateful: frozenset[str], jobs: frozenset[str]) -> None:
    refuse_early_jobs(parts["jobs"], parts["release"])
    waits = waits_of_jobs(parts["jobs"])
    for part, services in parts.items():
        for name, service in services.items():
            wanted: Model = service.get("depends_on") or {}
            if part == "stateful":
                for target in sorted(set(wanted) - stateful):
                    raise DavitError(
                        f"services.{name}.depends_on: '{name}' owns data and outlives releases, so it"
                        f" cannot wait for '{target}', which is part of each release. Remove the"
                        f" dependency, or add '{target}' to compose_release_stateful."
                    )
            kept = {t: how for t, how in wanted.items() if t in services and t not in jobs}
            if part == "jobs":
                kept = waits.get(name) or {}
            service.pop("depends_on", None)
            if kept:
                service["depends_on"] = kept


def _submodel(model: Mapping[str, Any], services: Mapping[str, Model], files_dir: str) -> Model:
    """A Compose model of just ``services`` and the networks, volumes, ... that they use."""
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "secrets": set(), "configs": set()}
    for service in services.values():
        used["networks"] |= set(service.get("networks") or {})
        used["volumes"] |= {
            str(m["source"]) for m in service.get("volumes") or [] if m.get("type") == "volume" and m.get("source")
        }
        for kind in ("secrets", "configs"):
            used[kind] |= {str(entry["source"]) for entry in service.get(kind) or []}
    made: Model = {"services": dict(services)}
    for kind, names in used.items():
        section = {n: copy.deepcopy(dict(model.get(kind) or {}).get(n) or {}) for n in sorted(names)}
        for name, entry in section.items():
            _neutral_entry(kind, entry, files_dir)
            if entry.pop("environment", None) is not None and kind in ("secrets", "configs"):
                entry["file"] = f"{HERE}/{_environment_file(model, kind, name)}"
        if section:
            made[kind] = section
    return made


def _neutral_entry(kind: str, entry: Model, files_dir: str) -> None:
    if kind != "volumes" or not entry.get("external"):
        entry.pop("name", None)
    if kind == "networks":
        entry.pop("ipam", None)
    if "file" in entry:
        entry["file"] = _from_here(str(entry["file"]), files_dir)


def _variable_of(model: Mapping[str, Any], kind: str, name: str) -> str:
    return str(((model.get(kind) or {}).get(name) or {}).get("environment") or "")


def _environment_file(model: Mapping[str, Any], kind: str, name: str) -> str:
    """Where the content of a secret or config from the environment lies; two of one name are kept apart."""
    shared = kind == "configs" and _variable_of(model, "secrets", name)
    return f"{'env-configs' if shared else 'env'}/{name}"


def environment_files(model: Mapping[str, Any]) -> dict[str, str]:
    """Path to variable for each secret or config that Compose would read from the environment."""
    return {
        _environment_file(model, kind, name): _variable_of(model, kind, name)
        for kind in ("secrets", "configs")
        for name in model.get(kind) or {}
        if _variable_of(model, kind, name)
    }


def put_in(value: Any, stand_ins: Mapping[str, str]) -> Any:
    """``value``, as Compose printed it, with each stand-in replaced by what it stands for, its ``$`` doubled."""
    if isinstance(value, str):
        for stand_in, meant in stand_ins.items():
            value = value.replace(stand_in, meant.replace("$", "$$"))
        return value
    if isinstance(value, Mapping):
        return {put_in(key, stand_ins): put_in(entry, stand_ins) for key, entry in value.items()}
    if isinstance(value, list):
        return [put_in(entry, stand_ins) for entry in value]
    return value


def own_paths(model: Model) -> set[str]:
    """The paths below HERE that ``model`` mounts: the files that have to travel with it."""
    sources = [
        str(mount.get("source", ""))
        for service in model["services"].values()
        for mount in service.get("volumes") or []
        if mount.get("type") == "bind"
    ]
    for kind in ("secrets", "configs"):
        sources += [str(entry.get("file", "")) for entry in (model.get(kind) or {}).values()]
    return {source[len(HERE) + 1 :] for source in sources if source.startswith(HERE + "/")}


def _check_stateful_binds(model: Model) -> None:
    for name, service in model["services"].items():
        for mount in service.get("volumes") or []:
            inside = str(mount.get("source") or "").startswith(HERE)
            if mount.get("type") == "bind" and inside and not mount.get("read_only"):
                raise DavitError(
                    f"services.{name}.volumes: '{name}' owns data but writes it into the project's"
                    " directory, which is replaced by each release. Use a named volume, or an"
                    " absolute path of the host."
                )


def pin(model: Model, digests: Mapping[str, str]) -> Model:
    """``model`` with each image as ``name:tag@sha256:...``; ``digests`` maps reference to digest."""
    pinned = copy.deepcopy(model)
    for service in pinned["services"].values():
        service["image"] = pinned_reference(str(service["image"]), digests)
    return pinned


def pinned_reference(reference: str, digests: Mapping[str, str]) -> str:
    if "@" in reference:
        return reference
    if reference not in digests:
        raise DavitError(f"There is no digest for the image {reference}.")
    return f"{reference}@{digests[reference]}"


def without_tag(reference: str) -> str:
    """``name@digest`` of a pinned reference: two tags of one image are the same content."""
    name, _at, digest = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    return f"{head if colon and '/' not in tag else name}@{digest}"


ALWAYS_COUNTED = frozenset(["routes", "gate", "model_probe"])
"""What the first version hashed, also when it was empty."""
ONCE_COUNTED: Mapping[str, Any] = {"tls": False, "resolver": ""}
"""What it hashed beside that, and is the edge's affair by now."""


def content_hash(parts: Iterable[Model], files: Mapping[str, str], declared: Mapping[str, Any], key: str = "") -> str:
    """sha256 over everything that makes two releases different, and nothing that does not.

    ``files`` maps relative path to the sha256 of its content, ``declared`` holds the routes and
    gates. Tags, project names and directories do not count, nor does what a newer Davit can declare
    and this app does not: an upgrade alone makes no new content. With a ``key``, the host's own for an
    app with secrets, it is an HMAC-SHA256.
    """
    services = []
    for model in parts:
        plain = copy.deepcopy(model)
        for service in plain["services"].values():
            service["image"] = without_tag(str(service["image"]))
        services.append(plain)
    counted = {name: value for name, value in declared.items() if _counts(name, value)}
    content = {"models": services, "files": dict(files), "declared": {**ONCE_COUNTED, **counted}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    if key:
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hashlib.sha256(text.encode()).hexdigest()


def _counts(name: str, value: Any) -> bool:
    if name == "headers":
        return dict(value) != DEFAULT_HEADERS
    return bool(value) or name in ALWAYS_COUNTED


def assign_ports(routes: Iterable[Route], ports: Iterable[int]) -> tuple[Endpoint, ...]:
    """One loopback port per route; two routes to the same container port share one."""
    free = iter(ports)
    given: dict[tuple[str, int], int] = {}
    endpoints = []
    for route in routes:
        key = (route.service, route.port)
        if key not in given:
            given[key] = next(free)
        endpoints.append(Endpoint(route, given[key]))
    return tuple(endpoints)


Names = Mapping[str, str]
"""Key of a volume to the engine's name of it, for those that have one other than ``<app>_<key>``."""
NO_NAMES: Names = MappingProxyType({})


def name_release(
    model: Model,
    app: str,
    project: str,
    directory: str,
    endpoints: Iterable[Endpoint] = (),
    names: Names = NO_NAMES,
) -> Model:
    """The Compose file that runs: ``model`` with its project, paths, labels, volumes and loopback ports.

    Whatever serves is made to outlive a reboot when it comes to serve. Until then no container does, not
    even one that was only created; a policy under ``deploy``, which Compose would let win, goes.
    """
    named = _place(model, directory)
    named["name"] = project
    for service in named["services"].values():
        service["restart"] = "no"
        (service.get("deploy") or {}).pop("restart_policy", None)
        service["labels"] = {**(service.get("labels") or {}), "davit.app": app, "davit.project": project}
    for endpoint in endpoints:
        publish = {
            "mode": "ingress",
            "host_ip": "127.0.0.1",
            "target": endpoint.route.port,
            "published": str(endpoint.host_port),
            "protocol": "tcp",
        }
        ports = named["services"][endpoint.route.service].setdefault("ports", [])
        if publish not in ports:
            ports.append(publish)
    for key, network in (named.get("networks") or {}).items():
        network["name"] = f"{project}_{key}"
    for key, volume in (named.get("volumes") or {}).items():
        if is_memory(volume):
            volume["name"] = f"{project}_{key}"
        elif not volume.get("external"):
            named["volumes"][key] = {"name": names.get(key, f"{app}_{key}"), "external": True}
    return named


def name_stateful(model: Model, app: str, project: str, network: str, directory: str, names: Names = NO_NAMES) -> Model:
    """The Compose file of the services that own data: one project, one network per app.

    A restart policy under ``deploy`` stays in it, and Compose lets it win: without it the file would be another one
    than what runs, and the only copy be stopped for that. The engine is told which one holds (candidate.py).
    """
    named = name_release(model, app, project, directory, names=names)
    for name, service in named["services"].items():
        service["networks"] = {"default": None}
        service["restart"] = "unless-stopped"
        if "deploy" in service:
            service["deploy"] = copy.deepcopy(model["services"][name]["deploy"])
    named["networks"] = {"default": {"name": network, "external": True}}
    return named


def name_jobs(
    model: Model, app: str, project: str, network: str | None, directory: str, names: Names = NO_NAMES
) -> Model:
    """The Compose file of one-shot jobs, which share the release's networks and run before it, each by itself."""
    named = name_release(model, app, project, directory, names=names)
    for service in named["services"].values():
        service.pop("depends_on", None)
        if network:
            service["networks"] = {**(service.get("networks") or {}), "davit-stateful": None}
    if network and named["services"]:
        named.setdefault("networks", {})["davit-stateful"] = {"name": network, "external": True}
    return named


def volumes_to_keep(model: Model, app: str, names: Names = NO_NAMES) -> dict[str, Model]:
    """Engine name to settings for the volumes that outlive releases and that Davit creates. One that was adopted
    is never created: if it is gone, an empty one in its place would hide that."""
    return {
        f"{app}_{key}": {k: volume[k] for k in ("driver", "driver_opts") if volume.get(k)}
        for key, volume in (model.get("volumes") or {}).items()
        if not volume.get("external") and not is_memory(volume) and names.get(key, f"{app}_{key}") == f"{app}_{key}"
    }


def _place(model: Model, directory: str) -> Model:
    placed = copy.deepcopy(model)
    for service in placed["services"].values():
        for mount in service.get("volumes") or []:
            if mount.get("type") == "bind":
                mount["source"] = str(mount["source"]).replace(HERE, directory, 1)
    for kind in ("secrets", "configs"):
        for entry in (placed.get(kind) or {}).values():
            if "file" in entry:
                entry["file"] = str(entry["file"]).replace(HERE, directory, 1)
    return placed
