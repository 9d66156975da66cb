# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What has to happen to the edge of a host, judged from plain values; touches nothing itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["none", "reload", "start", "recreate", "wait"]

PROJECT = "davit-edge"
SERVICE = "traefik"
CONFIG_LABEL = "davit.edge.config"
# No app can have this name, since names of apps begin with a letter.
EDGE_FILE = "_edge.yml"
MARK_HEADER = "Davit-Edge"
MARK_PATH = "/configuration"
CERTIFICATES_IN_CONTAINER = "/etc/traefik/certs"

_LISTENER = re.compile(r"^\S+\s+\d+\s+\d+\s+\S+:(?P<port>\d+)\s")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PROCESS = re.compile(r'\("(?P<name>[^"]*)",pid=(?P<pid>\d+)')


@dataclass(frozen=True)
class Container:
    """The edge's container as the engine reports it. ``config`` is the hash that it was made from."""

    id: str
    config: str
    running: bool
    pid: int
    paused: bool = False


@dataclass(frozen=True)
class Listener:
    """A process that listens on a TCP port of the host."""

    port: int
    process: str
    pid: int


@dataclass(frozen=True)
class Certificate:
    """A certificate chain with its key, in PEM, under a name made of the content."""

    chain: str
    key: str

    @property
    def name(self) -> str:
        # A renewed certificate gets a new name: the edge reads files again only when a route file changes. The key
        # counts as well, since a certificate can be issued anew for another key with all else equal.
        return hashlib.sha256(f"{self.chain}\0{self.key}".encode()).hexdigest()[:16]


def render(document: Mapping[str, Any]) -> str:
    """``document`` as JSON, which is also YAML: equal settings are equal bytes."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def compose_document(service: Mapping[str, Any], static: Mapping[str, Any], authority: str = "") -> dict[str, Any]:
    """The edge's Compose file. Its label names the whole configuration that a container is made from."""
    config = hashlib.sha256((render(service) + render(static) + authority).encode()).hexdigest()
    labels = {**service.get("labels", {}), CONFIG_LABEL: config}
    return {"name": PROJECT, "services": {SERVICE: {**service, "labels": labels}}}


def wanted_config(compose: Mapping[str, Any]) -> str:
    """The label of a document made by ``compose_document``."""
    return str(compose["services"][SERVICE]["labels"][CONFIG_LABEL])


def edge_document(
    given: Mapping[str, Any], certificates: Sequence[Certificate], entry_point: str
) -> tuple[dict[str, Any], str]:
    """Traefik's dynamic configuration for what is the edge's own and no app's, and the mark by which it is known.

    The mark is a hash of it. The running edge answers with it on ``entry_point``: nothing else tells that it has taken
    over a file, or that it has thrown away all of them because one could not be read. The first certificate also serves
    names that none of them is for.
    """
    document = {section: dict(content) for section, content in given.items()}
    if certificates:
        pairs = [
            {
                "certFile": f"{CERTIFICATES_IN_CONTAINER}/{certificate.name}.crt",
                "keyFile": f"{CERTIFICATES_IN_CONTAINER}/{certificate.name}.key",
            }
            for certificate in certificates
        ]
        store = {"stores": {"default": {"defaultCertificate": pairs[0]}}}
        document["tls"] = {**document.get("tls", {}), "certificates": pairs, **store}
    mark = hashlib.sha256(render(document).encode()).hexdigest()[:16]
    http = document.setdefault("http", {})
    router = {
        "entryPoints": [entry_point],
        "rule": f"Path(`{MARK_PATH}`)",
        "service": "ping@internal",
        "middlewares": ["davit-mark"],
    }
    http["routers"] = {**http.get("routers", {}), "davit-mark": router}
    header = {"headers": {"customResponseHeaders": {MARK_HEADER: mark}}}
    http["middlewares"] = {**http.get("middlewares", {}), "davit-mark": header}
    return document, mark


def decide(
    container: Container | None, config: str, answers: bool, *, differs: bool, waits_for: str = ""
) -> tuple[Action, str]:
    """What to do to the edge, and why in a person's words.

    ``answers`` says whether the edge's ping answers, ``differs`` whether a file is not as wanted or was not taken over,
    and ``waits_for`` is the Compose project that has the edge's ports and may keep them. Recreating cuts the traffic of
    all apps for a moment, so it is done for a reason only.
    """
    action, reason = _for_container(container, config, answers)
    if action == "none" and differs:
        return "reload", "what it reads while it runs changed"
    if action != "none" and waits_for:
        return "wait", f"the Compose project '{waits_for}' has its ports until a deploy takes that project's place"
    return action, reason


def _for_container(container: Container | None, config: str, answers: bool) -> tuple[Action, str]:
    if container is None:
        return "start", "there is no edge yet"
    if not container.running:
        return "start", "the edge is stopped"
    if container.config != config:
        return "recreate", "its own configuration or image changed"
    if not answers:
        return "recreate", "it is paused" if container.paused else "it runs but does not answer its ping"
    return "none", "it runs with this configuration"


def listeners(text: str, ports: Iterable[int]) -> list[Listener]:
    """Who listens on ``ports``, read from ``ss -Hltnp``; one entry for each port and process."""
    wanted = set(ports)
    found: dict[tuple[int, int], Listener] = {}
    for line in text.splitlines():
        match = _LISTENER.match(line)
        if match is None or int(match["port"]) not in wanted:
            continue
        port = int(match["port"])
        processes = [(m["name"], int(m["pid"])) for m in _PROCESS.finditer(line)] or [("", 0)]
        for name, pid in processes:
            found[port, pid] = Listener(port, name, pid)
    return [found[key] for key in sorted(found)]


def foreign(all_listeners: Iterable[Listener], container: Container | None) -> list[Listener]:
    """Those listeners that are not the edge itself."""
    own = container.pid if container is not None and container.running else -1
    return [listener for listener in all_listeners if listener.pid != own]


def describe(listener: Listener, unit: str, containers: Mapping[str, str]) -> str:
    """What is said of who holds a port, and what to do about it. ``containers`` maps those that publish it to their
    Compose project, '' for none."""
    if containers:
        names, projects = " and ".join(containers), sorted(set(containers.values()) - {""})
        adopt = (
            f", or have a deploy take that stack over with its data: compose_release_adopt: {{project: {projects[0]}}}"
            if len(projects) == 1
            else ""
        )
        return (
            f"Port {listener.port} is published by the container {names}. Stop it"
            f" (docker stop {' '.join(containers)}){adopt}."
        )
    if not listener.process:
        return f"Port {listener.port} is held by a process outside this namespace; see 'ss -ltnp' as root."
    who = f"{listener.process} (pid {listener.pid})"
    if unit:
        return f"Port {listener.port} is held by {who} of {unit}. Stop it: systemctl disable --now {unit}."
    return f"Port {listener.port} is held by {who}. Stop it, or give it another port."


def unit_of(cgroup: str) -> str:
    """The systemd service of a process, from the text of ``/proc/<pid>/cgroup``; '' when it has none."""
    for line in cgroup.splitlines():
        name = line.rsplit("/", 1)[-1]
        if name.endswith(".service"):
            return name
    return ""


def last_words(log: str, lines: int = 5) -> str:
    """What a person needs of Traefik's JSON log: its last errors, else its last lines."""
    entries = []
    for line in _ESCAPE.sub("", log).splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = line.strip()
        if entry:
            entries.append(entry)
    errors = [e for e in entries if not isinstance(e, dict) or e.get("level") in ("error", "fatal", "panic")]
    chosen = [
        " ".join(str(e[key]) for key in ("message", "error") if key in e) if isinstance(e, dict) else e
        for e in errors or entries
    ]
    return "; ".join(dict.fromkeys(chosen[-lines:])) or "(nothing)"


def longest_gap(samples: Sequence[tuple[float, bool]]) -> float:
    """The longest time in seconds between two answers, from (when, answered) in order of time.

    A trailing silence counts up to the last sample; 0.0 when every sample was answered.
    """
    longest = 0.0
    silent_since: float | None = None
    last_answer: float | None = None
    for when, answered in samples:
        if answered:
            if silent_since is not None:
                longest = max(longest, when - (silent_since if last_answer is None else last_answer))
            silent_since, last_answer = None, when
        elif silent_since is None:
            silent_since = when
    if silent_since is not None and samples:
        longest = max(longest, samples[-1][0] - (silent_since if last_answer is None else last_answer))
    return longest
