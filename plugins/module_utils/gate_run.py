# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Looks at a candidate until the gate is decided, and keeps the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, Gate, Tally

LookContainers = Callable[[], Sequence[Container]]
Ask = Callable[[gates.HttpCheck], Answer]
Clock = Callable[[], float]


def run_gate(
    gate: Gate,
    services: Sequence[str],
    containers: LookContainers,
    ask: Ask,
    *,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The verdict over ``services`` and the HTTP checks of ``gate``.

    Returns ``verdict`` (pass, fail, inconclusive), ``cause`` (empty on a pass), ``seconds`` and the
    evidence of each check. Containers are looked at before each round of requests, so that a dead
    process is named as such and not as a refused connection.
    """
    start = clock()
    tallies = {f"container {s}": Tally(f"container {s}") for s in services}
    for check in gate.http:
        tallies[check.name] = Tally(check.name, readiness=check.readiness)
    restarts: dict[str, int] = {}
    while True:
        seen = containers() if services else ()
        for container in seen:
            restarts.setdefault(container.id, container.restarts)
        for look in gates.judge_containers(services, seen, restarts):
            tallies[look.name].add(look)
        if not any(t.hopeless for t in tallies.values()):
            for check in gate.http:
                tallies[check.name].add(gates.judge_answer(check, ask(check)))
        elapsed = clock() - start
        verdict = gates.decide(list(tallies.values()), gate, elapsed)
        if verdict is not None:
            return _verdict(verdict, list(tallies.values()), gate, elapsed)
        pause(gate.interval)


def _verdict(verdict: str, tallies: Sequence[Tally], gate: Gate, elapsed: float) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "cause": "" if verdict == gates.PASS else gates.cause(tallies, gate, elapsed),
        "seconds": round(elapsed, 2),
        "checks": [t.to_json(gate.successes) for t in tallies],
    }
