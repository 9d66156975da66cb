"""Lines of the timeline: what they say of a step, and that nothing in them moves the cursor."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.plugin_utils import timeline
from ansible_collections.davit.ec2.plugins.plugin_utils.report import Step
from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import Running

OLD, NEW = "20260101-120000-aaaaaaa-1", "20260101-120500-bbbbbbb-2"
HOSTILE = "a\x1b[2J\rb\nc\u202ed\x9b1m"


def texts(action: str, result: dict[str, Any], *, failed: bool = False, reverting: bool = True) -> list[str]:
    """Of a step that began 60 s after the run and took 5 s."""
    step = Step("web-1", f"davit.ec2.{action}", 60.0, 65.0, failed, result)
    return [line.text for line in timeline.step_lines(step, 0.0, 6, reverting=reverting)]


def lap(phase: str, began: float, seconds: float) -> dict[str, Any]:
    return {"phase": phase, "began": began, "seconds": seconds}


CHECKS = [{"name": "ready", "verdict": "pass"}, {"name": "golden set", "verdict": "pass"}]
IMAGE = {"service": "api", "before": "a/b:v1@sha256:1", "after": "a/b:v2@sha256:2"}
PROBE = {"requests": 40, "failures": 0, "p50_ms": 1.4, "p95_ms": 2.6, "p99_ms": 3.0}


@pytest.mark.parametrize(
    ("action", "result", "lines"),
    [
        (
            "release_preflight",
            {"version": "v2", "live": OLD},
            [f"   1:00  web-1   ✓ preflight          5.0 s  version v2, live is {OLD}"],
        ),
        (
            "release_preflight",
            {"version": "v2", "live": OLD, "up_to_date": True},
            ["   1:00  web-1   ✓ preflight          5.0 s  version v2, which is live already"],
        ),
        (
            "release_fetch",
            {"release": NEW, "changes": {"images": [IMAGE]}},
            [f"   1:00  web-1   ✓ fetch              5.0 s  {NEW}; api v1 sha256:1 → v2 sha256:2"],
        ),
        (
            "release_fetch",
            {"release": ""},
            ["   1:00  web-1   ✓ fetch              5.0 s  the same content is live already"],
        ),
        (
            "release_start",
            {"verdict": {"checks": CHECKS}, "timings": [lap("start", 60, 2.0), lap("gate", 62, 3.0)]},
            [
                "   1:00  web-1   ✓ start              2.0 s",
                "   1:02  web-1   ✓ gate               3.0 s  2 of 2 checks passed",
            ],
        ),
        (
            "release_switch",
            {
                "verdict": {"checks": []},
                "timings": [lap("switch", 60, 1.0), lap("soak", 61, 3.5), lap("finish", 64.5, 0.5)],
                "ended": {"result": "succeeded", "live": NEW, "probe": PROBE},
            },
            [
                "   1:00  web-1   ✓ switch             1.0 s",
                "   1:01  web-1   ✓ soak               3.5 s",
                "   1:04  web-1   ✓ finish             0.5 s  40 requests, 0 failed, p50/p95/p99 1/3/3 ms",
            ],
        ),
        (
            "rollback",
            {"ended": {"result": "rolled back", "live": OLD}},
            [f"   1:00  web-1   ✓ revert             5.0 s  rolled back; {OLD} is live"],
        ),
        (
            "rollback",
            {"stopped": "deploy v3 by alice", "ended": {"result": "failed", "live": OLD}},
            [f"   1:00  web-1   ✓ revert             5.0 s  deploy v3 by alice was stopped; {OLD} is live"],
        ),
    ],
)  # fmt: skip
def test_a_line_for_each_phase(action: str, result: dict[str, Any], lines: list[str]) -> None:
    assert texts(action, result) == lines


def test_a_failure_has_its_whole_message_under_the_phase_in_which_it_came() -> None:
    checks = [*CHECKS, {"name": "p95", "verdict": "fail"}]
    laps = [lap("start", 60, 1.0), lap("gate", 61, 3.0), lap("revert", 64, 1.0)]
    ended = {"result": "failed", "live": OLD}
    found = texts(
        "release_start",
        {"msg": "fail: p95 is 300 ms\nSay more of it.", "verdict": {"checks": checks}, "timings": laps, "ended": ended},
        failed=True,
    )
    assert found == [
        "   1:00  web-1   ✓ start              1.0 s",
        "   1:01  web-1   ✗ gate               3.0 s  2 of 3 checks passed, not: p95",
        "           fail: p95 is 300 ms",
        "           Say more of it.",
        f"   1:04  web-1   ✓ revert             1.0 s  failed; {OLD} is live",
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_nothing_of_a_host_moves_the_cursor(failed: bool) -> None:
    result = {
        "msg": HOSTILE,
        "version": HOSTILE,
        "live": HOSTILE,
        "release": HOSTILE,
        "timings": [lap(HOSTILE, 60, 1.0)],
        "verdict": {"checks": [{"name": HOSTILE, "verdict": "fail"}]},
        "ended": {"result": HOSTILE, "live": HOSTILE},
    }
    for action in ("release_preflight", "release_fetch", "release_start", "release_switch", "rollback"):
        for line in texts(action, result, failed=failed):
            assert line.isprintable(), repr(line)
    others = [
        *(line.text for line in timeline.message_lines(HOSTILE, HOSTILE, several=True) or []),
        timeline.change_line(HOSTILE, HOSTILE, HOSTILE, [HOSTILE], check=False).text,
        timeline.role_line(HOSTILE, 1, 2, 0, 1, check=False).text,
        timeline.progress([Running(HOSTILE, HOSTILE, 0.0)], 9.0, 0.0, 200),
    ]
    assert [text for text in others if not text.isprintable()] == []


@pytest.mark.parametrize(
    ("bound", "exact", "said"),
    [
        (None, False, "12 s"),
        (30.0, True, "12 of about 30 s"),
        (10.0, True, "12 s"),
        (180.0, False, "12 s, at most 180 s"),
    ],
)
def test_the_live_line_says_no_more_than_is_known(bound: float | None, exact: bool, said: str) -> None:
    text = timeline.progress([Running("switch and soak", "web-1", 100.0, bound, exact)], 112.4, 52.0, 80)
    assert text == f"   1:00  web-1  … switch and soak  {said}"


def test_the_live_line_names_the_hosts_that_are_waited_for_and_never_wraps() -> None:
    running = [Running("fetch", f"web-{n}", 0.0) for n in range(1, 6)]
    assert "web-1, web-2, web-3 and 2 more  … fetch" in timeline.progress(running, 5.0, 0.0, 200)
    assert len(timeline.progress(running, 5.0, 0.0, 20)) == 19
    assert timeline.progress([], 5.0, 0.0, 80) == ""
    assert timeline.progress(running, 5.0, 0.0, 0) == ""


def test_a_task_that_changed_something_is_one_line() -> None:
    line = timeline.change_line("web-1", "docker_engine", "Install the packages", list("abcdef"), check=False)
    assert line.text == "         changed  web-1  docker_engine : Install the packages (a, b, c, d and 2 more)"
    assert "would change  web-1  Stop it" in timeline.change_line("web-1", "", "Stop it", [], check=True).text


@pytest.mark.parametrize(
    ("message", "several", "lines"),
    [
        ("is live", False, ["is live"]),
        ("is live", True, ["web-1: is live"]),
        ("two\nlines\n", True, ["two", "lines"]),
        (["a", "", "b"], True, ["a", "", "b"]),
        ({"a": 1}, False, None),
        ([{"a": 1}], False, None),
        (3, False, None),
    ],
    ids=str,
)
def test_what_a_play_says(message: Any, several: bool, lines: list[str] | None) -> None:
    found = timeline.message_lines(message, "web-1", several)
    assert (None if found is None else [line.text for line in found]) == lines


def test_a_role_says_what_it_came_to() -> None:
    assert timeline.role_line("edge", 61.0, 8.3, 1.0, 0, check=False).text.split() == [
        *("1:00", "edge", "8.3", "s", "nothing", "to", "change"),
    ]
    assert timeline.role_line("edge", 61.0, 8.3, 1.0, 2, check=True).text.endswith("2 would change")
