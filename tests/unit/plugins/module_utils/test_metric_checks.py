# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
# ruff: noqa: E501 (a table is read by its columns)
"""Bounds on metrics: what they hold against a release, and what they cannot tell."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import exposition, metric_checks
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

BEFORE = """errors_total 5
requests_total 5
"""
AFTER = """errors_total 6
requests_total 105
drift{feature="cuisine"} 0.3
drift{feature="price"} 0.05
broken NaN
window 400
h_bucket{le="0.1"} 90
h_bucket{le="1"} 100
h_bucket{le="+Inf"} 100
h_count 100
"""


@pytest.mark.parametrize(
    ("entry", "verdict", "observed"),
    [
        ({"metric": "drift", "max": 0.4}, "pass", "0.3 (feature=cuisine), within at most 0.4"),
        ({"metric": "drift", "max": 0.25}, "fail", "0.3 (feature=cuisine) instead of at most 0.25"),
        ({"metric": "drift", "min": 0.1}, "fail", "0.05 (feature=price) instead of at least 0.1"),
        ({"metric": 'drift{feature="price"}', "min": 0, "max": 0.1}, "pass", "0.05 (feature=price), within at least 0 and at most 0.1"),
        ({"metric": "broken", "max": 1}, "fail", "nan instead of at most 1"),
        ({"metric": "absent", "max": 1}, "inconclusive", "the service tells no absent"),
        ({"metric": "drift", "max": 1, "samples": "window", "min_samples": 500}, "inconclusive", "400 samples, and no verdict below 500"),
        ({"metric": "drift", "max": 1, "samples": "window", "min_samples": 400}, "pass", "0.3 (feature=cuisine), within at most 1"),
        ({"metric": "drift", "max": 1, "samples": "gone", "min_samples": 1}, "inconclusive", "0 samples, and no verdict below 1"),
        # Since the gate began: 1 of 100, and not 6 of 105.
        ({"metric": "errors_total", "of": "requests_total", "max": 0.01}, "pass", "0.01, within at most 0.01"),
        # One failure says nothing of a rate yet, unless it was said how many requests are enough, or none is allowed.
        ({"metric": "errors_total", "of": "requests_total", "max": 0.001}, "inconclusive", "1 of 100, which is no rate below 1000 samples"),
        ({"metric": "errors_total", "of": "requests_total", "max": 0.001, "min_samples": 50}, "fail", "0.01 instead of at most 0.001"),
        ({"metric": "errors_total", "of": "requests_total", "max": 0}, "fail", "0.01 instead of at most 0"),
        ({"metric": "window", "of": "requests_total", "max": 0.001}, "fail", "4 instead of at most 0.001"),
        ({"metric": "errors_total", "of": "gone_total", "max": 0.1}, "inconclusive", "0 samples, and no verdict below 1"),
        ({"metric": "gone_total", "of": "requests_total", "max": 0.1}, "pass", "0, within at most 0.1"),
        ({"metric": "h", "quantile": 0.9, "max": 0.1}, "pass", "0.1, within at most 0.1"),
        ({"metric": "h", "quantile": 0.95, "max": 0.5}, "fail", "0.55 instead of at most 0.5"),
        ({"metric": "h", "quantile": 0.95, "max": 0.5, "min_samples": 101}, "inconclusive", "100 samples, and no verdict below 101"),
        ({"metric": "gone", "quantile": 0.95, "max": 0.5}, "inconclusive", "0 samples, and no verdict below 1"),
    ],
)  # fmt: skip
def test_a_bound_is_judged(entry: dict[str, Any], verdict: str, observed: str) -> None:
    check = metric_checks.parse(entry)
    finding = metric_checks.judge(check, exposition.parse(BEFORE), exposition.parse(AFTER))
    assert (finding.verdict, finding.observed) == (verdict, observed)


@pytest.mark.parametrize(
    ("answer", "verdict", "observed"),
    [
        ({"data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1, "0.2"]}]}}, "pass", "0.2 (a=b), within at most 0.5"),
        ({"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]}}, "inconclusive", "the query has no result but NaN"),
        ({"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}, {"metric": {}, "value": [1, "0.1"]}]}}, "fail", "nan instead of at most 0.5"),
        ({"data": {"resultType": "scalar", "result": [1, "0.7"]}}, "fail", "0.7 instead of at most 0.5"),
        ({"data": {"resultType": "vector", "result": []}}, "inconclusive", "the query has no result"),
        ({"status": "error", "error": "bad query"}, "inconclusive", "Prometheus: bad query"),
        ({"status": "error"}, "inconclusive", "Prometheus: no answer"),
    ],
)  # fmt: skip
def test_a_query_is_judged(answer: dict[str, Any], verdict: str, observed: str) -> None:
    check = metric_checks.parse({"promql": "up", "max": 0.5})
    finding = metric_checks.judge_query(check, {"status": "success", **answer})
    assert (finding.verdict, finding.observed) == (verdict, observed)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"metric": "a"}, "'min', 'max' or both"),
        ({"max": 1}, "either 'metric' or 'promql'"),
        ({"metric": "a", "promql": "b", "max": 1}, "either 'metric' or 'promql'"),
        ({"metric": "a", "max": 1, "maximum": 2}, "unknown key 'maximum'"),
        ({"metric": "a", "max": 1, "level": "users"}, "'level' is one of"),
        ({"metric": "a", "max": 1, "at": "night"}, "'at' is gate"),
        ({"metric": "a", "max": 1, "quantile": 95}, "between 0 and 1"),
        ({"promql": "a", "max": 1, "of": "b"}, "say it in the query"),
        ({"metric": "a b", "max": 1}, "is no metric"),
    ],
)
def test_a_check_that_cannot_be_meant_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        metric_checks.parse(entry)


def test_a_check_says_when_it_is_looked_at() -> None:
    assert metric_checks.parse({"metric": "a", "max": 1}).at == ("gate",)
    assert metric_checks.parse({"metric": "a", "max": 1, "at": "soak"}).at == ("soak",)
    assert metric_checks.parse({"metric": "a", "max": 1, "at": ["gate", "soak"]}).at == ("gate", "soak")
