# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Everything that can be wrong with a deploy before anything is touched."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    adoption,
    candidate,
    canonical,
    capacity,
    edge,
    ports,
    quality,
    refusals,
    routes,
    running_file,
    store,
    takeover,
    workers,
)
from ansible_collections.davit.ec2.plugins.module_utils.adoption import PROJECT, Wish
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.hardening import DEFAULT, Hardening
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release, fill_in, parse_gate
from ansible_collections.davit.ec2.plugins.module_utils.running_file import Split

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Request:
    """What a deploy was asked for, as the role's variables say it."""

    layout: AppLayout
    files: Mapping[str, str]
    compose_file: str
    version: str = ""
    first_version: str = ""
    version_variable: str = "VERSION"
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    origins: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    routes: tuple[Mapping[str, Any], ...] = ()
    stateful: frozenset[str] = frozenset()
    gate: Mapping[str, Any] = field(default_factory=dict)
    model_probe: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    minimum_disk_mb: int = 1024
    parallel: frozenset[str] = frozenset()
    memory_mb: int = 0
    stop_first: bool = False
    drill: str = ""
    hardening: Hardening = DEFAULT
    adopt: Wish = field(default_factory=Wish)


@dataclass(frozen=True)
class Staged:
    """A request that passed preflight: ``unresolved`` images still need a digest.

    ``origins`` tells where each secret came from, ``key`` is that of the content hash, and ``adopts`` is what this
    deploy takes over, see adoption.py.
    """

    version: str
    split: Split
    routes: tuple[routes.Route, ...]
    declared: dict[str, Any]
    known: dict[str, str]
    room: dict[str, Any] = field(default_factory=dict)
    hardening: Hardening = DEFAULT
    origins: dict[str, dict[str, str]] = field(default_factory=dict)
    key: str = field(default="", repr=False)
    adopts: dict[str, Any] = field(default_factory=dict)

    @property
    def unresolved(self) -> tuple[str, ...]:
        return tuple(sorted(r for r in set(self.split.images.values()) if "@" not in r and r not in self.known))


def stage(request: Request, stage_dir: Path) -> Staged:
    """Check the whole request on this host and lay it out in ``stage_dir``.

    Raises DavitError with the first thing that is wrong; ``stage_dir`` is then gone again.
    """
    engine = Engine()
    adopts = _adopts(request, engine)
    ready = adopts and (request.layout.edge / edge.COMPOSE).exists()
    # Before the edge's ports: who has started the old stack again has both troubles, and this is the worse one.
    adopted = takeover.refuse_both(request.layout, engine)
    check_host(request.minimum_disk_mb, request.adopt.project if ready else "", adopted)
    live = live_release(request.layout)
    version = _version(request, live)
    variables = {**request.environment, **request.secrets}
    if version:
        variables[request.version_variable] = version
    store.remove_tree(stage_dir)
    try:
        _lay_out(request, stage_dir)
        model = _model(request, engine, variables, stage_dir / "files")
        _environment_files(model, variables, stage_dir)
        staged = _judge(request, model, stage_dir, version, live)
        staged = _with_data(request, staged, engine, adopts=adopts)
        shown = _shown(staged.split, stage_dir, variables, request.version_variable)
        store.write_json(stage_dir / "stage.json", _to_json(staged, request))
        store.write_json(stage_dir / store.SECRETS, dict(request.secrets))
        store.write_json(stage_dir / store.CANONICAL, shown)
    except BaseException:
        store.remove_tree(stage_dir)
        raise
    return staged


def _model(request: Request, engine: Engine, variables: Mapping[str, str], files: Path) -> dict[str, Any]:
    """What Compose makes of the project. It is given stand-ins for the secrets, so that none is in the environment of
    a process, or in what Compose says of a file that it cannot read."""
    stand_ins = {name: f"davit-{secrets.token_hex(16)}" for name in request.secrets if name in variables}
    try:
        model = engine.config(files, request.compose_file, {**variables, **stand_ins}, request.profiles)
    except DavitError as error:
        text = str(error)
        for name, stand_in in stand_ins.items():
            text = text.replace(stand_in, f"${{{name}}}")
        raise DavitError(text, **error.facts) from None
    filled: dict[str, Any] = running_file.put_in(model, {stand_ins[name]: variables[name] for name in stand_ins})
    return filled


def _shown(parts: Split, stage_dir: Path, variables: Mapping[str, str], version_variable: str) -> dict[str, Any]:
    """The model with the names of variables instead of their values; the version alone is no secret."""
    path = stage_dir / "files" / ".env"
    own = canonical.dot_env(path.read_text(errors="replace")) if path.is_file() else {}
    hidden = {name: value for name, value in {**own, **variables}.items() if name != version_variable}
    return canonical.canonical((parts.release, parts.stateful, parts.jobs), hidden)


def check_host(minimum_disk_mb: int, yields: str = "", adopted: str = "") -> None:
    """The engine, the edge and the disk of this host; the project ``yields`` may still have the edge's ports, and
    ``adopted`` was taken over already. Raises DavitError."""
    engine = Engine()
    try:
        images = engine.image_directory()
    except DavitError as error:
        raise DavitError(
            f"The Docker engine of this host cannot be used. {error} Run playbooks/configure.yml."
        ) from error
    free = capacity.free_disk_mb(images)
    lacking = capacity.judge_disk(free, minimum_disk_mb, 0)
    if lacking:
        raise DavitError(lacking)
    _check_edge(engine, yields, adopted)


def _check_edge(engine: Engine, yields: str = "", adopted: str = "") -> None:
    # Without Docker's own proxy a published port has no listener, and takes the edge's traffic all the same.
    published = {port: found for port in (80, 443) if (found := engine.publishers(port))}
    projects = {labels.get(PROJECT, "") for found in published.values() for labels in found.values()}
    up = edge.is_up()
    others = {} if up else ports.owners({80, 443} - set(published))
    if (up and not published) or (yields and projects == {yields} and not others):
        return
    owners = {**others, **{port: f"container {next(iter(found))}" for port, found in published.items()}}
    said = "; ".join(f"port {port} is owned by {owner}" for port, owner in sorted(owners.items()))
    if said:
        state = "gets no traffic" if up else "is not running"
        raise DavitError(f"The edge {state}, and {said}. {_way_out(projects - {'', adopted})}")
    raise DavitError("The edge is not running on this host. Run playbooks/configure.yml.")


def _way_out(projects: Collection[str]) -> str:
    stop = "Stop that first (for a stack of Docker Compose: 'docker compose down' in its folder), then run"
    if len(projects) != 1:
        return f"{stop} playbooks/configure.yml."
    return (
        f"To take that stack over with its data, set compose_release_adopt: {{project: {next(iter(projects))}}} and run"
        f" playbooks/configure.yml and playbooks/deploy.yml. To be rid of it: {stop[0].lower()}{stop[1:]}"
        " playbooks/configure.yml."
    )


def _adopts(request: Request, engine: Engine) -> bool:
    """Whether this deploy takes a stack over: the app's first one does. Raises DavitError when it is too late."""
    layout, project = request.layout, request.adopt.project
    if not project or request.drill or store.read_json(layout.adoption).get("project") == project:
        return False
    if not store.pointed(layout.live) and not layout.stateful_file.exists():
        return True
    if not engine.stack(project):
        return False
    raise DavitError(
        f"compose_release_adopt names '{project}', but '{layout.app}' was deployed before without it, and only a first"
        f" deploy adopts. Adopt it as another compose_release_app; or, if '{layout.app}' is not live and its data of no"
        f" worth, run on the host: docker compose -p {layout.stateful_project} down; rm {layout.stateful_file}."
    )


def _with_data(request: Request, staged: Staged, engine: Engine, *, adopts: bool) -> Staged:
    """``staged`` with what it takes over. Raises DavitError for data that is in use by somebody else, or missing."""
    layout, stateful = request.layout, staged.split.stateful
    if not adopts:
        if stateful["services"] and not engine.containers(layout.stateful_project):
            names = volume_names(layout, {})
            kept = running_file.volumes_to_keep(stateful, layout.app, names)
            takeover.require_unused({*kept, *adoption.data_of(stateful, names)}, engine, app=layout.app)
        return staged
    old = takeover.find(request.adopt.project, engine)
    found = adoption.plan(request.adopt, old, engine.stack_volumes(request.adopt.project), stateful)
    missing = [name for name in found.volumes.values() if not engine.has_volume(name)]
    if missing:
        raise DavitError(
            f"compose_release_adopt.volumes names the volume {missing[0]}, which this host does not have."
            " 'docker volume ls' lists those that there are."
        )
    takeover.require_unused(set(found.data), engine, project=found.project)
    digests = {container.image_id: engine.repo_digests(container.image_id) for container in old}
    known, changed = adoption.same_images(old, staged.split.images, stateful, found.volumes, digests)
    return replace(staged, known={**staged.known, **known}, adopts={**found.to_json(), "changed": changed})


def volume_names(layout: AppLayout, adopts: Mapping[str, Any]) -> dict[str, str]:
    """Key to the engine's name for the volumes of the stateful services: what is in use stays in use, whatever the
    variables say by now; a first deploy has what it adopts."""
    try:
        running = json.loads(layout.stateful_file.read_bytes()).get("volumes") or {}
    except FileNotFoundError:
        return dict(adopts.get("volumes") or {})
    return {key: str(volume["name"]) for key, volume in running.items() if volume.get("external")}


def live_release(layout: AppLayout) -> Release | None:
    """The record of the live release. None before the first deploy, and when it is damaged: a deploy must be
    able to replace such a release."""
    name = store.pointed(layout.live)
    return candidate.load_or_none(layout, name) if name else None


def _version(request: Request, live: Release | None) -> str:
    name = store.pointed(request.layout.live)
    if name and live is None and not request.version:
        raise DavitError(
            f"The record of the live release {name} is damaged, so its version is not known. Say which version to"
            " deploy in its place: -e compose_release_version=<tag>."
        )
    version = request.version or (live.version if live else "") or request.first_version
    if version and not _TAG.fullmatch(version):
        raise DavitError(f"compose_release_version is {version!r}, which cannot be the tag of an image.")
    return version


def _lay_out(request: Request, stage_dir: Path) -> None:
    store.make_private(stage_dir / "files")
    for name, content in request.files.items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise DavitError(f"The file {name} lies outside of the Compose project.")
        path = stage_dir / "files" / relative
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        store.write(path, base64.b64decode(content), 0o444)


def _environment_files(model: Mapping[str, Any], variables: Mapping[str, str], stage_dir: Path) -> None:
    for path, variable in running_file.environment_files(model).items():
        if variable not in variables:
            raise DavitError(
                f"The secret '{path.partition('/')[2]}' is read from the variable {variable}, which has no value."
                " Set it in compose_release_secrets."
            )
        store.make_private((stage_dir / path).parent)
        store.write(stage_dir / path, variables[variable].encode(), 0o444)


def _judge(request: Request, model: dict[str, Any], stage_dir: Path, version: str, live: Release | None) -> Staged:
    refused = refusals.refuse(model, request.stateful)
    if refused:
        raise DavitError("\n".join(str(r) for r in refused), refused=[str(r) for r in refused])
    parsed = routes.parse_routes(request.routes, model, request.stateful)
    others = edge.read_routes(request.layout)
    taken = routes.rules_taken(others)
    for route in parsed:
        if route.rule in taken:
            raise DavitError(
                f"The app '{taken[route.rule]}' on this host already has the route {route.rule}."
                " Give this app a host name or a path of its own in compose_release_routes."
            )
    nameless = routes.nameless(parsed, others) if edge.uses_tls(request.layout) else ""
    if nameless:
        raise DavitError(nameless)
    parts = running_file.split(model, str(stage_dir / "files"), request.stateful)
    open_variables = {**request.environment, request.version_variable: version}
    gate = fill_in(dict(request.gate), open_variables)
    declared = {
        "routes": [route.to_json() for route in parsed],
        "gate": gate,
        "headers": routes.parse_headers(request.headers),
        "model_probe": dict(request.model_probe),
        "metrics": _metrics(request.metrics, {route.service for route in parsed}),
        "workers": list(workers.workers_of(parts.release, {r.service for r in parsed}, request.parallel)),
    }
    if request.drill:
        # Part of the content, so that a drill and the real release are never taken for each other.
        declared["drill"] = request.drill
    if not request.hardening.is_default:
        # A wish is content, so that it is deployed; the default is not, so that another one deploys nothing by itself.
        declared["hardening"] = request.hardening.to_json()
    trial = running_file.assign_ports(parsed, range(1, len(parsed) + 1))
    parse_gate(gate, trial)
    quality.parse(gate, trial, declared["metrics"])
    room = {
        "minimum_disk_mb": request.minimum_disk_mb,
        "memory_mb": request.memory_mb,
        "stop_first": request.stop_first,
    }
    origins = {name: dict(origin) for name, origin in request.origins.items()}
    key = store.content_key(request.layout) if request.secrets else ""
    known = _known_digests(request, parts, live)
    return Staged(version, parts, parsed, declared, known, room, request.hardening, origins, key)


def _metrics(declared: Mapping[str, str], routed: Collection[str]) -> dict[str, str]:
    if not declared:
        return {}
    path, service = str(declared.get("path", "/metrics")), str(declared.get("service", ""))
    if not routes.PATH.fullmatch(path) or (service and service not in routed):
        raise DavitError(
            f"compose_release_metrics is {dict(declared)}: 'path' has to match {routes.PATH.pattern}, and 'service' to"
            f" be a routed one ({', '.join(sorted(routed))})."
        )
    return {"path": path, "service": service}


def _known_digests(request: Request, parts: Split, live: Release | None) -> dict[str, str]:
    """Digests that need no registry.

    With no version asked for, what is live stays. A stateful service keeps its image in any case:
    a tag that moved must not restart a database.
    """
    if live is None:
        return {}
    return {
        image.reference: image.digest
        for name, image in live.images.items()
        if parts.images.get(name) == image.reference and (not request.version or name in request.stateful)
    }


def _to_json(staged: Staged, request: Request) -> dict[str, Any]:
    return {
        "version": staged.version,
        "release": staged.split.release,
        "stateful": staged.split.stateful,
        "jobs": staged.split.jobs,
        "images": staged.split.images,
        "notices": list(staged.split.notices),
        "declared": staged.declared,
        "known": staged.known,
        "room": staged.room,
        "hardening": staged.hardening.to_json(),
        "origins": staged.origins,
        "key": staged.key,
        "adopts": staged.adopts,
        "environment_names": sorted({*request.environment, *request.secrets}),
    }


def keep_digests(stage_dir: Path, digests: Mapping[str, str]) -> None:
    """Add what a registry said to what is staged: digest by reference."""
    path = stage_dir / "stage.json"
    saved = json.loads(path.read_bytes())
    store.write_json(path, {**saved, "known": {**digests, **saved["known"]}})


def load_stage(stage_dir: Path) -> tuple[Staged, tuple[str, ...]]:
    """What ``stage`` laid out, and the names of its variables. Raises DavitError when it is gone."""
    try:
        saved = json.loads((stage_dir / "stage.json").read_bytes())
    except (OSError, ValueError) as error:
        raise DavitError("Nothing is staged for this app; run the deploy from its start.") from error
    parts = Split(saved["release"], saved["stateful"], saved["jobs"], saved["images"], tuple(saved["notices"]))
    parsed = tuple(
        routes.Route(r["service"], r["port"], tuple(r["hosts"]), r["path"]) for r in saved["declared"]["routes"]
    )
    wanted = Hardening.of(saved["hardening"])
    details = (saved["declared"], saved["known"], saved["room"], wanted, saved["origins"], saved["key"])
    staged = Staged(saved["version"], parts, parsed, *details, saved["adopts"])
    return staged, tuple(saved["environment_names"])
