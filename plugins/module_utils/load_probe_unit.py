# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The load probe of a deploy as a unit of the host: it asks through the edge from start to end, and lives
on whatever becomes of the step that started it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import edge, store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.gate_run import TRAFFIC
from ansible_collections.davit.ec2.plugins.module_utils.gates import Look
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.load_probe import Target
from ansible_collections.davit.ec2.plugins.module_utils.release import Release, parse_gate

LIMIT = 24 * 3600
"""Seconds after which a probe that nobody stopped ends. Longer than a soak: what has ended is no evidence."""
STALE = 10.0
"""Seconds without a word after which the probe counts as gone; it writes every second."""


def target_of(release: Release, tls: bool) -> Target:
    """What is asked: the readiness check of the first route, as a client would ask it."""
    endpoint = release.endpoints[0]
    checks = [c for c in parse_gate(release.gate, release.endpoints).http if c.url.startswith(endpoint.url)]
    ready = next((c for c in checks if c.readiness and c.method == "GET"), None)
    path = ready.url[len(endpoint.url) :] if ready else endpoint.route.path
    if not path.startswith(endpoint.route.path):
        path = endpoint.route.path
    address = edge.address_of(endpoint, tls)
    return Target(
        address[: len(address) - len(endpoint.route.path)] + path, headers=dict(ready.headers) if ready else {}
    )


def unit_of(layout: AppLayout) -> str:
    return f"davit-probe-{layout.app}"


def start(layout: AppLayout, release: Release, rate: float) -> None:
    """Begin to ask ``rate`` times a second. A host without systemd goes without: a probe must not stop a deploy."""
    if rate <= 0:
        return
    stop(layout)
    store.make_private(layout.probe.parent)
    # In a file: the headers of a check may hold a secret, and arguments are for all to see.
    store.write_json(_target_file(layout), target_of(release, edge.uses_tls(layout)).to_json())
    with contextlib.suppress(CommandError):
        run(
            [
                *("systemd-run", "--quiet", "--collect", f"--unit={unit_of(layout)}"),
                *(f"--property=RuntimeMaxSec={LIMIT}", "--property=MemoryMax=128M", "--property=TimeoutStopSec=10"),
                *("/usr/bin/python3", str(layout.program), "probe"),
                *(str(layout.probe), str(rate), str(LIMIT), str(_target_file(layout))),
            ],
            timeout=10,
        )


def await_first_answer(layout: AppLayout, seconds: float = 10.0) -> None:
    """Return once the probe has had a good answer, or after ``seconds``: only from then on it counts what
    is lost, and what is about to be stopped has to be seen while it still answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if store.read_json(layout.probe).get("requests"):
            return
        time.sleep(0.1)


def _target_file(layout: AppLayout) -> Path:
    return layout.probe.with_suffix(".target")


def stop(layout: AppLayout) -> dict[str, Any]:
    """End the probe and return what it saw; {} when there was none. One that has not written yet ends as well."""
    with contextlib.suppress(CommandError):
        run(["systemctl", "stop", f"{unit_of(layout)}.service"], timeout=20)
    seen = store.read_json(layout.probe)
    for path in (layout.probe, _target_file(layout)):
        path.unlink(missing_ok=True)
    return seen


def _age(path: Path) -> float:
    """Seconds since ``path`` was written, as the clock of the files has it."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def look(layout: AppLayout, failures: int) -> Look | None:
    """What users see right now, as the probe has it; None without a probe."""
    seen = store.read_json(layout.probe)
    if not seen.get("requests"):
        return None
    if seen.get("ended") or _age(layout.probe) > STALE:
        return Look(TRAFFIC, False, "the load probe tells nothing any more", pending=True)
    lost = int(seen.get("failed_in_a_row", 0))
    if lost >= failures:
        return Look(TRAFFIC, False, f"{lost} requests in a row failed ({seen.get('first_failure')})", hopeless=True)
    return Look(TRAFFIC, True, f"{seen['requests']} requests, {seen['failures']} failed")
