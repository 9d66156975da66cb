# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""From a staged request to an immutable release on the host, with its images pulled."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    adoption,
    capacity,
    distribution,
    drill,
    plan,
    ports,
    registry,
    running_file,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.hardening import harden
from ansible_collections.davit.ec2.plugins.module_utils.jobs import order_of_jobs
from ansible_collections.davit.ec2.plugins.module_utils.journal import FETCH, Session
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout, apps_of
from ansible_collections.davit.ec2.plugins.module_utils.preflight import (
    Staged,
    keep_digests,
    live_release,
    load_stage,
    volume_names,
)
from ansible_collections.davit.ec2.plugins.module_utils.release import Image, Release, parse_gate
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint
from ansible_collections.davit.ec2.plugins.module_utils.running_file import Names

PORTS_LOCK_WAIT = 60.0
"""Seconds for another app of this host to be given its ports."""


@dataclass(frozen=True)
class FetchOptions:
    """``digests`` maps reference to digest for what preflight left unresolved; the registry is asked for
    the rest, with the login in ``docker_config``."""

    digests: Mapping[str, str]
    docker_config: str | None = None
    created_by: str = ""
    commit: str = ""
    force: bool = False
    update_stateful: bool = False
    pull_timeout: float = 900.0


@dataclass(frozen=True)
class Pinned:
    """A staged request with every image pinned, and the hash of its content, which is taken before ``harden``."""

    release: running_file.Model
    stateful: running_file.Model
    jobs: running_file.Model
    images: dict[str, Image]
    content_hash: str


def pin_stage(staged: Staged, stage_dir: Path, digests: Mapping[str, str]) -> Pinned:
    """Pin every image of ``staged``. Raises DavitError when a digest is missing."""
    known = {**digests, **staged.known}
    parts = [running_file.pin(m, known) for m in (staged.split.release, staged.split.stateful, staged.split.jobs)]
    hashed = running_file.content_hash(parts, file_hashes(stage_dir, parts), staged.declared, staged.key)
    images = {name: Image(ref, running_file.pinned_reference(ref, known)) for name, ref in staged.split.images.items()}
    release, jobs = harden(parts[0], staged.hardening), harden(parts[2], staged.hardening)
    return Pinned(release, parts[1], jobs, images, hashed)


def is_live(staged: Staged, stage_dir: Path, live: Release | None) -> bool:
    """Whether ``live`` has the very content that is staged. Raises DavitError when a digest is missing."""
    return live is not None and pin_stage(staged, stage_dir, {}).content_hash == live.content_hash


def is_done(staged: Staged, stage_dir: Path, live: Release | None, layout: AppLayout) -> bool:
    """Whether nothing is to be done: ``live`` has what is staged, and does its work. One whose containers or whose
    route somebody has removed is deployed again."""
    return is_live(staged, stage_dir, live) and live is not None and switching.works(layout, live, Engine())


def ask_registry(layout: AppLayout, references: Sequence[str], account: Mapping[str, Any]) -> dict[str, Any]:
    """Log in to the ``registry`` of ``account``, if it has a ``username``, and resolve ``references`` of the stage.

    Returns what preflight knows then; its ``docker_config`` is the login, for the pull. Raises DavitError, and
    leaves neither stage nor login, when the registry does not answer as it should.
    """
    login = ""
    try:
        if account["username"]:
            login = registry.login(**{key: account[key] for key in ("registry", "username", "password", "lifetime")})
        keep_digests(layout.stage, distribution.resolve(references, login or None))
        staged, _names = load_stage(layout.stage)
        same = not account["force"] and is_done(staged, layout.stage, live_release(layout), layout)
    except BaseException:
        _leave(layout, login)
        raise
    if same:
        _leave(layout, login)
    return {"unresolved": [], "up_to_date": same, "docker_config": "" if same else login}


def _leave(layout: AppLayout, login: str) -> None:
    store.remove_tree(layout.stage)
    if login:
        registry.logout(login)


def require_live_content(staged: Staged, stage_dir: Path, live: Release | None) -> None:
    """A drill tries the live release and nothing else. Raises DavitError when the stage holds anything else."""
    if live is None:
        raise DavitError("Nothing is live of this app, so there is nothing to drill. Deploy it first.")
    plain = replace(staged, declared={key: value for key, value in staged.declared.items() if key != "drill"})
    if staged.unresolved or not is_live(plain, stage_dir, live):
        raise DavitError(
            f"What the inventory describes is not what is live ({live.id}), and a drill tries the live release's"
            " own content. Deploy it first, or give the variables that the live release was deployed with."
        )


def file_hashes(stage_dir: Path, parts: Iterable[running_file.Model]) -> dict[str, str]:
    """sha256 by path of each file that ``parts`` mount. What else was sent, such as the Compose
    file and env files, is in the model already: a changed comment is no new release."""
    found = {}
    for own in sorted({path for part in parts for path in running_file.own_paths(part)}):
        top = stage_dir / own
        for path in [top, *sorted(top.rglob("*"))]:
            if path.is_file():
                found[str(path.relative_to(stage_dir))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def fetch(session: Session, stage_dir: Path, options: FetchOptions, engine: Engine) -> Release | None:
    """Make the release that the stage asks for; None when the live one has the same content, serves and runs.

    Nothing that runs is touched. Raises DavitError for content that failed before (unless forced),
    a stateful service that would change (unless wanted), an image that cannot be pulled.
    """
    layout = session.layout
    staged, environment_names = load_stage(stage_dir)
    digests = dict(options.digests)
    lacking = [reference for reference in staged.unresolved if reference not in digests]
    digests.update(distribution.resolve(lacking, options.docker_config))
    pinned = pin_stage(staged, stage_dir, digests)
    live = live_release(layout)
    same = live is not None and live.content_hash == pinned.content_hash
    if live is not None and same and not options.force and switching.works(layout, live, engine):
        store.remove_tree(stage_dir)
        return None
    state = store.read_state(layout)
    if not options.force:
        _refuse_known_bad(state, pinned.content_hash)
    names = volume_names(layout, staged.adopts)
    if not options.update_stateful:
        adoption.refuse_changed(staged.adopts)
        _refuse_stateful_change(layout, stage_dir, pinned, names)
    images = sorted({i.pinned for i in pinned.images.values()})
    _require_room(staged, pinned, live, [i for i in images if not engine.has_image(i)], engine)
    brought = _pull(images, options.pull_timeout, engine)
    try:
        with store.locked(layout.ports_lock, PORTS_LOCK_WAIT):
            release = _describe(layout, state, staged, pinned, options, environment_names)
            # Before it is there, so that whoever recovers knows of it.
            session.advance(FETCH, release=release.id, previous=state.live or "")
            _sweep(layout)
            _build(layout, stage_dir, release, pinned, names)
    except BaseException:
        _let_go(brought, engine)
        raise
    store.remove_tree(stage_dir)
    return release


def _require_room(staged: Staged, pinned: Pinned, live: Release | None, lacking: list[str], engine: Engine) -> None:
    """Raise DavitError, with the numbers, when the images or a second copy do not fit."""
    room = staged.room
    needed = capacity.memory_needed_mb(pinned.release)
    problems: list[object] = [
        capacity.judge_memory(needed, capacity.available_memory_mb(), room["memory_mb"], room["stop_first"]),
    ]
    if lacking:
        free = capacity.free_disk_mb(engine.image_directory())
        as_live = engine.size_mb(live.pinned_images) if live else 0
        problems.append(capacity.judge_disk(free, room["minimum_disk_mb"], as_live))
    for problem in filter(None, problems):
        raise DavitError(str(problem))


def _pull(images: Sequence[str], timeout: float, engine: Engine) -> list[str]:
    """Have all ``images`` here; returns those that were not. When one cannot be had, the others that were
    brought for it go again: nothing but this release would know of them."""
    brought: list[str] = []
    try:
        for image in images:
            if not engine.has_image(image):
                engine.pull(image, timeout)
                brought.append(image)
    except BaseException:
        _let_go(brought, engine)
        raise
    return brought


def _let_go(images: Sequence[str], engine: Engine) -> None:
    for image in images:
        with contextlib.suppress(DavitError):
            engine.remove_image(image)


def _refuse_known_bad(state: plan.HostState, content_hash: str) -> None:
    last = [
        e
        for e in state.history
        if e.content_hash == content_hash and e.action == plan.DEPLOY and (e.blamed or e.result == plan.SUCCEEDED)
    ]
    if last and last[-1].blamed:
        raise DavitError(
            f"The same content was deployed before as {last[-1].release} and ended as"
            f" '{last[-1].result}', so it is not tried again. Change it, or insist with"
            " -e compose_release_force=true."
        )


def stateful_directory(layout: AppLayout, stage_dir: Path, pinned: Pinned) -> Path:
    """Where the files that the stateful services mount lie: named by content, outside of the
    releases, since those are removed in time."""
    content = [pinned.stateful, file_hashes(stage_dir, [pinned.stateful])]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return layout.stateful_files / digest[:12]


def stateful_model(layout: AppLayout, stage_dir: Path, pinned: Pinned, names: Names) -> running_file.Model:
    """The file of the stateful project that this release wants."""
    directory = stateful_directory(layout, stage_dir, pinned)
    return running_file.name_stateful(
        pinned.stateful, layout.app, layout.stateful_project, layout.stateful_network, str(directory), names
    )


def _refuse_stateful_change(layout: AppLayout, stage_dir: Path, pinned: Pinned, names: Names) -> None:
    if not pinned.stateful["services"] or not layout.stateful_file.exists():
        return
    running = json.loads(layout.stateful_file.read_bytes())["services"]
    wanted = stateful_model(layout, stage_dir, pinned, names)["services"]
    changed = sorted(n for n in wanted if wanted[n] != running.get(n))
    if changed:
        raise DavitError(
            f"This release changes {', '.join(changed)}, which owns data: changing it means stopping"
            " the only copy for a moment. Do so with -e compose_release_update_stateful=true, at a"
            " time of your choice."
        )


def _describe(
    layout: AppLayout,
    state: plan.HostState,
    staged: Staged,
    pinned: Pinned,
    options: FetchOptions,
    environment_names: tuple[str, ...],
) -> Release:
    now = datetime.now(timezone.utc)
    sequence = plan.next_sequence(state)
    name = plan.release_id(now.strftime("%Y%m%d-%H%M%S"), pinned.content_hash, sequence)
    wanted = len({(r.service, r.port) for r in staged.routes})
    declared = staged.declared
    fault = declared.get("drill", "")
    taken = taken_ports(layout) | set(ports.listening())
    free = plan.free_ports(drill.ports_wanted(fault, wanted), taken)
    endpoints = running_file.assign_ports(staged.routes, free)
    gate = parse_gate(declared["gate"], endpoints)
    return Release(
        id=name,
        sequence=sequence,
        app=layout.app,
        project=plan.project_name(layout.app, name),
        version=staged.version,
        content_hash=pinned.content_hash,
        created_at=now.isoformat(timespec="seconds"),
        created_by=options.created_by,
        commit=options.commit,
        images=pinned.images,
        services=tuple(sorted(pinned.release["services"])),
        stateful=tuple(sorted(pinned.stateful["services"])),
        # The jobs of the live release have been run; a drill is no reason to run them again.
        jobs=() if fault else order_of_jobs(pinned.jobs["services"]),
        endpoints=endpoints,
        gate=declared["gate"],
        headers=declared["headers"],
        model_probe=declared["model_probe"],
        metrics=declared["metrics"],
        environment_names=environment_names,
        secrets=staged.origins,
        drill=drill.plan_drill(fault, endpoints, gate, free[wanted:]).to_json() if fault else {},
        workers=tuple(declared["workers"]),
        adopts={key: staged.adopts[key] for key in ("project", "folder", "volumes") if key in staged.adopts},
    )


def taken_ports(layout: AppLayout) -> set[int]:
    """The loopback ports of every release that any app of this host keeps."""
    taken: set[int] = set()
    for record in [path for app in apps_of(layout.root) for path in app.releases.glob(f"*/{store.RECORD}")]:
        try:
            document = json.loads(record.read_bytes())
            taken |= {Endpoint.from_json(e).host_port for e in document["endpoints"]}
            taken |= drill.ports_taken(document.get("drill") or {})
        except (OSError, ValueError, KeyError):
            continue
    return taken


def _sweep(layout: AppLayout) -> None:
    """Remove the half-built releases of runs that ended in between: nobody else builds under the lock."""
    for left in layout.releases.glob(".*"):
        store.remove_tree(left)


def _build(layout: AppLayout, stage_dir: Path, release: Release, pinned: Pinned, names: Names) -> None:
    store.make_private(layout.releases)
    home = str(layout.release(release.id))
    building = layout.releases / f".{release.id}"
    building.mkdir(mode=0o700)
    for part in (pinned.release, pinned.jobs):
        _copy(part, stage_dir, building)
    published = drill.published(release.endpoints, release.drill)
    running = running_file.name_release(pinned.release, layout.app, release.project, home, published, names)
    store.write_compose(building / store.RUNNING, running)
    if release.jobs:
        network = layout.stateful_network if release.stateful else None
        jobs = running_file.name_jobs(pinned.jobs, layout.app, release.project, network, home, names)
        store.write_compose(building / store.JOBS, jobs)
    if release.stateful:
        store.write_compose(building / store.STATEFUL, stateful_model(layout, stage_dir, pinned, names))
        _keep_stateful_files(layout, stage_dir, pinned)
    volumes = {
        **running_file.volumes_to_keep(pinned.release, layout.app, names),
        **running_file.volumes_to_keep(pinned.stateful, layout.app, names),
    }
    store.write_json(building / store.VOLUMES, volumes)
    for name in (store.SECRETS, store.CANONICAL):
        store.write_json(building / name, store.read_json(stage_dir / name))
    store.write_json(building / store.RECORD, release.to_json())
    store.publish_release(layout, release.id, building)


def _keep_stateful_files(layout: AppLayout, stage_dir: Path, pinned: Pinned) -> None:
    target = stateful_directory(layout, stage_dir, pinned)
    if target.exists():
        return
    store.make_private(target.parent)
    building = target.with_name(f".{target.name}")
    store.remove_tree(building)
    building.mkdir(mode=0o700)
    _copy(pinned.stateful, stage_dir, building)
    store.put_in_place(building, target)


def _copy(model: running_file.Model, stage_dir: Path, target: Path) -> None:
    """Copy what ``model`` mounts; readable, since containers need not run as root."""
    for own in sorted(running_file.own_paths(model)):
        store.copy(stage_dir / own, target / own)
