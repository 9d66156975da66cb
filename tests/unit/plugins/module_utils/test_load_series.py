"""Requests and times second by second: what falls into which point, and that it stays small."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.load_series import Series, Times


def test_nothing_asked_is_no_series() -> None:
    assert Series().to_json(0.0) == {}


def test_each_second_has_a_point_also_one_in_which_nothing_ended() -> None:
    series = Series()
    for when, ok, ms in ((10.0, True, 4.0), (10.9, True, 8.0), (11.0, False, 5000.0), (14.5, True, 2.0)):
        series.add(when, ok, ms)
    found = series.to_json(100.0)
    assert (found["began"], found["width"]) == (110.0, 1)
    assert found["requests"] == [2, 1, 0, 0, 1]
    assert found["failures"] == [0, 1, 0, 0, 0]
    assert found["max_ms"] == [8.0, None, None, None, 2.0], "a failure has no time of an answer"
    assert found["p95_ms"][0] == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "width", "points"), [(600, 1, 600), (601, 2, 301), (1201, 4, 301), (14400, 32, 450)]
)
def test_a_long_run_has_wider_points_and_loses_no_request(seconds: int, width: int, points: int) -> None:
    series = Series()
    for second in range(seconds):
        series.add(float(second), second % 10 != 0, second % 7 + 1.0)
    found = series.to_json(0.0)
    assert (found["width"], len(found["requests"])) == (width, points)
    assert sum(found["requests"]) == seconds
    assert sum(found["failures"]) == len(range(0, seconds, 10))
    assert {len(found[key]) for key in ("requests", "failures", "p95_ms", "max_ms")} == {points}
    assert max(ms for ms in found["max_ms"] if ms is not None) == 7.0


def test_a_host_that_stood_still_for_a_day_does_not_fill_the_memory() -> None:
    series = Series()
    series.add(0.0, True, 1.0)
    series.add(86400.0, True, 9.0)
    found = series.to_json(0.0)
    assert len(found["requests"]) <= 600
    assert (found["requests"][0], found["requests"][-1]) == (1, 1)
    assert (found["max_ms"][0], found["max_ms"][-1]) == (1.0, 9.0)


def test_merged_times_are_as_if_counted_together() -> None:
    left, right, both = Times(1.1), Times(1.1), Times(1.1)
    for n in range(1, 101):
        (left if n % 2 else right).add(float(n))
        both.add(float(n))
    left.merge(right)
    assert (left.percentile(0.95), left.slowest_ms) == (both.percentile(0.95), 100.0)
    assert both.percentile(0.95) == pytest.approx(95, rel=0.1)
    assert Times(1.1).percentile(0.5) is None
