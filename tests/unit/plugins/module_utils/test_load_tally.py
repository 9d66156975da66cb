"""What the load probe counts as lost, and how it tells the times of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.load_tally import Sample, Tally

OK, NO = True, False


def summary(*samples: Sample) -> dict[str, Any]:
    tally = Tally()
    for sample in samples:
        tally.add(sample)
    return tally.summary()


def story(*entries: tuple[float, bool]) -> dict[str, Any]:
    """The summary of samples that took 10 ms each, given as when they ended and whether they were good."""
    return summary(
        *(Sample(when, ok, 0.01, "r1" if ok else None, "" if ok else f"at {when:g}") for when, ok in entries)
    )


@pytest.mark.parametrize(
    ("entries", "requests", "failures", "gap", "in_a_row", "first"),
    [
        pytest.param([], 0, 0, 0, 0, "", id="nothing asked"),
        pytest.param([(1, NO), (2, NO)], 0, 0, 0, 0, "", id="never live, nothing to lose"),
        pytest.param([(1, NO), (2, OK), (3, OK)], 2, 0, 0, 0, "", id="counts from the first good answer"),
        pytest.param([(1, OK), (9, OK)], 2, 0, 0, 0, "", id="a pause without failure is no gap"),
        pytest.param([(1, OK), (2, NO), (3.5, OK)], 3, 1, 2500, 0, "at 2", id="one failure"),
        pytest.param([(1, OK), (2, NO), (3, NO), (4, OK)], 4, 2, 3000, 0, "at 2", id="a run"),
        pytest.param([(1, OK), (2, NO), (4, OK), (5, NO), (6, OK)], 5, 2, 3000, 0, "at 2", id="longest, not last"),
        pytest.param([(1, OK), (2, NO), (3, OK), (5, NO), (9, OK)], 5, 2, 6000, 0, "at 2", id="longest, not first"),
        pytest.param([(1, OK), (2, NO), (4, NO)], 3, 2, 3000, 2, "at 2", id="a run at the end"),
        pytest.param([(1, OK), (2, OK), (3, OK), (4, NO), (5, OK)], 5, 1, 2000, 0, "at 4", id="since the last good"),
    ],
)  # fmt: skip
def test_what_counts(
    entries: list[tuple[float, bool]], requests: int, failures: int, gap: int, in_a_row: int, first: str
) -> None:
    found = story(*entries)
    assert (found["requests"], found["failures"], found["longest_gap_ms"]) == (requests, failures, gap)
    assert (found["failed_in_a_row"], found["first_failure"]) == (in_a_row, first)


def test_a_failure_asked_before_the_first_good_answer_is_not_counted() -> None:
    asked_before, asked_after = Sample(10.5, NO, 5.0, what="before"), Sample(10.6, NO, 0.1, what="after")
    found = summary(Sample(10.0, OK, 0.1, "r1"), asked_before, asked_after)
    assert (found["requests"], found["failures"], found["first_failure"]) == (2, 1, "after")


def test_percentiles_are_those_of_good_answers() -> None:
    good = [Sample(float(n), OK, n / 1000, "r1") for n in range(1, 101)]
    found = summary(*good, Sample(101.0, NO, 5.0, what="slow"))
    assert found["p50_ms"] == pytest.approx(50, rel=0.021)
    assert found["p95_ms"] == pytest.approx(95, rel=0.021)
    assert found["p99_ms"] == pytest.approx(99, rel=0.021)


@pytest.mark.parametrize("seconds", [0.0, 0.00001, 0.0123, 4.9, 60.0])
def test_no_percentile_is_above_what_was_seen(seconds: float) -> None:
    found = summary(Sample(1.0, OK, seconds, "r1"))
    assert found["p50_ms"] == found["p99_ms"] == pytest.approx(seconds * 1000, abs=0.01)


def test_without_a_good_answer_there_is_no_percentile() -> None:
    assert summary(Sample(1.0, NO, 0.1))["p99_ms"] is None


def test_releases_are_counted_apart() -> None:
    names = ["r1", "r1", "r2", "r1", "r2"]
    assert summary(*(Sample(float(n), OK, 0.01, name) for n, name in enumerate(names)))["releases"] == {
        "r1": 3,
        "r2": 2,
    }


def test_a_day_of_requests_stays_small() -> None:
    tally = Tally()
    for n in range(200_000):
        tally.add(Sample(n / 10, n % 7 != 0, (n * 7919 % 100_000) / 1000, f"r{n % 1000}", "x"))
    assert len(json.dumps(tally.summary())) < 3000
    assert len(json.dumps(tally.series(0.0))) < 20_000
    assert len(tally._times._buckets) < 1000


def test_the_series_counts_what_the_summary_counts() -> None:
    tally = Tally()
    for sample in (Sample(1.0, NO, 0.1), Sample(2.0, OK, 0.01, "r1"), Sample(2.5, NO, 0.1), Sample(3.2, OK, 0.02)):
        tally.add(sample)
    found, summed = tally.series(1000.0), tally.summary()
    assert (found["began"], found["requests"], found["failures"]) == (1002.0, [2, 1], [1, 0])
    assert (sum(found["requests"]), sum(found["failures"])) == (summed["requests"], summed["failures"])
