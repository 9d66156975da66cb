# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Seconds that the steps of a rollout may take: for the lease that has to outlast them, and for whoever watches.

Variables that were given on the command line come as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.gates import Gate


def judged_seconds(gate: Mapping[str, Any]) -> float:
    """At most, for a gate as it is declared: for readiness, for data, and for the model, each within its timeout."""
    return float(gate.get("timeout") or Gate.timeout) * (3 if gate.get("golden") else 2)


def turn_seconds(
    gate: Mapping[str, Any], start_timeout: float | str, soak_seconds: float | str, canary: Sequence[Mapping[str, Any]]
) -> float:
    """At most, for one batch from the start of its candidate to the end of its soak."""
    shares = sum(float(share.get("seconds", 30)) for share in canary)
    return float(start_timeout) + judged_seconds(gate) + float(soak_seconds) + shares


def lease_seconds(own: float | str, hosts: int, pull_timeout: float | str, turn: float) -> int:
    """How long the lock outlives a step. A host of a fleet waits for the slowest one between two steps, or for a batch,
    so there it spans the longer one."""
    return int(float(own) + (max(float(pull_timeout), turn) if hosts > 1 else 0))
