# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Prometheus' text format: what is read, what is refused, and what is made of it."""

from __future__ import annotations

import math

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import exposition
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.exposition import Sample, Selector

PAGE = r"""# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method="GET",path="/a",status="200"} 10.0
http_requests_total{method="GET",path="/a",status="503"} 2
http_requests_total{ path="/a}b", status="500", } 1 1700000000000
text{said="a \"quoted\" \\ word\nand }"} 3 # {trace_id="x"} 1
plain 1.5e3
nothing NaN
endless +Inf
"""


def test_a_page_is_read_whole() -> None:
    samples = exposition.parse(PAGE)
    assert [s.name for s in samples] == ["http_requests_total"] * 3 + ["text", "plain", "nothing", "endless"]
    assert samples[2].labels == {"path": "/a}b", "status": "500"}
    assert samples[3].labels == {"said": 'a "quoted" \\ word\nand }'}
    assert samples[4].value == 1500
    assert math.isnan(samples[5].value)
    assert math.isinf(samples[6].value)


@pytest.mark.parametrize("line", ["<html>", "name", "name{a=} x", "1name 2", "name{} many"])
def test_what_is_no_sample_is_named(line: str) -> None:
    with pytest.raises(DavitError, match="line 2 of the metrics"):
        exposition.parse(f"fine 1\n{line}\n")


@pytest.mark.parametrize(
    ("selector", "values"),
    [
        ("http_requests_total", [10, 2, 1]),
        ('http_requests_total{status="200"}', [10]),
        ('http_requests_total{status!="200"}', [2, 1]),
        ('http_requests_total{status=~"5.."}', [2, 1]),
        ('http_requests_total{status=~"5"}', []),
        ('http_requests_total{status!~"5..",path="/a"}', [10]),
        ('http_requests_total{method=""}', [1]),
        ("http_requests", []),
    ],
)
def test_a_selector_finds(selector: str, values: list[float]) -> None:
    assert [s.value for s in Selector.parse(selector).of(exposition.parse(PAGE))] == values


@pytest.mark.parametrize("text", ["", "a b", "a{", 'a{b="c"', "a{b=c}", 'a{b=~"["}', "rate(a[5m])"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(DavitError):
        Selector.parse(text)


def test_counters_are_taken_since_an_earlier_look_and_survive_a_restart() -> None:
    before = [Sample("a", {"x": "1"}, 10), Sample("a", {"x": "2"}, 10)]
    after = [Sample("a", {"x": "1"}, 12), Sample("a", {"x": "2"}, 4), Sample("a", {"x": "3"}, 5)]
    assert [s.value for s in exposition.since(before, after)] == [2, 4, 5]


def buckets(counts: dict[str, float], **labels: str) -> list[Sample]:
    return [Sample("h_bucket", {"le": bound, **labels}, count) for bound, count in counts.items()]


@pytest.mark.parametrize(
    ("wanted", "counts", "expected"),
    [
        (0.5, {"0.1": 50, "0.2": 100, "+Inf": 100}, 0.1),
        (0.75, {"0.1": 50, "0.2": 100, "+Inf": 100}, 0.15),
        (0.95, {"0.1": 0, "0.2": 0, "+Inf": 10}, 0.2),
        (0.5, {"+Inf": 10}, 0.0),
        (0.5, {"0.1": 0, "+Inf": 0}, None),
        (0.5, {}, None),
        (0.1, {"0.1": 100, "+Inf": 100}, 0.01),
    ],
)
def test_a_quantile_is_interpolated_as_prometheus_does(
    wanted: float, counts: dict[str, float], expected: float | None
) -> None:
    found = exposition.quantile(wanted, buckets(counts))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert math.isclose(found, expected)


def test_a_quantile_is_over_all_series() -> None:
    both = buckets({"0.1": 10, "1": 10, "+Inf": 10}, path="/a") + buckets({"0.1": 0, "1": 10, "+Inf": 10}, path="/b")
    found = exposition.quantile(0.75, both)
    assert found is not None
    assert math.isclose(found, 0.55)
