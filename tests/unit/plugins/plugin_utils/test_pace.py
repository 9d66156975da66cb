"""How long the steps of a rollout may take."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.rollout import lease
from ansible_collections.davit.ec2.plugins.plugin_utils import pace


@pytest.mark.parametrize(
    ("gate", "seconds"),
    [
        ({}, 120),
        ({"timeout": 180}, 360),
        ({"timeout": "20", "golden": {"file": "golden.jsonl"}}, 60),
        ({"golden": {}}, 120),
        ({"timeout": None, "golden": None}, 120),
    ],
)
def test_a_gate_waits_for_readiness_for_data_and_for_the_model(gate: dict[str, Any], seconds: float) -> None:
    assert pace.judged_seconds(gate) == seconds


@pytest.mark.parametrize(
    ("hosts", "pull", "canary", "expected"),
    [
        (["a"], 900, [], 60),
        (["a", "b"], 900, [], 960),
        (["a", "b"], 100, [], 60 + 120 + 120 + 30),
        (["a", "b"], "100", [{"weight": 10, "seconds": "60"}, {"weight": 50}], 60 + 120 + 120 + 30 + 60 + 30),
    ],
)
def test_the_lock_of_a_fleet_outlasts_the_longest_wait(
    hosts: list[str], pull: Any, canary: list[dict[str, Any]], expected: int
) -> None:
    assert lease("60", hosts, pull, {}, 120, "30", canary) == expected
