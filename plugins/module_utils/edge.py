# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The edge of the host: its route files, and which release it sends traffic to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import routes
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer
from ansible_collections.davit.ec2.plugins.module_utils.http_client import ask
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.routes import CANARY_HEADER, RELEASE_HEADER, Endpoint

TLS_ENTRY_POINT = "websecure"
PING = "http://127.0.0.1:8099/ping"
COMPOSE = "compose.yaml"
"""The edge's own Compose file, in its directory."""


def is_up() -> bool:
    return ask(PING, timeout=2).status == 200


def uses_tls(layout: AppLayout) -> bool:
    """Whether clients come by HTTPS. That is the edge's own affair, so it is asked at the time and not recorded."""
    try:
        static = json.loads(layout.edge_static.read_bytes())
    except (OSError, ValueError):
        return False
    return TLS_ENTRY_POINT in static.get("entryPoints", {})


def route_texts(directory: Path, apart: str) -> dict[str, str]:
    """Name to content of all that the edge loads from ``directory``, but for the file ``apart``."""
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(directory.glob("*"))
        if path.suffix in (".yml", ".yaml", ".toml") and path.name != apart
    }


def read_routes(layout: AppLayout) -> dict[str, dict[str, Any]]:
    """App to route document for every *other* app of this host.

    Raises DavitError while any of them is broken: the edge ignores the whole directory at its next
    start because of it, so nothing is switched until it is mended. This app's own file is about to
    be replaced.
    """
    texts = route_texts(layout.routes, layout.route.name)
    broken = routes.broken_routes(texts)
    if broken:
        named = "; ".join(f"{layout.routes}/{name}: {why}" for name, why in broken.items())
        raise DavitError(
            f"A route file of the edge is broken: {named}. At its next start the edge would serve no"
            " app at all, so nothing is switched. Deploy that app again, or delete the file if the"
            " app is gone.",
            broken_routes=broken,
        )
    return {Path(name).stem: json.loads(text) for name, text in texts.items()}


def serves_others(layout: AppLayout) -> bool:
    """Whether another app of this host has a route, also one that cannot be read."""
    # The names of the edge's own files begin with '_', those of apps with a letter.
    return any(path != layout.route and not path.name.startswith("_") for path in layout.routes.glob("*.yml"))


def read_route(layout: AppLayout) -> dict[str, Any] | None:
    """This app's route document; None when there is none or it cannot be read."""
    try:
        document = json.loads(layout.route.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def put_route(layout: AppLayout, document: dict[str, Any] | None) -> None:
    """Replace this app's route in one step; None takes it away.

    The file is written outside the watched directory and parsed again before it is renamed into
    it, so that the edge never sees half of it. On a full disk it is the one that ``keep_way_back``
    has written, if that is the same.
    """
    if document is None:
        layout.route.unlink(missing_ok=True)
        return
    text = _text(document)
    if routes.broken_routes({layout.app: text}):
        raise DavitError(f"The new route of {layout.app} would not parse; the old one stays.")
    staged: Path = layout.route_stage / layout.route.name
    try:
        _write(staged, text)
    except OSError:
        if not layout.way_back.is_file() or layout.way_back.read_text(encoding="utf-8") != text:
            raise
        staged = layout.way_back
    staged.rename(layout.route)


def keep_way_back(layout: AppLayout, document: dict[str, Any]) -> None:
    """Have the route on disk that a return puts in place, while there is room: the release that comes may fill it."""
    _write(layout.way_back, _text(document))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def address_of(endpoint: Endpoint, tls: bool) -> str:
    host = endpoint.route.hosts[0] if endpoint.route.hosts else "127.0.0.1"
    return f"{'https' if tls else 'http'}://{host}{endpoint.route.path}"


def ask_edge(endpoint: Endpoint, tls: bool) -> Answer:
    """One question through the edge, as a client asks it."""
    return ask(address_of(endpoint, tls), method="HEAD", timeout=5, address="127.0.0.1")


def answering_release(endpoint: Endpoint, tls: bool) -> str | None:
    """Which release the edge says it is; None when it names none."""
    return ask_edge(endpoint, tls).headers.get(RELEASE_HEADER)


def await_canary(endpoints: Sequence[Endpoint], value: str, tls: bool, timeout: float) -> None:
    """Return once every route says that the canary has its share. Raises DavitError."""
    _await(endpoints, tls, timeout, 1, CANARY_HEADER, value)


def await_release(endpoints: Sequence[Endpoint], release_id: str, tls: bool, timeout: float, in_a_row: int = 3) -> None:
    """Return once every route was answered by ``release_id`` several times in a row.

    Raises DavitError with what answered instead when that has not come within ``timeout`` seconds.
    """
    _await(endpoints, tls, timeout, in_a_row, RELEASE_HEADER, release_id)


def _await(endpoints: Sequence[Endpoint], tls: bool, timeout: float, in_a_row: int, header: str, wanted: str) -> None:
    deadline = time.monotonic() + timeout
    for endpoint in endpoints:
        agreed = 0
        while agreed < in_a_row:
            answer = ask_edge(endpoint, tls)
            seen = answer.headers.get(header)
            agreed = agreed + 1 if seen == wanted and answer.status < 502 else 0
            if agreed < in_a_row and time.monotonic() > deadline:
                what = answer.error or f"{seen or 'none'}, status {answer.status}"
                raise DavitError(
                    f"Through the edge, {address_of(endpoint, tls)} does not answer with {header} {wanted}"
                    f" within {timeout:g} s, but: {what}."
                )
            if agreed < in_a_row:
                # The edge applies a file within its throttle time of 100 ms and tells no one.
                time.sleep(0.05)
