"""The table of a drill, and what it counts as missed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.drill_report import drill_misses, drill_report


def outcome(kind: str, **more: Any) -> dict[str, Any]:
    told = {
        "kind": kind,
        "reached": True,
        "unharmed": True,
        "caught": True,
        "why": "ready: status 503",
        "expected": "failed",
        "result": "failed",
        "seconds_to_detect": 60.12,
        "seconds_to_recover": 0.8,
        "requests": 1400,
        "lost": 0,
        "longest_gap_ms": 0,
    }
    return {**told, **more}


UNREACHED = {"reached": False, "caught": False, "why": "the deploy ended before there was a candidate"}


def test_the_columns_stand_below_their_heads() -> None:
    head, first, second = drill_report({"a": [outcome("never_ready"), outcome("slow", seconds_to_detect=None)]})
    at = head.index("outcome")
    assert first[at:].startswith("caught, failed")
    assert second[at:].startswith("caught, failed")
    for title, cell in {"detected": "60.12 s", "recovered": "0.8 s", "requests": "1400", "what was": "ready:"}.items():
        assert first[head.index(title) :].startswith(cell)
    assert second[head.index("detected") :].startswith("- ")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "caught, failed"),
        ({"caught": False}, "NOT CAUGHT"),
        ({"caught": False, "unharmed": False, "reached": False}, "NOT CAUGHT"),
        (UNREACHED, "not reached"),
    ],
)
def test_each_outcome_has_its_word(more: dict[str, Any], words: str) -> None:
    assert words in drill_report({"a": [outcome("slow", **more)]})[1]


def test_what_was_caught_is_no_miss() -> None:
    assert drill_misses({"a": [outcome("slow")], "b": [outcome("slow", **UNREACHED)]}) == []


@pytest.mark.parametrize(
    "outcomes",
    [
        {"a": [outcome("slow", caught=False, why="it passed")]},
        {"a": [outcome("slow", **UNREACHED)]},
        # Caught elsewhere, but this host's live release has changed.
        {"a": [outcome("slow")], "b": [outcome("slow", **{**UNREACHED, "unharmed": False})]},
        {"a": [outcome("crash"), outcome("slow", caught=False)]},
    ],
)
def test_a_miss_is_named(outcomes: dict[str, list[dict[str, Any]]]) -> None:
    (miss,) = drill_misses(outcomes)
    assert "slow: " in miss
