"""What a drill breaks, what it leaves alone, and what it takes for caught."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import drill
from ansible_collections.davit.ec2.plugins.module_utils.drill import KINDS, Drill, Marks
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Gate, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.release import parse_gate
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route
from ansible_collections.davit.ec2.plugins.module_utils.running_file import name_release

ENDPOINTS = (
    Endpoint(Route("web", 8000), 20000),
    Endpoint(Route("web", 8000, path="/more"), 20000),
    Endpoint(Route("admin", 9000, path="/admin"), 20001),
)
DECLARED = {"http": [{"path": "/readyz", "readiness": True}, {"path": "/search?q=a", "json": {"count": 1}}]}
GATE = parse_gate(DECLARED, ENDPOINTS)
ONLY_READINESS = parse_gate({}, ENDPOINTS)


def planned(kind: str, gate: Gate = GATE) -> Drill:
    return drill.plan_drill(kind, ENDPOINTS, gate, [20002, 20003])


@pytest.mark.parametrize("kind", KINDS)
def test_a_drill_is_the_same_after_its_record(kind: str) -> None:
    made = planned(kind)
    assert made.kind == kind
    assert Drill.from_json(made.to_json()) == made


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    with pytest.raises(DavitError, match="no drill 'flood'; there are crash, never_ready"):
        planned("flood")


@pytest.mark.parametrize("record", [{}, {**Drill("slow").to_json(), "fronts": ["x"]}, {"kind": "slow"}])
def test_a_damaged_record_is_an_error(record: dict[str, Any]) -> None:
    with pytest.raises(DavitError, match="damaged"):
        Drill.from_json(record)


@pytest.mark.parametrize(
    ("kind", "fronts"),
    [
        ("crash", {}),
        ("dies_in_soak", {}),
        ("never_ready", {20000: 20002, 20001: 20003}),
        ("wrong_answers", {20000: 20002, 20001: 20003}),
        ("slow", {20000: 20002, 20001: 20003}),
    ],
)
def test_faults_of_http_take_the_ports_that_gate_and_edge_use(kind: str, fronts: dict[int, int]) -> None:
    made = planned(kind)
    assert made.fronts == fronts
    assert drill.ports_wanted(kind, 2) == 2 + len(fronts)
    assert drill.ports_taken(made.to_json()) == set(fronts.values())
    assert [e.host_port for e in drill.published(ENDPOINTS, made.to_json())] == [
        fronts.get(port, port) for port in (20000, 20000, 20001)
    ]


def test_a_real_release_publishes_its_own_ports() -> None:
    assert drill.published(ENDPOINTS, {}) == ENDPOINTS
    assert drill.ports_taken({}) == set()


def test_the_running_file_publishes_behind_the_proxy() -> None:
    model = {"services": {"web": {"image": "a"}, "admin": {"image": "b"}}}
    endpoints = drill.published(ENDPOINTS, planned("slow").to_json())
    named = name_release(model, "app", "app-1-abc", "/x", endpoints)
    assert [p["published"] for p in named["services"]["web"]["ports"]] == ["20002"]
    assert [p["published"] for p in named["services"]["admin"]["ports"]] == ["20003"]


@pytest.mark.parametrize(
    ("kind", "gate", "spared"),
    [
        ("never_ready", GATE, ()),
        ("wrong_answers", GATE, ("GET /readyz",)),
        ("slow", GATE, ("GET /readyz",)),
        # With nothing but readiness to look at, a slow service is one whose readiness is slow.
        ("slow", ONLY_READINESS, ()),
        ("wrong_answers", ONLY_READINESS, ("GET /", "GET /admin", "GET /more")),
    ],
)
def test_a_service_that_answers_badly_still_says_that_it_is_ready(
    kind: str, gate: Gate, spared: tuple[str, ...]
) -> None:
    assert planned(kind, gate).spared == spared


@pytest.mark.parametrize(
    ("checks", "seconds"),
    [
        ([HttpCheck("ready", "http://h/r", readiness=True, max_latency_ms=10), HttpCheck("a", "http://h/a")], 6.0),
        (
            [
                HttpCheck("ready", "http://h/r", readiness=True),
                HttpCheck("a", "http://h/a", max_latency_ms=400),
                HttpCheck("b", "http://h/b", max_latency_ms=900),
            ],
            0.8,
        ),
        ([HttpCheck("ready", "http://h/r", readiness=True, max_latency_ms=100)], 0.2),
        ([HttpCheck("ready", "http://h/r", readiness=True)], 6.0),
    ],
)
def test_slow_is_slower_than_what_the_gate_allows(checks: list[HttpCheck], seconds: float) -> None:
    assert planned("slow", Gate(http=tuple(checks), request_timeout=5.0)).delay_seconds == seconds


@pytest.mark.parametrize("kind", KINDS)
def test_no_drill_passes_its_soak(kind: str) -> None:
    with pytest.raises(DavitError, match=f"{drill.NOT_CAUGHT}: with the fault '{kind}'"):
        drill.refuse_pass(planned(kind).to_json(), soaked=True)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "dies_in_soak"])
def test_a_fault_that_the_gate_missed_gets_no_traffic(kind: str) -> None:
    with pytest.raises(DavitError, match="stopped before any traffic"):
        drill.refuse_pass(planned(kind).to_json(), soaked=False)


def test_what_is_to_die_in_the_soak_passes_its_gate_and_a_real_release_everything() -> None:
    drill.refuse_pass(planned("dies_in_soak").to_json(), soaked=False)
    drill.refuse_pass({}, soaked=False)
    drill.refuse_pass({}, soaked=True)


PROBE = {"requests": 200, "failures": 0, "longest_gap_ms": 21.5}
FAILED = {"result": "failed", "cause": "ready: no answer", "probe": PROBE}
ROLLED_BACK = {**FAILED, "result": "rolled back"}
TIMES = Marks(visible=10.0, verdict=12.5, gone=13.25)
LIVE = {"live": "a", "containers": ["web 1 running"]}


def test_a_caught_drill_tells_how_long_it_took_and_what_it_cost() -> None:
    outcome = drill.judge("slow", FAILED, TIMES, LIVE, LIVE)
    assert (outcome.caught, outcome.why) == (True, "ready: no answer")
    assert (outcome.seconds_to_detect, outcome.seconds_to_recover) == (2.5, 0.75)
    assert (outcome.requests, outcome.lost, outcome.longest_gap_ms) == (200, 0, 21.5)


def test_a_death_in_the_soak_is_over_when_the_live_release_serves_again() -> None:
    marks = Marks(visible=10.0, verdict=10.5, switched=8.0, returned=10.75, gone=40.0)
    outcome = drill.judge("dies_in_soak", ROLLED_BACK, marks, LIVE, LIVE)
    assert (outcome.caught, outcome.seconds_to_recover) == (True, 0.25)


@pytest.mark.parametrize(
    ("kind", "line", "marks", "after", "words"),
    [
        ("crash", None, TIMES, LIVE, "before there was a candidate"),
        ("crash", {**FAILED, "cause": f"{drill.NOT_CAUGHT}: ..."}, TIMES, LIVE, drill.NOT_CAUGHT),
        ("crash", FAILED, Marks(verdict=3.0), LIVE, "before the fault showed"),
        ("dies_in_soak", FAILED, TIMES, LIVE, "ended as 'failed' and not as 'rolled back'"),
        ("slow", ROLLED_BACK, TIMES, LIVE, "ended as 'rolled back' and not as 'failed'"),
        ("slow", {"result": "succeeded"}, TIMES, LIVE, "ended as 'succeeded'"),
        ("slow", FAILED, TIMES, {**LIVE, "live": "b"}, "live was a and is b"),
        ("slow", FAILED, TIMES, {"live": "a"}, "containers was"),
    ],
)
def test_what_is_not_caught(
    kind: str, line: dict[str, Any] | None, marks: Marks, after: dict[str, Any], words: str
) -> None:
    outcome = drill.judge(kind, line, marks, LIVE, after)
    assert not outcome.caught
    assert words in outcome.why
    assert outcome.unharmed == (after == LIVE)
    assert outcome.reached == (line is not None and "before the fault" not in words)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (None, "the deploy ended before there was a candidate: locked by bob"),
        (FAILED, "ready: no answer"),
    ],
)
def test_a_deploy_that_was_refused_is_told_with_its_cause(line: dict[str, Any] | None, why: str) -> None:
    assert drill.judge("crash", line, TIMES, LIVE, LIVE, "locked by bob").why == why


def test_a_missing_time_is_not_guessed() -> None:
    outcome = drill.judge("crash", {**FAILED, "probe": None}, Marks(visible=1.0), LIVE, LIVE)
    assert (outcome.seconds_to_detect, outcome.seconds_to_recover, outcome.requests) == (None, None, None)
