"""When a gate passes, fails or says that it cannot tell, and what it names as the cause."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gate_run import run_gate
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, Gate, HttpCheck, Look, Tally

GATE = Gate(successes=3, failures=3, interval=1.0, timeout=20.0, stable_seconds=2.0)
READY = HttpCheck("ready", "http://127.0.0.1:20000/ready", readiness=True)
DEEP = HttpCheck("deep", "http://127.0.0.1:20000/deep")


def container(status: str = "running", **more: Any) -> Container:
    return Container(id="c1", name="web-1", service="web", status=status, **more)


@dataclass
class Host:
    """A host that behaves as told: one entry per look, the last one repeated. Time passes by pauses only."""

    containers: Sequence[Sequence[Container]] = ((container(),),)
    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    now: float = 0.0
    asked: dict[str, int] = field(default_factory=dict)
    looks: int = 0

    def look(self) -> Sequence[Container]:
        self.looks += 1
        return self.containers[min(self.looks, len(self.containers)) - 1]

    def ask(self, check: HttpCheck) -> Answer:
        count = self.asked[check.name] = self.asked.get(check.name, 0) + 1
        planned = self.answers.get(check.name, (Answer(200),))
        return planned[min(count, len(planned)) - 1]

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def run(self, gate: Gate, services: Sequence[str] = ("web",)) -> dict[str, Any]:
        return run_gate(gate, services, self.look, self.ask, clock=lambda: self.now, pause=self.pause)


def gate(*checks: HttpCheck, **more: Any) -> Gate:
    return Gate(**{**vars(GATE), "http": checks, **more})


def test_a_good_candidate_passes_with_its_evidence() -> None:
    verdict = Host().run(gate(READY, DEEP))
    assert verdict["verdict"] == gates.PASS
    assert verdict["cause"] == ""
    assert verdict["seconds"] == 2.0
    assert [c["name"] for c in verdict["checks"]] == ["container web", "ready", "deep"]
    assert {c["verdict"] for c in verdict["checks"]} == {gates.PASS}
    assert {c["successes_in_a_row"] for c in verdict["checks"]} == {3}


def test_a_gate_watches_for_the_stable_time_even_when_all_holds() -> None:
    assert Host().run(gate(READY, stable_seconds=9.0))["seconds"] == 9.0


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        (container("exited", exit_code=3), "container web: exited with code 3"),
        (container("dead", exit_code=137, oom_killed=True), "container web: exited with code 137, out of memory"),
    ],
)
def test_an_exit_fails_at_once_and_nobody_is_asked(last: Container, cause: str) -> None:
    host = Host(containers=[[last]])
    verdict = host.run(gate(READY))
    assert (verdict["verdict"], verdict["cause"], verdict["seconds"]) == (gates.FAIL, cause, 0.0)
    assert host.asked == {}
    # Nothing was seen of the request, so its evidence must not read as a failure of its own.
    assert verdict["checks"][1]["verdict"] == gates.INCONCLUSIVE


def test_a_container_that_is_gone_fails_at_once() -> None:
    verdict = Host(containers=[[container()], []]).run(gate(READY))
    assert (verdict["cause"], verdict["seconds"]) == ("container web: there is no container", 1.0)


def test_a_rising_restart_count_fails_although_the_process_is_up_again() -> None:
    verdict = Host(containers=[[container(restarts=1)], [container(restarts=3)]]).run(gate(READY))
    assert verdict["verdict"] == gates.FAIL
    assert verdict["cause"] == "container web: restarted 2 times"


def test_restarts_from_before_the_gate_do_not_count() -> None:
    assert Host(containers=[[container(restarts=4)]]).run(gate(READY))["verdict"] == gates.PASS


def test_wrong_answers_after_readiness_fail_before_the_timeout() -> None:
    host = Host(answers={"ready": [Answer(503)] * 4 + [Answer(200)], "deep": [Answer(500, b"no  index")]})
    verdict = host.run(gate(READY, DEEP))
    assert verdict["verdict"] == gates.FAIL
    assert verdict["cause"] == "deep: status 500 instead of 200: no index"
    assert verdict["seconds"] == 4.0, "wrong answers count once readiness holds, and then decide"


def test_two_wrong_answers_are_not_three() -> None:
    host = Host(answers={"deep": [Answer(500), Answer(500), Answer(200)]})
    assert host.run(gate(READY, DEEP))["verdict"] == gates.PASS


def test_successes_have_to_come_in_a_row() -> None:
    host = Host(answers={"ready": [Answer(200), Answer(200), Answer(503), Answer(200)]})
    assert host.run(gate(READY))["seconds"] == 5.0


def test_a_candidate_that_is_never_ready_is_given_up() -> None:
    verdict = Host(answers={"ready": [Answer(error="connection refused")]}).run(gate(READY, DEEP))
    assert verdict["verdict"] == gates.FAIL
    assert verdict["cause"] == "ready: connection refused (given up after 20 s, the gate's 'timeout')"
    assert verdict["seconds"] == 20.0


def test_flapping_is_given_up_too() -> None:
    flapping = [Answer(200), Answer(503)] * 20
    verdict = Host(answers={"ready": flapping}).run(gate(READY))
    assert verdict["verdict"] == gates.FAIL
    assert verdict["cause"].startswith("ready: ")


def test_no_evidence_is_never_a_pass() -> None:
    verdict = Host().run(GATE, services=())
    assert verdict["verdict"] == gates.INCONCLUSIVE
    assert "nothing to look at" in verdict["cause"]
    assert gates.decide([], GATE, elapsed=1e9) == gates.INCONCLUSIVE


def tally(
    name: str = "x",
    *,
    right: int = 0,
    wrong: int = 0,
    readiness: bool = True,
    hopeless: bool = False,
    answers: bool = False,
    pending: bool = False,
) -> Tally:
    made = Tally(name, readiness=readiness)
    for holds in [True] * right + [False] * wrong:
        latency = 1.0 if answers else None
        made.add(Look(name, holds, f"{name} seen", hopeless=hopeless, latency_ms=latency, pending=pending))
    return made


@pytest.mark.parametrize(
    ("tallies", "elapsed", "verdict"),
    [
        ([tally(right=3)], 2.0, gates.PASS),
        ([tally(right=3)], 1.9, None),
        ([tally(right=2)], 2.0, None),
        ([tally(right=2)], 20.0, gates.FAIL),
        ([tally(right=3)], 20.0, gates.PASS),
        ([tally(right=3), tally(wrong=1, hopeless=True)], 0.0, gates.FAIL),
        ([tally(right=1), tally(wrong=3, readiness=False)], 0.0, gates.FAIL),
        ([tally(right=1), tally(wrong=2, readiness=False)], 0.0, None),
        ([tally(wrong=9), tally(wrong=9, readiness=False)], 0.0, None),
        ([Tally("never looked at")], 2.0, None),
        ([Tally("never looked at")], 20.0, gates.FAIL),
    ],
)
def test_decide(tallies: list[Tally], elapsed: float, verdict: str | None) -> None:
    assert gates.decide(tallies, GATE, elapsed) == verdict


@pytest.mark.parametrize(
    ("tallies", "named"),
    [
        ([tally("slow", wrong=9), tally("dead", wrong=1, hopeless=True)], "dead: dead seen"),
        ([tally("ok", right=3), tally("deep", wrong=3, readiness=False)], "deep: deep seen"),
        ([tally("ok", right=3), tally("ready", wrong=1)], "ready: ready seen"),
        ([tally("ok", right=3), tally("late", right=1)], "late: late seen"),
        ([tally("container", wrong=9), tally("silent", wrong=9)], "container: container seen"),
        ([tally("container", wrong=9), tally("ready", wrong=9, answers=True)], "ready: ready seen"),
        (
            [tally("container", wrong=1, hopeless=True), tally("ready", wrong=9, answers=True)],
            "container: container seen",
        ),
    ],
)
def test_the_cause_names_what_decided(tallies: list[Tally], named: str) -> None:
    assert gates.cause(tallies, GATE, elapsed=1.0) == named


@pytest.mark.parametrize(
    ("seen", "holds", "observed"),
    [
        (container(), True, "running"),
        (container(health="healthy"), True, "running and healthy"),
        (container(health="none"), True, "running"),
        (container(health="starting"), False, "running, starting"),
        (container(health="unhealthy"), False, "running, unhealthy"),
        (container("created"), False, "created"),
        (container("restarting"), False, "restarting"),
        (container("paused"), False, "paused"),
    ],
)
def test_a_container_that_may_still_come_is_waited_for(seen: Container, holds: bool, observed: str) -> None:
    [look] = gates.judge_containers(["web"], [seen], {})
    assert (look.holds, look.observed, look.hopeless) == (holds, observed, False)


def test_every_copy_of_a_service_has_to_hold() -> None:
    other = Container(id="c2", name="web-2", service="web", status="exited", exit_code=1)
    [look] = gates.judge_containers(["web"], [container(), other], {})
    assert look.hopeless


def body(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("check", "answer", "wrong"),
    [
        ({"status": (200, 204)}, Answer(204), None),
        ({"status": (200, 204)}, Answer(404), "status 404 instead of 200 or 204"),
        ({}, Answer(error="timed out"), "timed out"),
        ({"json": {"a.0.b": "x"}}, body({"a": [{"b": "x"}]}), None),
        ({"json": {"a.1.b": "x"}}, body({"a": [{"b": "x"}]}), 'a.1.b is missing instead of "x"'),
        ({"json": {"a": None}}, body({}), "a is missing instead of null"),
        ({"json": {"n": 1}}, body({"n": True}), "n is true instead of 1"),
        ({"json": {"n": True}}, body({"n": 1}), "n is 1 instead of true"),
        ({"json": {"n": "1"}}, body({"n": 1}), 'n is 1 instead of "1"'),
        ({"json": {"n": {"min": 1, "max": 3}}}, body({"n": 3}), None),
        ({"json": {"n": {"min": 1}}}, body({"n": 0}), 'n is 0 instead of {"min": 1}'),
        ({"json": {"n": {"max": 3}}}, body({"n": 3.5}), 'n is 3.5 instead of {"max": 3}'),
        ({"json": {"n": {"min": 0}}}, body({"n": True}), 'n is true instead of {"min": 0}'),
        ({"json": {"n": {"min": 0}}}, body({"n": "5"}), 'n is "5" instead of {"min": 0}'),
        ({"json": {"n": 1}}, Answer(200, b"<html>"), "the answer is not JSON: <html>"),
        ({"max_latency_ms": 50}, Answer(200, seconds=0.05), None),
        ({"max_latency_ms": 50}, Answer(200, seconds=0.051), "it took 51.0 ms, more than 50 ms"),
    ],
)
def test_judge_answer(check: dict[str, Any], answer: Answer, wrong: str | None) -> None:
    look = gates.judge_answer(HttpCheck("c", "http://x/", **check), answer)
    assert look.holds is (wrong is None)
    assert look.observed == (wrong or f"{answer.status} as expected")


def test_latencies_are_kept_as_evidence() -> None:
    seen = Tally("x")
    for latency in (30.0, 10.0, 20.0):
        seen.add(Look("x", True, "ok", latency_ms=latency))
    assert seen.to_json(3)["latency_ms"] == {"p50": 20.0, "max": 30.0}


def test_from_inspect_reads_what_the_engine_prints() -> None:
    record = {
        "Id": "abc",
        "Name": "/shop-1-web-1",
        "RestartCount": 2,
        "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "Health": {"Status": "unhealthy"}},
        "Config": {"Labels": {"com.docker.compose.service": "web"}},
    }
    expected = Container("abc", "shop-1-web-1", "web", "exited", "unhealthy", 2, 137, True)
    assert Container.from_inspect(record) == expected
    assert Container.from_inspect({"Id": "a", "Name": "/b", "State": None}).status == "unknown"


PARSED: list[tuple[dict[str, Any], HttpCheck]] = [
    ({"path": "/x"}, HttpCheck("/x", "http://h/x")),
    ({"path": "/x", "name": "n", "readiness": True}, HttpCheck("n", "http://h/x", readiness=True)),
    ({"path": "/x", "body": "q"}, HttpCheck("/x", "http://h/x", method="POST", body="q")),
    ({"path": "/x", "method": "put", "status": ["201"]}, HttpCheck("/x", "http://h/x", "PUT", status=(201,))),
    (
        {"path": "/x", "body": {"q": 1}, "max_latency_ms": "5"},
        HttpCheck("/x", "http://h/x", "POST", {"Content-Type": "application/json"}, '{"q": 1}', max_latency_ms=5.0),
    ),
]


@pytest.mark.parametrize(("entry", "check"), PARSED)
def test_parse_http(entry: dict[str, Any], check: HttpCheck) -> None:
    assert gates.parse_http(entry, "http://h") == check


@pytest.mark.parametrize("path", ["", "x", "@evil.example/x"])
def test_a_path_cannot_lead_to_another_host(path: str) -> None:
    with pytest.raises(DavitError, match="starts with '/'"):
        gates.parse_http({"name": "n", "path": path}, "http://127.0.0.1:20000")


def test_what_the_engine_judges_has_to_hold_once_and_an_answer_in_a_row() -> None:
    container = Tally("container web", engines=True, attempts=1, in_a_row=1)
    answer = Tally("GET /readyz", attempts=3, in_a_row=3)
    assert gates.decide([container, answer], GATE, 5) == gates.PASS
    assert gates.decide([container, Tally("GET /readyz", attempts=2, in_a_row=2)], GATE, 5) is None
    assert gates.decide([Tally("container web", engines=True, attempts=9), answer], GATE, 5) is None
