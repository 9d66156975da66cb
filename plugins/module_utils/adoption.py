# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which data of a Compose project that runs already becomes whose. Pure: from what the engine tells to a plan.

The volumes are taken over in place, under the names that they have: nothing is copied, so nothing can be copied half.
What is refused here is whatever would leave data behind in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.refusals import is_memory
from ansible_collections.davit.ec2.plugins.module_utils.running_file import HERE

PROJECT, SERVICE, FOLDER, ONEOFF = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.compose.project.working_dir",
    "com.docker.compose.oneoff",
)

OWN = frozenset({"davit.app", "davit.edge.config"})
"""Labels that Davit gives to containers. Their images may have any others of that beginning."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SYSTEM = re.compile(r"/(etc|dev|proc|sys|run|var/run)(/|$)")
"""Paths that many containers share, often mounted writable for no reason: no data of one of them."""


@dataclass(frozen=True)
class Wish:
    """``compose_release_adopt``: the project, and the engine's volume by its key in the new Compose file where
    the labels do not tell, '' for a new one."""

    project: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Wish:
        """Raises DavitError for what is not such a wish."""
        unknown = sorted(set(given) - {"project", "volumes"})
        project, volumes = given.get("project") or "", given.get("volumes") or {}
        if unknown or not isinstance(volumes, Mapping) or (given and not _NAME.fullmatch(str(project))):
            raise DavitError(
                f"compose_release_adopt is {dict(given)}; it has to be {{project: <Compose project>}}, and may have"
                " 'volumes', which maps a volume of the new Compose file to the name of an existing one."
            )
        return cls(str(project), {str(key): str(name or "") for key, name in volumes.items()})


@dataclass(frozen=True)
class Mount:
    """What a container sees at ``target``. ``source`` is the engine's name of a volume, or a path of the host."""

    kind: str
    source: str
    target: str
    writable: bool


@dataclass(frozen=True)
class Old:
    """A container of the project that is to be adopted. ``retries`` goes with the restart policy on-failure."""

    id: str
    name: str
    service: str
    image: str
    image_id: str
    runs: bool
    policy: str
    retries: int = 0
    folder: str = ""
    davit: bool = False
    oneoff: bool = False
    mounts: tuple[Mount, ...] = ()

    @classmethod
    def from_inspect(cls, record: Mapping[str, Any]) -> Old:
        labels: Mapping[str, str] = (record.get("Config") or {}).get("Labels") or {}
        restart: Mapping[str, Any] = (record.get("HostConfig") or {}).get("RestartPolicy") or {}
        state: Mapping[str, Any] = record.get("State") or {}
        return cls(
            id=str(record["Id"]),
            name=str(record["Name"]).lstrip("/"),
            service=labels.get(SERVICE, ""),
            image=str((record.get("Config") or {}).get("Image", "")),
            image_id=str(record.get("Image", "")),
            runs=state.get("Status") in ("running", "restarting", "paused"),
            policy=str(restart.get("Name") or "no"),
            retries=int(restart.get("MaximumRetryCount") or 0),
            folder=labels.get(FOLDER, ""),
            oneoff=labels.get(ONEOFF) == "True",
            davit=bool(OWN & labels.keys()) or str(labels.get(PROJECT, "")).startswith("davit-"),
            mounts=tuple(_mount(mount) for mount in record.get("Mounts") or []),
        )

    @property
    def writes(self) -> frozenset[str]:
        """Volumes and paths of the host that it can write."""
        return frozenset(m.source for m in self.mounts if m.writable and m.kind in ("volume", "bind"))


def _mount(mount: Mapping[str, Any]) -> Mount:
    kind = str(mount.get("Type", ""))
    source = str(mount.get("Name" if kind == "volume" else "Source") or "")
    return Mount(kind, source, str(mount.get("Destination", "")), bool(mount.get("RW")))


@dataclass(frozen=True)
class Adoption:
    """What is taken over: ``volumes`` maps a volume of the new Compose file to the engine's name. ``data`` are all
    volumes and paths of the host that the stateful services will write, as the engine names them."""

    project: str
    folder: str
    volumes: Mapping[str, str]
    services: tuple[str, ...]
    notices: tuple[str, ...] = ()
    data: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        lists = {"services": list(self.services), "notices": list(self.notices), "data": list(self.data)}
        return {**asdict(self), **lists}


def plan(
    wish: Wish,
    old: Sequence[Old],
    labelled: Mapping[str, str],
    stateful: Mapping[str, Any],
) -> Adoption:
    """What becomes of the project ``wish.project``.

    ``labelled`` maps the key in the old Compose file to the engine's name for each volume of that project;
    ``stateful`` is the part of the new Compose model that owns data. Raises DavitError when there is nothing to
    adopt, and for data that nobody would take over.
    """
    if not old and not labelled:
        raise DavitError(
            f"compose_release_adopt names the Compose project '{wish.project}', of which this host has neither"
            " containers nor volumes. 'docker compose ls --all' on the host lists the projects that there are. Correct"
            " the name, or remove compose_release_adopt, if this host never had that stack."
        )
    if any(container.davit for container in old):
        raise DavitError(f"The Compose project '{wish.project}' is Davit's own already, so it cannot be adopted.")
    volumes = _volumes(wish, labelled, stateful)
    _refuse_left_behind(wish, old, volumes, stateful)
    data = data_of(stateful, volumes)
    others = sorted({name for c in old for name in c.writes} - data - _mounted(stateful, volumes))
    notices = [
        f"{name}, which '{wish.project}' writes, is not part of the new Compose file and stays" for name in others
    ]
    folder = next((container.folder for container in old if container.folder), "")
    services = tuple(sorted({c.service for c in old}))
    return Adoption(wish.project, folder, volumes, services, tuple(notices), tuple(sorted(data)))


def _volumes(wish: Wish, labelled: Mapping[str, str], stateful: Mapping[str, Any]) -> dict[str, str]:
    declared: Mapping[str, Any] = stateful.get("volumes") or {}
    wanted = [key for key, volume in declared.items() if not volume.get("external") and not is_memory(volume)]
    unknown = sorted(set(wish.volumes) - set(wanted))
    if unknown:
        raise DavitError(
            f"compose_release_adopt.volumes names '{unknown[0]}', which is no volume of a service in"
            f" compose_release_stateful; those have {', '.join(wanted) or 'none'}."
        )
    found: dict[str, str] = {}
    for key in wanted:
        name = wish.volumes.get(key, labelled.get(key))
        if name is None:
            there = ", ".join(f"{k} ({v})" for k, v in sorted(labelled.items())) or "none"
            raise DavitError(
                f"The volume '{key}' of the new Compose file has no counterpart in the project '{wish.project}', which"
                f" has {there}. Say which one it is in compose_release_adopt: {{project: {wish.project}, volumes:"
                f" {{{key}: <name>}}}}, or '' for a new and empty one."
            )
        if name:
            found[key] = name
    twice = [name for name in found.values() if list(found.values()).count(name) > 1]
    if twice:
        raise DavitError(f"compose_release_adopt gives the volume {twice[0]} to two volumes of the new Compose file.")
    return found


def _refuse_left_behind(
    wish: Wish, old: Iterable[Old], volumes: Mapping[str, str], stateful: Mapping[str, Any]
) -> None:
    """Raise DavitError for data that a service writes now and would not find at its place as a stateful service."""
    for container in old:
        service = stateful["services"].get(container.service)
        if service is None:
            continue
        new = {str(m.get("target")): _source(m, volumes, stateful) for m in service.get("volumes") or []}
        for mount in container.mounts:
            now = new.get(mount.target, "")
            # What comes with the release is read-only there, so it is configuration and no data.
            if (
                not mount.writable
                or mount.kind not in ("volume", "bind")
                or now == mount.source
                or now.startswith(HERE)
            ):
                continue
            key = re.sub(r"\W+", "-", mount.target).strip("-") or "data"
            how = (
                f"mount a volume there, '{key}:{mount.target}', and set compose_release_adopt: {{project:"
                f" {wish.project}, volumes: {{{key}: {mount.source}}}}}"
                if mount.kind == "volume"
                else f"mount the path itself, '{mount.source}:{mount.target}'"
            )
            raise DavitError(
                f"'{container.service}' keeps data in the {'volume' if mount.kind == 'volume' else 'directory'}"
                f" {mount.source} at {mount.target}, where the new Compose file has"
                f" {now or 'nothing'}: it would start without that data. Instead: {how}."
            )


def _source(mount: Mapping[str, Any], volumes: Mapping[str, str], stateful: Mapping[str, Any]) -> str:
    """The engine's name of what the new Compose file mounts, as far as it is known."""
    source = str(mount.get("source") or "")
    declared = (stateful.get("volumes") or {}).get(source) or {}
    if mount.get("type") == "volume":
        return str(declared.get("name") or source) if declared.get("external") else volumes.get(source, "a new volume")
    return source


def _mounted(stateful: Mapping[str, Any], volumes: Mapping[str, str]) -> set[str]:
    mounts = [mount for service in stateful["services"].values() for mount in service.get("volumes") or []]
    return {_source(mount, volumes, stateful) for mount in mounts}


def data_of(stateful: Mapping[str, Any], volumes: Mapping[str, str]) -> frozenset[str]:
    """The volumes, by the engine's name, and the paths of the host that the services of ``stateful`` can write, also
    those that Davit does not manage. A new volume is not among them, since nobody can have it yet.

    ``volumes`` maps key to name; the file that runs needs none.
    """
    found = set()
    for service in (stateful.get("services") or {}).values():
        for mount in service.get("volumes") or []:
            declared = (stateful.get("volumes") or {}).get(str(mount.get("source") or "")) or {}
            if mount.get("read_only") or mount.get("type") not in ("volume", "bind"):
                continue
            if mount["type"] == "volume" and not declared.get("external") and mount.get("source") not in volumes:
                continue
            found.add(_source(mount, volumes, stateful))
    return frozenset(name for name in found if not _SYSTEM.match(name) and not name.startswith(HERE))


def same_images(
    old: Iterable[Old],
    images: Mapping[str, str],
    stateful: Mapping[str, Any],
    volumes: Mapping[str, str],
    repo_digests: Mapping[str, Sequence[str]],
) -> tuple[dict[str, str], list[str]]:
    """Digest by reference for the stateful services whose image is named as before, and a sentence for each one that
    would not run the very image that owns its data now.

    ``images`` maps service to reference, ``repo_digests`` an image's id to what the engine calls it. A tag that
    has moved since must not change a database while it is taken over.
    """
    known: dict[str, str] = {}
    owned = [(name, c) for name in stateful["services"] for c in _owners(name, list(old), stateful, volumes)]
    for name, container in owned:
        reference = images[name]
        if "@" in reference or _plain(container.image.partition("@")[0]) != _plain(reference):
            continue
        for given in repo_digests.get(container.image_id, ()):
            repository, _at, digest = given.partition("@")
            if _plain(repository) == _plain(_without_tag(reference)):
                known.setdefault(reference, digest)
    changed = []
    for name, container in owned:
        digest = images[name].partition("@")[2] or known.get(images[name], "")
        # The engine's store of images may be containerd's, whose ids are digests.
        runs = {given.partition("@")[2] for given in repo_digests.get(container.image_id, ())} | {container.image_id}
        if digest not in runs:
            unknown = ", whose digest is not known," if container.image == images[name] else ""
            changed.append(f"'{name}' from the {container.image}{unknown} that runs to {images[name]}")
    return known, changed


def _owners(name: str, old: Sequence[Old], stateful: Mapping[str, Any], volumes: Mapping[str, str]) -> list[Old]:
    """The old containers that own the data of the stateful service ``name``. The data tells, since a service may have
    another name by now; its name counts among several, and where there is no data."""
    data = data_of({**stateful, "services": {name: stateful["services"][name]}}, volumes)
    writers = [container for container in old if container.writes & data]
    return [container for container in writers or old if container.service == name] or writers


def _without_tag(reference: str) -> str:
    head, colon, tag = reference.rpartition(":")
    return head if colon and "/" not in tag else reference


def _plain(repository: str) -> str:
    """Docker Hub's repositories have a long and a short name."""
    return re.sub(r"^(docker\.io/)?(library/)?", "", repository)


def refuse_changed(adopts: Mapping[str, Any]) -> None:
    """Raise DavitError when what is staged would change an image in the same moment as it takes over the data."""
    if adopts.get("changed"):
        raise DavitError(
            f"Taking over the data would also change {'; '.join(adopts['changed'])}. What another version of a database"
            " has written, the old one may not be able to read, and then there is no way back. Adopt with the image"
            " that runs, and change it with a later release; or insist with -e compose_release_update_stateful=true."
        )
