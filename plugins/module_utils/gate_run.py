# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Looks at a candidate until the gate is decided, and keeps the evidence."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.command import GiveUp
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, Gate, Look, Tally

LookContainers = Callable[[], Sequence[Container]]
Ask = Callable[[gates.HttpCheck], Answer]
Clock = Callable[[], float]
LookOthers = Callable[[], Sequence[Look]]

MEANWHILE = 0.5
"""Seconds between two looks at the containers while answers are awaited."""

TRAFFIC = "traffic through the edge"


def run_gate(
    gate: Gate,
    services: Sequence[str],
    containers: LookContainers,
    ask: Ask,
    *,
    interrupted: GiveUp = lambda: None,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The verdict over ``services`` and the HTTP checks of ``gate``.

    Returns ``verdict`` (pass, fail, inconclusive), ``cause`` (empty on a pass), ``seconds`` and the
    evidence of each check. Containers are looked at before each round of requests, so that a dead
    process is named as such and not as a refused connection. ``interrupted`` gives the reason why the
    gate shall end at once, if there is one.
    """
    start = clock()
    round_of_looks = _Round(gate, services, containers, ask)
    while True:
        tallies = round_of_looks.look()
        elapsed = clock() - start
        verdict = gates.decide(tallies, gate, elapsed)
        if verdict is not None:
            return _verdict(verdict, tallies, gate, elapsed)
        stopped = interrupted()
        if stopped:
            return {**_verdict(gates.FAIL, tallies, gate, elapsed), "cause": stopped}
        pause(gate.interval)


def run_soak(
    gate: Gate,
    services: Sequence[str],
    containers: LookContainers,
    ask: Ask,
    seconds: float,
    *,
    others: LookOthers = lambda: (),
    interrupted: GiveUp = lambda: None,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The verdict over a release that serves, watched for ``seconds``; shaped as that of a gate.

    It fails at the first breach, whatever comes after. What could not be looked at once, or does not
    hold at the end, makes it inconclusive: silence is no evidence. ``others`` are looks at more than
    containers and answers: the traffic through the edge, and metrics.
    """
    start = clock()
    round_of_looks = _Round(gate, services, containers, ask)
    while True:
        tallies = round_of_looks.look(others())
        elapsed = clock() - start
        stopped = interrupted()
        if stopped:
            return {**_verdict(gates.FAIL, tallies, gate, elapsed), "cause": stopped}
        verdict = gates.decide_soak(tallies, gate, elapsed, seconds)
        if verdict is not None:
            cause = gates.soak_cause(verdict, tallies, gate)
            return {**_verdict(verdict, tallies, gate, elapsed), "cause": cause}
        left = seconds - elapsed
        pause(min(gate.interval, max(left, 0.05)) if left > 0 else gate.interval)


class _Round:
    """Looks at everything once per call, and keeps the tally."""

    def __init__(self, gate: Gate, services: Sequence[str], containers: LookContainers, ask: Ask) -> None:
        self._gate, self._services, self._containers, self._ask = gate, services, containers, ask
        self._restarts: dict[str, int] = {}
        self._tallies = {f"container {s}": Tally(f"container {s}", engines=True) for s in services}
        for check in gate.http:
            self._tallies[check.name] = Tally(check.name, readiness=check.readiness)

    def look(self, others: Sequence[Look] = ()) -> list[Tally]:
        self._look_at_containers()
        if not self._hopeless:
            self._ask_all()
        for other in others:
            self._tallies.setdefault(other.name, Tally(other.name)).add(other)
        return list(self._tallies.values())

    @property
    def _hopeless(self) -> bool:
        return any(t.hopeless for t in self._tallies.values())

    def _ask_all(self) -> None:
        """Ask everything at once, and go on looking at the containers while answers are awaited: a
        process that died must be told at once, not when a request to another one has timed out."""
        answers: queue.SimpleQueue[tuple[gates.HttpCheck, Answer]] = queue.SimpleQueue()
        for check in self._gate.http:
            # Daemons: an answer that nobody waits for any more must not hold up the end.
            threading.Thread(target=lambda c: answers.put((c, self._ask(c))), args=(check,), daemon=True).start()
        awaited = len(self._gate.http)
        while awaited:
            try:
                check, answer = answers.get(timeout=MEANWHILE)
            except queue.Empty:
                self._look_at_containers()
                if self._hopeless:
                    return
                continue
            awaited -= 1
            self._tallies[check.name].add(gates.judge_answer(check, answer))

    def _look_at_containers(self) -> None:
        if not self._services:
            return
        try:
            seen = self._containers()
        except DavitError:
            # The engine is being restarted, say: that tells nothing about the containers.
            return
        for container in seen:
            self._restarts.setdefault(container.id, container.restarts)
        for look in gates.judge_containers(self._services, seen, self._restarts):
            self._tallies[look.name].add(look)


def _verdict(verdict: str, tallies: Sequence[Tally], gate: Gate, elapsed: float) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "cause": "" if verdict == gates.PASS else gates.cause(tallies, gate, elapsed),
        "seconds": round(elapsed, 2),
        "checks": [t.to_json(gate.successes) for t in tallies],
    }
