# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a run came to: out of its steps, and in words that cannot break out of their place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.plugin_utils import report
from ansible_collections.davit.ec2.plugins.plugin_utils.report import Report, Step

OLD, NEW = "20260101-120000-aaaaaaa-1", "20260101-120500-bbbbbbb-2"
PROBE = {"requests": 200, "failures": 0}
CHECK = {"name": "ready", "verdict": "pass", "observed": "200 as expected"}
BAD_CHECK = {"name": "golden set", "verdict": "fail", "observed": "all 0.1 instead of at least 0.9"}


def step(action: str, began: float, result: dict[str, Any], host: str = "web-1", *, failed: bool = False) -> Step:
    return Step(host, f"davit.ec2.{action}", began, began + 2, failed, result)


def ended(result: str, live: str) -> dict[str, Any]:
    return {"ended": {"result": result, "live": live, "probe": PROBE, "can_return_to": [OLD]}}


PREFLIGHT = step("release_preflight", 0, {"version": "v2", "live": OLD, "up_to_date": False, "token": "t0ken"})
FETCH = step("release_fetch", 2, {"release": NEW, "images": {"api": "ghcr.io/a/b@sha256:1"}})
START = step("release_start", 4, {"verdict": {"verdict": "pass", "checks": [CHECK]}})
SWITCH = step("release_switch", 6, ended("succeeded", NEW))


def made(*steps: Step) -> Report:
    found = report.make("shop", steps)
    assert found is not None
    return found


def test_a_good_deploy() -> None:
    seen = made(PREFLIGHT, FETCH, START, SWITCH)
    assert report.headline(seen) == "deploy of shop v2: succeeded on 1 host(s) in 8 s"
    (host,) = seen.hosts
    assert host.phases == {"preflight": 2.0, "fetch": 2.0, "start and gate": 2.0, "switch and soak": 2.0}
    assert (host.live, host.release, host.can_return_to, host.probe) == (NEW, NEW, [OLD], PROBE)
    assert host.checks == [{"phase": "start and gate", **CHECK}]


def test_a_deploy_that_its_gate_refuses() -> None:
    verdict = {"verdict": "fail", "checks": [CHECK, BAD_CHECK]}
    said = {"msg": "fail: golden set", "verdict": verdict, "logs": {"api": ["boom"]}, **ended("failed", OLD)}
    seen = made(PREFLIGHT, FETCH, step("release_start", 4, said, failed=True))
    (host,) = seen.hosts
    assert (seen.result, host.failed_in, host.cause, host.live) == ("failed", "start and gate", "fail: golden set", OLD)
    text = report.markdown(seen)
    assert "| ✗ | golden set | all 0.1 instead of at least 0.9 |" in text
    assert "boom" in text


def test_a_fleet_is_as_good_as_its_worst_host() -> None:
    reverted = step("rollback", 9, ended("rolled back", OLD))
    other = step("release_start", 4, {"msg": "no", **ended("failed", OLD)}, "web-2", failed=True)
    seen = made(PREFLIGHT, SWITCH, other, reverted)
    assert seen.result == "failed"
    assert {host.host: host.result for host in seen.hosts} == {"web-1": "rolled back", "web-2": "failed"}
    assert "revert" in seen.hosts[0].phases


def test_nothing_to_do_and_nothing_to_tell() -> None:
    seen = made(step("release_preflight", 0, {"version": "v1", "live": OLD, "up_to_date": True}))
    assert (seen.result, seen.hosts[0].live) == ("unchanged", OLD)
    assert report.make("shop", [Step("web-1", "ansible.builtin.copy", 0, 1, False, {})]) is None


def test_a_rollback_and_an_unreachable_host() -> None:
    seen = made(step("rollback", 0, {"live": OLD, **ended("succeeded", OLD)}))
    assert (seen.action, seen.result, list(seen.hosts[0].phases)) == ("rollback", "succeeded", ["rollback"])
    lost = made(step("release_preflight", 0, {"unreachable": True}, failed=True))
    assert (lost.result, lost.hosts[0].cause) == ("failed", "it cannot be reached")


@pytest.mark.parametrize("form", [report.markdown, report.as_html, Report.to_json])
def test_nothing_secret_and_nothing_that_breaks_out(form: Any) -> None:
    hostile = "<script>alert(1)</script> | `x`\n~~~\n# big"
    said = {"msg": hostile, "token": "t0ken", "invocation": {"module_args": {"secrets": {"A": "s3cret"}}}}
    said["logs"] = {"api|": [hostile]}
    said["verdict"] = {"checks": [{"name": hostile, "verdict": "fail", "observed": hostile}]}
    text = form(made(PREFLIGHT, step("release_start", 2, said, failed=True)))
    assert "t0ken" not in text
    assert "s3cret" not in text
    if form is report.markdown:
        assert all("script>alert" not in line for line in text.split("~~~text")[0].splitlines())
        assert [line[:3] for line in text.splitlines()].count("~~~") == 4
    if form is report.as_html:
        assert "<script" not in text
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
