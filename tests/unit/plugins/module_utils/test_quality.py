# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The order of judging data and model, with a service that is made of a table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import metric_checks, quality, shadow
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.quality import Quality, Way
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route

OWN, LIVE = 20001, 20002
QUESTIONS = [{"request": {"path": "/ask", "body": {"n": n}}, "expected": {"json": {"right": True}}} for n in range(4)]
METRIC = {"metric": "errors_total", "of": "asked_total", "max": 0.1}


def endpoint(port: int) -> tuple[Endpoint, ...]:
    return (Endpoint(Route("api", 8000, (), "/"), port),)


def parse(declared: Mapping[str, Any], port: int = OWN) -> Quality:
    return quality.parse(declared, endpoint(port), {"path": "/metrics"})


class Service:
    """Two releases: answers right or wrong by port, counts what it is asked."""

    def __init__(self, right: dict[int, bool] | None = None, late: int = 0) -> None:
        self.right = right or {OWN: True, LIVE: True}
        self.asked: list[str] = []
        self.late = late
        self.now = 0.0

    def ask(self, check: HttpCheck) -> Answer:
        self.asked.append(check.url)
        port = int(check.url.split(":")[2].split("/")[0])
        if port not in self.right:
            return Answer(error="connection refused")
        if check.url.endswith("/metrics"):
            if sum(url == check.url for url in self.asked) <= self.late:
                return Answer(status=503)
            counted = sum(url.endswith("/ask") for url in self.asked)
            return Answer(status=200, body=f"asked_total {counted}\nerrors_total 0\n".encode())
        if "/api/v1/query" in check.url:
            return Answer(
                status=200, body=b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}'
            )
        found = [{"id": n} for n in range(3)] if self.right[port] else [{"id": 9}]
        return Answer(status=200, body=json.dumps({"right": self.right[port], "results": found}).encode())

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def way(self, logs: Sequence[str] = (), stopped_at: int = -1, apart: Collection[str] = ()) -> Way:
        turns = itertools.count()
        return Way(
            self.ask,
            lambda: "stopped by carol" if next(turns) == stopped_at else None,
            lambda lines: logs[-lines:],
            apart,
            lambda: self.now,
            self.pause,
        )


def verdicts(
    declared: dict[str, Any], service: Service, *, live: bool = True, seconds: float = 5, logs: Sequence[str] = ()
) -> list[tuple[str, str]]:
    findings = quality.judge(parse(declared), service.way(logs), parse(declared, LIVE) if live else "nobody", seconds)
    return [(finding.verdict, finding.observed) for finding in findings]


def test_questions_go_before_metrics_which_are_counted_from_then() -> None:
    service = Service()
    found = verdicts(
        {"golden": {"questions": QUESTIONS, "min_score": 1}, "metrics": [{**METRIC, "min_samples": 4}]}, service
    )
    assert found == [("pass", "all 1"), ("pass", "0, within at most 0.1")]
    assert [url.rpartition("/")[2] for url in service.asked] == ["metrics", "ask", "ask", "ask", "ask", "metrics"]


def test_the_live_release_is_asked_only_when_it_is_compared_with() -> None:
    service = Service({OWN: False, LIVE: True})
    asked = {"questions": QUESTIONS, "max_drop": 0.1}
    assert verdicts({"golden": asked}, service)[-1] == ("fail", "all fell from 1 to 0, by more than 0.1")
    assert sum(f":{LIVE}/" in url for url in service.asked) == 4
    alone = Service({OWN: True, LIVE: True})
    assert verdicts({"golden": {"questions": QUESTIONS, "min_score": 1}}, alone) == [("pass", "all 1")]
    assert not [url for url in alone.asked if f":{LIVE}/" in url]
    assert verdicts({"golden": asked}, Service(), live=False)[-1] == ("pass", "nothing to compare with: nobody")


def test_a_live_release_that_is_down_does_not_keep_out_what_repairs_it() -> None:
    found = verdicts({"golden": {"questions": QUESTIONS, "max_drop": 0.1}}, Service({OWN: True}))
    assert found[-1] == ("pass", "nothing to compare with: connection refused")


def test_a_candidate_that_falls_silent_is_given_up_soon() -> None:
    service = Service({LIVE: True})
    found = verdicts({"golden": {"questions": QUESTIONS, "min_score": 0.1}}, service)
    assert found == [("fail", "given up at question 3: connection refused")]


def test_metrics_that_come_late_are_waited_for_and_not_for_ever() -> None:
    service = Service(late=3)
    declared = {"metrics": [{"metric": "asked_total", "min": 0}]}
    assert verdicts(declared, service) == [("pass", "0, within at least 0")]
    assert service.now == 1.5
    never = Service(late=1000)
    ((verdict, observed),) = verdicts(declared, never)
    assert (verdict, never.now) == ("inconclusive", 5)
    assert observed.endswith("/metrics: status 503")


def test_a_query_goes_to_prometheus() -> None:
    service = Service({9090: True})
    found = verdicts({"metrics": [{"promql": "sum(up) > 1", "max": 5}]}, service)
    assert found == [("fail", "7 instead of at most 5")]
    assert service.asked == ["http://127.0.0.1:9090/davit/api/v1/query?query=sum%28up%29%20%3E%201"]


def test_a_deploy_can_be_stopped_between_two_questions() -> None:
    golden = {"golden": {"questions": QUESTIONS, "min_score": 1}}
    with pytest.raises(DavitError, match="stopped by carol"):
        quality.judge(parse(golden), Service().way(stopped_at=2), "nobody", 5)


SHADOW = {
    "field": "query",
    "where": {"message": "prediction"},
    "request": {"path": "/ask?q=$QUERY", "method": "GET"},
    "min_overlap": 0.9,
    "min_samples": 3,
}
LOG = [json.dumps({"message": "prediction", "query": f"a & b {n}"}) for n in (1, 2, 3, 3)]
NOISE = ["not json", json.dumps({"message": "request", "query": "other"}), json.dumps({"message": "prediction"}), "[]"]


def test_the_live_traffic_is_asked_of_both_and_compared() -> None:
    service = Service()
    assert verdicts({"shadow": SHADOW}, service, logs=NOISE + LOG) == [
        ("pass", "overlap 1, at least 0.9, over 3 requests of users")
    ]
    own = [url for url in service.asked if f":{OWN}/" in url]
    assert own == [f"http://127.0.0.1:{OWN}/ask?q=a%20%26%20b%20{n}" for n in (1, 2, 3)]
    assert [url.replace(str(OWN), str(LIVE)) for url in own] == [url for url in service.asked if f":{LIVE}/" in url]
    assert verdicts({"shadow": SHADOW}, Service({OWN: False, LIVE: True}), logs=LOG) == [
        ("fail", "overlap 0 instead of at least 0.9, over 3 requests of users")
    ]


def test_without_enough_traffic_the_golden_set_takes_its_place() -> None:
    assert verdicts({"shadow": SHADOW}, Service(), logs=LOG[:1]) == [
        ("inconclusive", "1 logged requests, and no verdict below 3")
    ]
    both = {"shadow": SHADOW, "golden": {"questions": QUESTIONS, "min_score": 1}}
    assert verdicts(both, Service(), logs=LOG[:1])[1] == (
        "pass",
        "overlap 1, at least 0.9, over 1 requests of users and 4 golden questions",
    )
    assert verdicts({"shadow": SHADOW}, Service(), live=False) == [("pass", "nothing to compare with: nobody")]


def test_what_gates_asked_is_not_taken_for_what_users_asked() -> None:
    """The live release logs the golden questions of this very gate, and what it was asked as a candidate."""
    asked = [{"request": {"path": f"/ask?q=golden%20{n}"}, "expected": {"json": {"right": True}}} for n in range(3)]
    gate = {
        "http": [{"path": "/ask", "body": {"inputs": ["a & b 1"]}}],
        "golden": {"questions": asked, "min_score": 0, "max_drop": 1},
        "shadow": SHADOW,
    }
    apart = shadow.asked_by(gate)
    assert apart == {"golden 0", "golden 1", "golden 2", "a & b 1"}
    log = [*LOG, *(json.dumps({"message": "prediction", "query": f"golden {n}"}) for n in range(3))]
    service = Service({OWN: False, LIVE: True})
    late: list[str] = []

    def logging(check: HttpCheck) -> Answer:
        late.append(json.dumps({"message": "prediction", "query": f"late {len(late)}"}))
        return service.ask(check)

    way = replace(service.way(apart=apart), ask=logging, logs=lambda _lines: [*log, *late])
    *_, found = quality.judge(parse(gate), way, parse(gate, LIVE), 5)
    assert (found.verdict, found.evidence["of_users"]) == ("fail", 2)
    assert found.observed == "overlap 0 instead of at least 0.9, over 2 requests of users and 3 golden questions"


@pytest.mark.parametrize(
    ("change", "own", "live", "verdict", "said"),
    [
        # Entries that lack their key are all alike, and say nothing.
        ({}, {"results": [{"doc": 9}]}, {"results": [{"doc": 1}]}, "inconclusive", "whose entries have 'id'"),
        ({"key": "doc"}, {"results": [{"doc": 9}]}, {"results": [{"doc": 1}]}, "fail", "overlap 0"),
        # A candidate that does not answer does not agree, not even that there is nothing.
        ({}, None, {"results": []}, "fail", "overlap 0"),
        ({}, {"results": []}, {"results": []}, "pass", "overlap 1"),
        ({}, {"results": [{"id": 1}]}, None, "inconclusive", "3 more had no answer"),
    ],
)
def test_only_results_are_compared(change: dict[str, Any], own: Any, live: Any, verdict: str, said: str) -> None:
    made = shadow.parse({**SHADOW, **change}, "http://127.0.0.1:1")
    ours, theirs = (Answer(503 if one is None else 200, json.dumps(one).encode()) for one in (own, live))
    found = shadow.judge(made, [(ours, theirs)] * 3, 3)
    assert found.verdict == verdict
    assert said in found.observed


def test_what_was_asked_goes_wherever_its_place_is() -> None:
    made = shadow.parse({**SHADOW, "request": {"path": "/ask", "body": {"inputs": ["$QUERY"]}}}, "http://127.0.0.1:1")
    assert [one.body for one in shadow.requests(made, LOG[:1])] == ['{"inputs": ["a & b 1"]}']


def test_what_is_for_the_soak_is_not_for_the_gate() -> None:
    made = parse({"metrics": [{**METRIC, "at": "soak"}], "golden": {"questions": QUESTIONS, "min_score": 1}})
    assert made.at(metric_checks.GATE).metrics == ()
    assert made.at(metric_checks.SOAK).golden is None
    assert parse({}).empty
    assert not made.at(metric_checks.SOAK).empty


def test_in_the_soak_metrics_are_looked_at_as_they_have_grown() -> None:
    service = Service()
    look = quality.looks(parse({"metrics": [METRIC]}), service.way())
    assert [(one.name, one.holds, one.pending) for one in look()] == [("system gate, errors_total", False, True)]
    service.asked += [f"http://127.0.0.1:{OWN}/ask"] * 5
    assert [(one.holds, one.pending, one.observed) for one in look()] == [(True, False, "0, within at most 0.1")]


def test_questions_go_to_the_service_that_is_named_and_else_to_the_first() -> None:
    routes = (*endpoint(OWN), Endpoint(Route("admin", 9000, (), "/admin"), LIVE))
    declared = {"golden": {"questions": QUESTIONS[:1], "min_score": 1}, "shadow": SHADOW}
    for service, port in (({}, OWN), ({"service": "api"}, OWN), ({"service": "admin"}, LIVE)):
        made = quality.parse({key: {**value, **service} for key, value in declared.items()}, routes, {})
        assert made.golden is not None
        assert made.golden.questions[0].request.url == f"http://127.0.0.1:{port}/ask"
        assert made.shadow is not None
        assert made.shadow.base_url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"golde": {}}, "unknown key 'golde'; known: failures, golden, http"),
        ({"http": [{"path": "/a", "max_latency": 9}]}, "gate '/a' has the unknown key 'max_latency'; known: body"),
        ({"metrics": [METRIC, METRIC]}, "the same name"),
        ({"metrics": [{**METRIC, "service": "db"}]}, "'db', which has no route"),
        (
            {"golden": {"questions": QUESTIONS, "service": "db"}},
            "golden set names the service 'db', which has no route",
        ),
        ({"shadow": {**SHADOW, "service": "db"}}, "shadow names the service 'db', which has no route"),
        ({"shadow": {"field": "query"}}, "needs 'field', 'request' and 'min_overlap'"),
        ({"shadow": {**SHADOW, "request": {"path": "/ask"}}}, r"say \$QUERY"),
        ({"shadow": {**SHADOW, "overlap": 1}}, "unknown key 'overlap'"),
    ],
)
def test_what_cannot_be_meant_is_refused(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        parse(declared)
