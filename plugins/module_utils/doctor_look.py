# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What doctor.py judges, as it is on this host. Only looks: nothing here changes anything."""

from __future__ import annotations

import contextlib
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import (
    candidate,
    capacity,
    certificates,
    distribution,
    doctor,
    edge,
    engine_api,
    ports,
    registry,
    status,
    store,
)
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.doctor import Finding, Room, Served
from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import last_words
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout, apps_of
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

_STAND_IN = "TRAEFIK DEFAULT CERT"


def look(
    root: str, outside: Mapping[int, str], offset: float, login: tuple[str, str, str], room: Room
) -> list[Finding]:
    """All findings on this host. ``login`` is registry, user and password; without a user no image is asked for."""
    engine_version = _said("docker", "version", "--format", "{{.Server.Version}}")
    findings = doctor.judge_docker(
        engine_version,
        _said("docker", "compose", "version", "--short"),
        _said("docker-compose", "version", "--short"),
    )
    live = _live(root)
    place = _engine_place() if engine_version else "/"
    usage = shutil.disk_usage(place)
    findings += doctor.judge_disk(usage.total >> 20, usage.free >> 20, place)
    needs = {name: _needs(one) for name, one in live.items()}
    findings += doctor.judge_memory(capacity.available_memory_mb(), needs, room)
    findings += doctor.judge_clock(offset, _clock_is_kept())
    findings += doctor.judge_ports(outside, _listeners(tuple(outside)), *_firewall(tuple(outside)))
    if engine_version:
        images = {image: _architectures(image) for release in live.values() for image in release.pinned_images}
        offered, refused = _offered(live, *login)
        findings += doctor.judge_images(platform.machine(), {**images, **offered})
        served = _certificates(root, live)
        findings += doctor.judge_certificates(served, time.time(), _acme_errors(served))
        findings += doctor.judge_registry(refused)
        findings += doctor.judge_apps(_problems(root))
    return findings


def _said(*argv: str) -> str:
    """The first line that a program prints; nothing when it is not there, or fails."""
    try:
        lines = run(list(argv), timeout=20, environment={"HOME": "/nonexistent"}).stdout.strip().splitlines()
    except (CommandError, OSError):
        return ""
    return lines[0] if lines else ""


def _live(root: str) -> dict[str, Release]:
    found = {}
    for layout in apps_of(root):
        name = store.pointed(layout.live)
        release = candidate.load_or_none(layout, name) if name else None
        if release is not None:
            found[layout.app] = release
    return found


def _problems(root: str) -> dict[str, list[str]]:
    """What status.yml would say is wrong with each app."""
    return {layout.app: status.describe(layout, Engine())["problems"] for layout in apps_of(root)}


def _engine_place() -> str:
    try:
        return Engine().root_directory()
    except DavitError:
        return "/"


def _needs(release: Release) -> int:
    """MB that the release's containers may use together, by their limits."""
    try:
        ids = [container.id for container in Engine().containers(release.project)]
        records = [engine_api.call("GET", f"/containers/{identity}/json")[1] for identity in ids]
    except (DavitError, OSError):
        return 0
    return sum(int((record.get("HostConfig") or {}).get("Memory") or 0) for record in records) >> 20


def _clock_is_kept() -> bool:
    """Whether something keeps the clock; a container has its machine's."""
    if _said("systemd-detect-virt", "--container") not in ("", "none"):
        return True
    services = ("chrony", "chronyd", "systemd-timesyncd", "ntpsec", "ntpd")
    return any(_said("systemctl", "is-active", service) == "active" for service in services)


def _listeners(wanted: tuple[int, ...]) -> dict[int, str]:
    """Who has each port; "loopback" when it is bound there alone."""
    owners = ports.owners(wanted)
    return {port: "loopback" if _only_loopback(port) else owner for port, owner in owners.items()}


def _only_loopback(port: int) -> bool:
    places = set()
    for table, loopback in (("/proc/net/tcp", "0100007F"), ("/proc/net/tcp6", "0" * 24 + "01000000")):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] == "0A" and int(number, 16) == port:
                    places.add(address == loopback)
    return places == {True}


def _firewall(wanted: tuple[int, ...]) -> tuple[list[int], str]:
    """The ports that a rule of the host's own firewall drops, and what else of it may drop one; '' for nothing."""
    try:
        rules = run(["iptables", "-w", "-S", "INPUT"], timeout=20).stdout
    except (CommandError, OSError):
        return [], ""
    return doctor.firewall(rules, wanted)


def _architectures(image: str) -> tuple[str, ...]:
    """The one that an image of this host is for; none when nobody knows."""
    try:
        status, record = engine_api.call("GET", f"/images/{image}/json")
    except (DavitError, OSError):
        return ()
    known = str(record.get("Architecture") or "") if status == 200 else ""
    return (known,) if known else ()


def _certificates(root: str, live: Mapping[str, Release]) -> dict[str, Served | None]:
    """What the edge answers with for each name; '' for routes without one."""
    served = [release for name, release in live.items() if edge.uses_tls(AppLayout(name, root))]
    names = {name for release in served for e in release.endpoints for name in e.route.hosts or ("",)}
    return {name: _certificate(name) for name in sorted(names)}


def _certificate(name: str) -> Served | None:
    asked = ["openssl", "s_client", "-connect", "127.0.0.1:443"]
    asked += ["-servername", name] if name else ["-noservername"]
    try:
        chain = run(asked, stdin="", timeout=20).stdout
        shown = run(list(certificates.READ), stdin=chain, timeout=20).stdout
        named = run(["openssl", "x509", "-noout", "-checkhost", name], stdin=chain, timeout=20).stdout if name else ""
        facts = certificates.parse(shown)
    except (CommandError, OSError, ValueError):
        return None
    if _STAND_IN in facts.subject:
        return None
    return Served(facts.begin, facts.end, "does NOT match" not in named)


def _acme_errors(names: Iterable[str]) -> dict[str, str]:
    """The last word of the edge's log on each name for which no certificate could be had."""
    try:
        lines = Engine().logs(doctor.EDGE, 500)
    except DavitError:
        return {}
    errors = [line for line in lines if "acme" in line.lower() and '"level":"error"' in line]
    found = {name: [line for line in errors if f'"{name}"' in line or f"[{name}" in line] for name in names if name}
    # The server's own reason, without the names of all that stand between it and this log.
    return {name: last_words(own[-1]).rpartition("acme:error:")[2] for name, own in found.items() if own}


def _offered(
    live: Mapping[str, Release], server: str, username: str, password: str
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What the registry has for the tags of what is live, as the next deploy would get it: architectures by image, and
    its words by image that it does not give to this user."""
    if not username:
        return {}, {}
    images = {image.reference for release in live.values() for image in release.images.values()}
    wanted = sorted(image for image in images if distribution.registry_of(image) == distribution.key_of(server))
    if not wanted:
        return {}, {}
    try:
        login = registry.login(server, username, password, 300)
    except DavitError as error:
        return {}, {wanted[0]: str(error)}
    offered: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    try:
        for image in wanted:
            try:
                offered[image] = distribution.offer_of(image, login, 30.0).architectures
            except DavitError as error:
                refused[image] = str(error)
    finally:
        registry.logout(login)
    return offered, refused
