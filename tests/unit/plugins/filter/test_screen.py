"""Text of containers, registries and servers that a playbook shows: a terminal obeys nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.doctor_report import doctor_report
from ansible_collections.davit.ec2.plugins.filter.drill_report import drill_misses, drill_report
from ansible_collections.davit.ec2.plugins.filter.rollout import message

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\u202ec\x9b1m"
CLEAN = "a�[2J�]0;owned�b�c�1m"
FINDING = {"what": HOSTILE, "evidence": HOSTILE, "remedy": HOSTILE}
OUTCOME: dict[str, Any] = {
    "kind": "slow",
    "result": "failed",
    "reached": True,
    "unharmed": True,
    "caught": False,
    "why": HOSTILE,
    **dict.fromkeys(("seconds_to_detect", "seconds_to_recover", "requests", "lost", "longest_gap_ms")),
}


@pytest.mark.parametrize(
    ("shown", "times"),
    [
        (message({"web-1": {"logs": {HOSTILE: [HOSTILE, "bye"]}}}, HOSTILE, [HOSTILE]), 5),
        (doctor_report([FINDING, FINDING], "web-1"), 6),
        ("\n".join(drill_report({"web-1": [OUTCOME]})), 1),
        ("\n".join(drill_misses({"web-1": [OUTCOME]})), 1),
    ],
    ids=["a failed rollout", "the doctor", "the table of drills", "a drill that was not caught"],
)
def test_nothing_of_others_moves_the_cursor(shown: str, times: int) -> None:
    assert [line for line in shown.splitlines() if not line.isprintable()] == []
    assert shown.count(CLEAN) == times


@pytest.mark.parametrize(
    ("failed", "cause", "told", "text"),
    [
        (
            {"a": {"logs": {"api": ["one", "two"], "db": ["three"]}}, "b": {"logs": {"api": ["four"]}}},
            "shop: never ready",
            ["a: failed", "b: failed"],
            "shop: never ready\na: failed\nb: failed\napi | one\napi | two\ndb | three",
        ),
        ({"a": {"logs": {}}}, "no", ["a: failed"], "no\na: failed"),
        ({"a": {}}, "no", [], "no"),
        ({}, "no", [], "no"),
    ],
)
def test_a_failed_rollout_is_told_with_the_first_host_s_last_words(
    failed: dict[str, Any], cause: str, told: list[str], text: str
) -> None:
    assert message(failed, cause, told) == text
