# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a run came to: out of its steps, and in words that cannot break out of their place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.plugin_utils import report
from ansible_collections.davit.ec2.plugins.plugin_utils.report import Report, Step
from ansible_collections.davit.ec2.plugins.plugin_utils.report_markdown import fitted, markdown, sparkline
from ansible_collections.davit.ec2.plugins.plugin_utils.report_page import as_html

OLD, NEW = "20260101-120000-aaaaaaa-1", "20260101-120500-bbbbbbb-2"
PROBE = {"requests": 200, "failures": 0}
CHECK = {"name": "ready", "verdict": "pass", "observed": "200 as expected"}
BAD_CHECK = {"name": "golden set", "verdict": "fail", "observed": "all 0.1 instead of at least 0.9"}


def step(action: str, began: float, result: dict[str, Any], host: str = "web-1", *, failed: bool = False) -> Step:
    return Step(host, f"davit.ec2.{action}", began, began + 2, failed, result, app="shop")


def ended(result: str, live: str) -> dict[str, Any]:
    return {"ended": {"result": result, "live": live, "probe": PROBE, "can_return_to": [OLD]}}


PREFLIGHT = step("release_preflight", 0, {"version": "v2", "live": OLD, "up_to_date": False, "token": "t0ken"})
FETCH = step("release_fetch", 2, {"release": NEW, "images": {"api": "ghcr.io/a/b@sha256:1"}})
START = step("release_start", 4, {"verdict": {"verdict": "pass", "checks": [CHECK]}})
SWITCH = step("release_switch", 6, ended("succeeded", NEW))


def made(*steps: Step) -> Report:
    found = report.make(steps)
    assert found is not None
    return found


def test_a_good_deploy() -> None:
    seen = made(PREFLIGHT, FETCH, START, SWITCH)
    assert report.headline(seen) == "deploy of shop v2: succeeded on 1 host(s) in 8 s"
    (host,) = seen.hosts
    assert host.phases == {"preflight": 2.0, "fetch": 2.0, "start and gate": 2.0, "switch and soak": 2.0}
    assert (host.live, host.release, host.can_return_to, host.probe) == (NEW, NEW, [OLD], PROBE)
    assert host.checks == [{"phase": "gate", **CHECK}]


def test_a_deploy_that_its_gate_refuses() -> None:
    verdict = {"verdict": "fail", "checks": [CHECK, BAD_CHECK]}
    said = {"msg": "fail: golden set", "verdict": verdict, "logs": {"api": ["boom"]}, **ended("failed", OLD)}
    seen = made(PREFLIGHT, FETCH, step("release_start", 4, said, failed=True))
    (host,) = seen.hosts
    assert (seen.result, host.failed_in, host.cause, host.live) == ("failed", "start and gate", "fail: golden set", OLD)
    text = markdown(seen)
    assert "| ✗ | gate | golden set | all 0.1 instead of at least 0.9 |" in text
    assert "boom" in text


def test_what_is_endless_is_told_in_short() -> None:
    logs = {"api": ["x" * 10_000, "y" * 500]}
    seen = made(PREFLIGHT, step("release_start", 4, {"msg": "z" * 10_000, "logs": logs}, failed=True))
    text = markdown(seen)
    assert "x" * 500 + " … (9500 characters more)\n" + "y" * 500 + "\n~~~" in text
    assert "z" * 4000 + " … (6000 characters more)\n~~~" in text
    assert seen.hosts[0].logs == logs, "the other forms have the whole"


@pytest.mark.parametrize(
    ("lines", "room", "kept"),
    [(3, 18, 3), (3, 17, 0), (100, 200, 18), (100, -5, 0)],
)
def test_a_summary_that_github_would_not_show_is_cut_at_a_line_and_says_so(lines: int, room: int, kept: int) -> None:
    line = "ü123\n"
    text = fitted(line * lines, room)
    assert len(text.encode()) <= max(room, 0)
    assert text.count(line) == kept
    assert text == line * lines or text == "" or text.startswith("*Too long for a summary")


def test_a_fleet_is_as_good_as_its_worst_host() -> None:
    reverted = step("rollback", 9, ended("rolled back", OLD))
    other = step("release_start", 4, {"msg": "no", **ended("failed", OLD)}, "web-2", failed=True)
    seen = made(PREFLIGHT, SWITCH, other, reverted)
    assert seen.result == "failed"
    assert {host.host: host.result for host in seen.hosts} == {"web-1": "rolled back", "web-2": "failed"}
    assert "revert" in seen.hosts[0].phases


def lap(phase: str, began: float, seconds: float) -> dict[str, Any]:
    return {"phase": phase, "began": began, "seconds": seconds}


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -7.5], ids=lambda seconds: f"the host's clock is {seconds:g} s ahead")
def test_a_step_is_told_in_its_phases_by_one_clock(ahead: float) -> None:
    """Two seconds by the controller, of which the host's part lies in the middle."""
    laps = [lap("start", 4.1 + ahead, 0.6), lap("gate", 4.7 + ahead, 1.2)]
    seen = made(step("release_start", 4, {"timings": laps}))
    (host,) = seen.hosts
    assert [p.phase for p in host.timeline] == ["start", "gate"]
    assert [p.began for p in host.timeline] == pytest.approx([4, 4.7])
    assert host.phases == {"start": 0.7, "gate": 1.3}


def test_a_failed_step_names_the_phase_and_not_the_way_back() -> None:
    laps = [lap("start", 4.0, 0.5), lap("gate", 4.5, 1.0), lap("revert", 5.5, 0.5)]
    seen = made(PREFLIGHT, step("release_start", 4, {"msg": "no", "timings": laps}, failed=True))
    (host,) = seen.hosts
    assert host.failed_in == "gate"
    assert [p.phase for p in host.timeline if p.failed] == ["gate"]
    assert list(host.phases) == ["preflight", "start", "gate", "revert"]


@pytest.mark.parametrize(
    "timings", [None, [], "x", [{}], [{"phase": "start"}], [{"phase": "a", "began": "b"}]], ids=str
)
def test_timings_that_nobody_understands_are_left_out(timings: Any) -> None:
    seen = made(step("release_start", 4, {"timings": timings}))
    assert seen.hosts[0].phases == {"start and gate": 2.0}


def test_what_an_earlier_deploy_left_is_part_of_preflight() -> None:
    laps = [lap("soak", 0.1, 1.0), lap("finish", 1.1, 0.5)]
    assert made(step("release_preflight", 0, {"timings": laps})).hosts[0].phases == {"preflight": 2.0}


SERIES = {
    "began": 1004.5,
    "width": 1,
    "requests": [20, 20, 20],
    "failures": [0, 3, 0],
    "p95_ms": [2.0, 8.0, None],
    "max_ms": [3.0, 12.0, None],
}
CHANGES = {
    "against": OLD,
    "version": ["v1", "v2"],
    "images": [{"service": "api", "before": "ghcr.io/a/b:v1@sha256:1111111111111111", "after": ""}],
    "environment": {"added": ["api: LOG_LEVEL"], "removed": [], "changed": []},
    "secrets": {"added": [], "removed": [], "changed": ["secret key"]},
    "compose": ["--- before", "+++ after", "@@ -1 +1 @@", "-  a: 1", "+  a: 2"],
    "unknown": [],
}


def full() -> Report:
    end = ended("succeeded", NEW)
    end["ended"]["probe"] = {**PROBE, "series": SERIES}
    laps = [lap("switch", 1006.0, 0.5), lap("soak", 1006.5, 1.5)]
    fetch = step("release_fetch", 2, {"release": NEW, "changes": CHANGES})
    return made(PREFLIGHT, fetch, START, step("release_switch", 6, {**end, "timings": laps}))


def test_the_series_is_by_this_clock_and_in_every_form() -> None:
    seen = full()
    (host,) = seen.hosts
    assert host.probe == PROBE, "the numbers alone"
    assert host.series["began"] == 4.5
    assert json.loads(seen.to_json())["hosts"][0]["series"]["failures"] == [0, 3, 0]
    assert "every 1 s: `▃█ ` 95 % of the answers in 2 to 8 ms, failures in 1 of them" in markdown(seen)
    page = as_html(seen)
    assert page.count("<polyline class='d'") == 2, "one for a wide screen and one for a narrow one"
    assert page.count("<title>3 failed</title>") == 2


@pytest.mark.parametrize(
    ("slowest", "labels"),
    [
        (0.4, ["0 ms", "0.5 ms", "1 ms"]),
        (12.0, ["0 ms", "10 ms", "20 ms"]),
        (1035.4, ["0 ms", "1 s", "2 s"]),
        (4999.0, ["0 ms", "3 s", "6 s"]),
    ],
)
def test_the_labels_of_the_axis_are_short_enough_for_its_margin(slowest: float, labels: list[str]) -> None:
    end = ended("succeeded", NEW)
    end["ended"]["probe"] = {**PROBE, "series": {**SERIES, "max_ms": [0.1, slowest, None]}}
    page = as_html(made(PREFLIGHT, step("release_switch", 6, end)))
    assert re.findall(r"text-anchor='end'>([^<]*)</text>", page)[:3] == labels


def test_what_changed_is_in_every_form() -> None:
    seen = full()
    assert json.loads(seen.to_json())["hosts"][0]["changes"] == CHANGES
    text = markdown(seen)
    assert "| image of api | v1 sha256:111111111111 → none |" in text
    assert "| environment, added | api: LOG\\_LEVEL |" in text
    assert "| secrets and configs, changed | secret key |" in text
    assert "\n~~~diff\n--- before\n" in text
    page = as_html(seen)
    for word in (
        "v1 sha256:111111111111 → none",
        "api: LOG_LEVEL",
        "<span class='add'>+  a: 2</span>",
        f"against {OLD}",
    ):
        assert word in page


def test_hosts_with_the_same_changes_are_told_once() -> None:
    first = step("release_fetch", 2, {"changes": CHANGES})
    second = step("release_fetch", 2, {"changes": {**CHANGES, "against": "another"}}, "web-2")
    other = step("release_fetch", 2, {"changes": {**CHANGES, "images": []}}, "web-3")
    seen = made(PREFLIGHT, first, second, other)
    assert [hosts for hosts, _changes in report.same_changes(seen)] == [["web-1", "web-2"], ["web-3"]]
    assert markdown(seen).count("### Changes on") == 2


def test_records_of_before_there_was_a_series_are_told_as_before() -> None:
    seen = made(PREFLIGHT, FETCH, START, SWITCH)
    assert seen.hosts[0].series == {}
    assert "<polyline" not in as_html(seen)
    assert "preflight 2.0 s" in as_html(seen)
    assert "every" not in markdown(seen)


@pytest.mark.parametrize(
    "broken", [{"requests": [1]}, {**SERIES, "p95_ms": [1.0]}, {**SERIES, "max_ms": None}, "x"], ids=str
)
def test_a_series_that_nobody_understands_does_not_cost_the_report(broken: Any) -> None:
    end = ended("succeeded", NEW)
    end["ended"]["probe"] = {**PROBE, "series": broken}
    seen = made(PREFLIGHT, step("release_switch", 6, end))
    assert "<polyline" not in as_html(seen)
    assert "requests" in markdown(seen)


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([None], " "),
        ([0.0, 0.0], "▁▁"),
        ([1.0, None, 8.0], "▂ █"),
        ([1.0] * 119 + [9.0], "▂" * 59 + "█"),
    ],
    ids=["none", "no answer", "nothing", "a gap", "many"],
)
def test_a_line_of_bars(values: list[float | None], bars: str) -> None:
    assert sparkline(values) == bars


def test_nothing_to_do_and_nothing_to_tell() -> None:
    seen = made(step("release_preflight", 0, {"version": "v1", "live": OLD, "up_to_date": True}))
    assert (seen.result, seen.hosts[0].live) == ("unchanged", OLD)
    assert report.make([Step("web-1", "ansible.builtin.copy", 0, 1, False, {})]) is None


def test_a_rollback_and_an_unreachable_host() -> None:
    seen = made(step("rollback", 0, {"live": OLD, "changed": True, **ended("succeeded", OLD)}))
    assert (seen.action, seen.result, list(seen.hosts[0].phases)) == ("rollback", "succeeded", ["rollback"])
    lost = made(step("release_preflight", 0, {"unreachable": True}, failed=True))
    assert (lost.result, lost.hosts[0].cause) == ("failed", "it cannot be reached")


@pytest.mark.parametrize("form", [markdown, as_html, Report.to_json])
def test_nothing_secret_and_nothing_that_breaks_out(form: Any) -> None:
    hostile = "<script>alert(1)</script> | `x`\n~~~\n# big"
    said: dict[str, Any] = {
        "msg": hostile,
        "token": "t0ken",
        "invocation": {"module_args": {"secrets": {"A": "s3cret"}}},
    }
    said["logs"] = {"api|": [hostile]}
    said["changes"] = {"against": hostile, "version": ["1", hostile], "compose": [f"+{hostile}"], "unknown": [hostile]}
    said["changes"]["images"] = [{"service": hostile, "before": hostile, "after": hostile}]
    said["changes"]["environment"] = {"added": [hostile]}
    said["timings"] = [lap(hostile, 2.0, 1.0)]
    said["ended"] = {"live": hostile, "result": "failed", "can_return_to": [hostile], "probe": {"series": SERIES}}
    said["verdict"] = {"checks": [{"name": hostile, "verdict": "fail", "observed": hostile}]}
    text = form(made(PREFLIGHT, step("release_start", 2, said, failed=True)))
    assert "t0ken" not in text
    assert "s3cret" not in text
    if form is markdown:
        assert "<script" not in "".join(text.split("~~~")[::2]), "outside of what is shown as it is"
        assert [line[:3] for line in text.splitlines()].count("~~~") == 6
    if form is as_html:
        assert "<script" not in text
        assert "'x'" not in text.replace("&#x27;", ""), "no quote ends an attribute"
    if form is Report.to_json:
        assert json.loads(text)["hosts"][0]["cause"] == hostile


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        ({}, "not measured"),
        ({"requests": 0}, "not measured"),
        ({"requests": 40, "failures": 0, "p50_ms": 1.4, "p95_ms": 2.6, "p99_ms": None}, "40 requests, 0 failed, "),
        (
            {"requests": 40, "failures": 2, "longest_gap_ms": 120.4, "p50_ms": 1.4, "p95_ms": 2.6, "p99_ms": 9},
            "40 requests, 2 failed, longest gap 120 ms, p50/p95/p99 1/3/9 ms",
        ),
    ],
)
def test_what_the_probe_saw_fits_in_a_line(seen: dict[str, Any], line: str) -> None:
    assert report.probe_line(seen).startswith(line)


STOPPED = "deploy v3 by alice@laptop"


@pytest.mark.parametrize(
    ("result", "failed", "expected", "said"),
    [
        ({"live": OLD, "changed": True, **ended("succeeded", OLD)}, False, "succeeded", f"shop is back at {OLD}"),
        # What was stopped or recovered has ended badly, as it had to, and the rollback well.
        (
            {"live": OLD, "changed": True, "stopped": STOPPED, **ended("failed", OLD)},
            False,
            "succeeded",
            f"shop is back at {OLD}",
        ),
        (
            {"live": OLD, "changed": True, "stopped": STOPPED, **ended("rolled back", OLD)},
            False,
            "succeeded",
            f"shop is back at {OLD}",
        ),
        (
            {"live": OLD, "changed": True, "stopped": STOPPED, **ended("interrupted", OLD)},
            False,
            "succeeded",
            f"shop is back at {OLD}",
        ),
        (
            {"live": "", "changed": True, "stopped": STOPPED, **ended("failed", "")},
            False,
            "succeeded",
            "shop: no release is live",
        ),
        ({"live": OLD, "changed": False, "stopped": "", "ended": {}}, False, "unchanged", "shop: nothing changed"),
        ({"msg": "its gate", **ended("rolled back", NEW)}, True, "failed", "The rollback of shop failed"),
        ({"msg": "locked"}, True, "failed", "The rollback of shop failed"),
    ],
    ids=["back", "failed", "rolled back", "interrupted", "a first deploy", "live already", "undone", "locked"],
)
def test_a_rollback_is_told_by_its_own_end(result: dict[str, Any], failed: bool, expected: str, said: str) -> None:
    seen = made(step("rollback", 0, result, failed=failed))
    assert (seen.result, seen.good) == (expected, not failed)
    assert f"<h1>{said}</h1>" in as_html(seen)
    for form in (markdown, as_html):
        assert (STOPPED in form(seen)) == ("stopped" in result and bool(result["stopped"]))


@pytest.mark.parametrize("unknown", ["interrupted", "of a kind that comes later"])
def test_an_end_that_nobody_knows_is_a_failure(unknown: str) -> None:
    seen = made(PREFLIGHT, step("release_switch", 6, ended(unknown, OLD)), step("release_start", 4, {}, "web-2"))
    assert (seen.result, seen.good) == ("failed", False)
    assert "failed" in as_html(seen)


@pytest.mark.parametrize(
    ("told", "live", "back"),
    [
        ({}, "as before", None),
        ({"live": ""}, "nothing", None),
        ({"live": "", "can_return_to": []}, "nothing", "nothing yet"),
        ({"live": NEW, "can_return_to": [OLD]}, NEW, OLD),
    ],
    ids=["nobody told", "nothing is live", "and nothing to go back to", "told"],
)
@pytest.mark.parametrize("failed", [True, False])
def test_what_nobody_told_is_not_said_to_be_nothing(
    failed: bool, told: dict[str, Any], live: str, back: str | None
) -> None:
    """A preflight that fails, or that finds nothing to do, is no sign that nothing serves."""
    seen = made(step("release_preflight", 0, {"msg": "locked", **told}, failed=failed))
    assert (seen.hosts[0].live, seen.hosts[0].can_return_to) == (told.get("live"), told.get("can_return_to"))
    page = as_html(seen)
    assert f"<th>live</th><td><code>{live}</code></td>" in page
    assert ("to roll back to" in page) == (back is not None)
    assert (f"<th>can roll back to</th><td><code>{back}</code></td>" in page) == (back is not None)
    assert f"| {live} | preflight 2.0 s | not measured | {back or 'not known'} |" in markdown(seen)


def test_a_deploy_whose_secrets_cannot_be_had() -> None:
    seen = made(step("release_secrets", 0, {"msg": "1 of 2 secrets cannot be had"}, failed=True))
    (host,) = seen.hosts
    assert (seen.action, seen.result, host.failed_in) == ("deploy", "failed", "preflight")
    assert host.cause == "1 of 2 secrets cannot be had"
