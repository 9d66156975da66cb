# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The golden set: what scores, what is refused, and how two releases are compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import golden_set
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer
from ansible_collections.davit.ec2.plugins.module_utils.golden_set import GoldenSet, Reply
from ansible_collections.davit.ec2.plugins.module_utils.metric_checks import Finding

BASE = "http://127.0.0.1:1"


def golden(*expected: dict[str, Any], **settings: Any) -> GoldenSet:
    questions = [
        {"group": one.pop("group", "all"), "request": {"path": "/ask", "body": {"n": n}}, "expected": one}
        for n, one in enumerate(map(dict, expected))
    ]
    return golden_set.parse({"questions": questions, **(settings or {"min_score": 0.5})}, BASE)


def answer(document: Any, **more: Any) -> Answer:
    return Answer(status=200, body=json.dumps(document).encode(), seconds=0.1, **more)


ITEMS = [{"id": str(n), "tags": ["vegan"] if n < 5 else [], "text": f"Dish {n}"} for n in range(20)]


@pytest.mark.parametrize(
    ("expected", "given", "score"),
    [
        ({"json": {"label": "spam"}}, answer({"label": "spam"}), 1),
        ({"json": {"label": "spam"}}, answer({"label": "ham"}), 0),
        ({"json": {"p": {"min": 0.5}}}, answer({"p": 0.7}), 1),
        ({"relevant": {"tags": "vegan"}}, answer({"results": ITEMS}), 0.5),
        ({"relevant": {"tags": "vegan"}, "k": 5}, answer({"results": ITEMS}), 1),
        ({"relevant": {"text": {"contains": "DISH 1"}}}, answer({"results": ITEMS}), 0.1),
        ({"relevant": {"tags": "vegan", "id": "3"}, "k": 4}, answer({"results": ITEMS}), 0.25),
        ({"relevant": {"tags": "vegan"}, "results": "hits.list"}, answer({"hits": {"list": ITEMS[:2]}}), 0.2),
        ({"relevant": ["1", "3", "77"]}, answer({"results": ITEMS}), pytest.approx(2 / 3)),
        ({"relevant": ["1", "3"], "results": "ids"}, answer({"ids": ["3", "3", "1"]}), 1),
        ({"relevant": ["7"], "key": "number"}, answer({"results": [{"number": 7}]}), 1),
        ({"relevant": ["1"]}, answer({"results": "none"}), 0),
        ({"relevant": ["1"]}, answer({}), 0),
        ({"relevant": ["1"]}, Answer(status=500, body=b"oops"), 0),
        ({"relevant": ["1"]}, Answer(status=200, body=b"<html>"), 0),
        ({"relevant": ["1"]}, Answer(error="connection refused"), 0),
    ],
)
def test_an_answer_is_scored(expected: dict[str, Any], given: Answer, score: float) -> None:
    (question,) = golden(expected).questions
    assert golden_set.score(question, given).score == score


RIGHT, WRONG, BUSY = Reply(1.0, 10), Reply(0.0, 10), Reply(0.0, 10, "status 503", answered=False)
A, B = {"json": {"x": 1}, "group": "a"}, {"json": {"x": 1}, "group": "b"}


@pytest.mark.parametrize(
    ("settings", "replies", "live", "verdicts", "said"),
    [
        ({"min_score": 0.5}, [RIGHT, WRONG], None, ["pass"], "a 1, all 0.5, b 0"),
        ({"min_score": 0.6}, [RIGHT, WRONG], None, ["fail"], "all 0.5 instead of at least 0.6"),
        ({"min_score": {"a": 1, "b": 0.1}}, [RIGHT, WRONG], None, ["fail"], "b 0 instead of at least 0.1"),
        ({"max_drop": 0.1}, [RIGHT, RIGHT], [RIGHT, RIGHT], ["pass", "pass"], "no group fell by more than 0.1"),
        ({"max_drop": 0.1}, [RIGHT, WRONG], [RIGHT, RIGHT], ["pass", "fail"], "b fell from 1 to 0, by more than 0.1"),
        ({"max_drop": 1}, [RIGHT, WRONG], [RIGHT, RIGHT], ["pass", "pass"], "no group fell by more than 1"),
        # What one group wins does not make up for what another one loses.
        ({"max_drop": 0.1}, [RIGHT, WRONG], [WRONG, RIGHT], ["pass", "fail"], "b fell from 1 to 0"),
        ({"max_drop": 0.1}, [WRONG, WRONG], None, ["pass", "pass"], "nothing to compare with: nobody"),
        (
            {"max_drop": 0.1},
            [WRONG, WRONG],
            [Reply(0, 0, "refused")],
            ["pass", "pass"],
            "nothing to compare with: nobody",
        ),
        # A live release that is too busy for a question allows the candidate no wrong answer.
        ({"max_drop": 0.1}, [WRONG, WRONG], [RIGHT, BUSY], ["pass", "fail"], "a fell from 1 to 0, by more than 0.1"),
        ({"max_drop": 0.1}, [RIGHT, WRONG], [RIGHT, BUSY], ["pass", "pass"], "no group fell by more than 0.1"),
        ({"max_drop": 0.1}, [WRONG, WRONG], [BUSY, BUSY], ["pass", "pass"], "nothing to compare with: nobody"),
        ({"max_p95_ms": 10}, [RIGHT, WRONG], None, ["pass", "pass"], "p95 10 ms"),
        ({"max_p95_ms": 9}, [RIGHT, WRONG], None, ["pass", "fail"], "p95 10 ms instead of at most 9 ms"),
        ({"min_score": 0.1}, [Reply(0, 0, "refused")], None, ["fail"], "given up at question 1: refused"),
    ],
)
def test_the_set_is_judged(
    settings: dict[str, Any], replies: list[Reply], live: list[Reply] | None, verdicts: list[str], said: str
) -> None:
    findings = golden_set.judge(golden(A, B, **settings), replies, live, "nobody")
    assert [f.verdict for f in findings] == verdicts
    assert findings[-1].observed.startswith(said)


def test_what_was_not_taken_is_told_from_a_wrong_answer() -> None:
    (question,) = golden({"json": {"label": "spam"}}).questions
    for given, answered in ((answer({"label": "ham"}), True), (Answer(503), False), (Answer(error="refused"), False)):
        assert golden_set.score(question, given).answered is answered
    (listed,) = golden({"relevant": ["1"]}).questions
    assert golden_set.score(listed, answer({})).answered
    evidence = golden_set.judge(golden(A, B, max_drop=1), [WRONG, RIGHT], [RIGHT, BUSY])[-1].to_json()
    assert evidence["compared"] == {"questions": 1, "scores": {"a": 0, "all": 0}}


def test_wrong_answers_leave_their_reason() -> None:
    findings = golden_set.judge(golden(A, B), [RIGHT, Reply(0, 1, "status 500")], None)
    assert findings[0].to_json()["errors"] == {"count": 1, "first": "status 500"}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.01, 1), (1.0, 10)])
def test_percentiles_by_nearest_rank(share: float, expected: float) -> None:
    assert golden_set.percentile(range(1, 11), share) == expected


QUESTION = {"request": {"path": "/a"}, "expected": {"json": {"x": 1}}}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"min_score": 1}, "has no questions"),
        ({"questions": [QUESTION]}, "decides nothing"),
        ({"questions": [QUESTION], "minimum": 1}, "unknown key 'minimum'"),
        ({"questions": [{"request": {"path": "/a"}}], "min_score": 1}, "Question 1"),
        ({"questions": [QUESTION, {"expected": {"json": {"x": 1}}}], "min_score": 1}, "Question 2"),
        ({"questions": [{**QUESTION, "request": {"path": "a"}}], "min_score": 1}, "starts with '/'"),
        ({"questions": [QUESTION], "min_score": {"hard": 1}}, "a floor for 'hard'"),
        ({"questions": [{**QUESTION, "request": {"path": "/a", "boddy": 1}}], "min_score": 1}, "unknown key 'boddy'"),
        ({"questions": [{**QUESTION, "expected": {"json": {"x": 1}, "kk": 5}}], "min_score": 1}, "unknown key 'kk'"),
        ({"questions": [QUESTION] * 2001, "min_score": 1}, "at most 2000"),
    ],
)
def test_a_set_that_cannot_be_meant_is_refused(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        golden_set.parse(declared, BASE)


def test_a_verdict_names_all_of_its_causes() -> None:
    bad = Finding("drift", "data", "fail", "0.9")
    worse = Finding("golden set", "model", "fail", "0.1")
    unknown = Finding("errors", "system", "inconclusive", "no samples")
    good = Finding("latency", "system", "pass", "1 ms")
    assert golden_set.verdict([good, unknown, bad, worse]) == (
        "fail",
        "data gate, drift: 0.9; model gate, golden set: 0.1",
    )
    assert golden_set.verdict([good, unknown]) == ("inconclusive", "system gate, errors: no samples")
    assert golden_set.verdict([good]) == ("pass", "")
