"""Figures from requests and timings, on numbers that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.figures import Loss, Sample, Timings, Way, bounds, longest_gap, loss, over_time, parse


def samples(text: str, step: float = 0.1) -> list[Sample]:
    """A sample for each letter, `step` seconds apart from 100 on: "x" fails."""
    return [Sample(100 + number * step, 5.0, "status 502" if sign == "x" else "") for number, sign in enumerate(text)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1795526110020 1795526110034 200 0", Sample(1795526110.034, 14)),
        ("1795526110034 1795526110034 0 1212\n", Sample(1795526110.034, 0, "k6 error 1212")),
        ("1795526110031 1795526110034 503 1503", Sample(1795526110.034, 3, "status 503")),
        # An answer of another kind of success is not what was asked for.
        ("1795526110031 1795526110034 204 0", Sample(1795526110.034, 3, "status 204")),
        ("test run was aborted because k6 received a 'interrupt' signal", None),
        ("", None),
    ],
)
def test_a_line_of_the_load_is_a_sample_or_none(line: str, expected: Sample | None) -> None:
    assert parse(line) == expected


@pytest.mark.parametrize(
    ("signs", "gap"),
    [
        ("", 0),
        ("......", 0),
        ("..x...", 200),
        ("..xxx..", 400),
        (".xx.xxxx.", 500),
        ("..xxx", 300),
        ("xxx..", 300),
        ("xxx", 200),
        ("x", 0),
    ],
)
def test_the_longest_gap_is_between_successes_around_a_failure(signs: str, gap: int) -> None:
    assert longest_gap(samples(signs)) == gap


def test_a_pause_without_a_failure_is_no_gap() -> None:
    assert longest_gap([Sample(100, 5), Sample(200, 5), Sample(200.1, 5, "status 502"), Sample(200.2, 5)]) == 200


def test_a_loss_counts_its_own_stretch_of_time_only() -> None:
    found = loss(samples("xx..x..xx"), 100.2, 100.7)
    assert found == Loss(5, 1, 200, 5.0, {"status 502": 1})


def test_a_loss_sorts_what_came_in_another_order() -> None:
    assert loss(reversed(samples("..xx..")), 0, 1000).longest_gap == 300


def test_the_99th_percentile_leaves_failures_out() -> None:
    mixed = [Sample(100, took) for took in range(100)] + [Sample(100, 5000, "k6 error 1050")]
    assert loss(mixed, 0, 1000).p99 == 99


def test_a_loss_of_nothing_is_zero() -> None:
    assert loss([], 0, 1) == Loss(0, 0, 0, 0.0)


def test_failures_over_time_are_the_mean_per_second_over_the_changes() -> None:
    failed = [Sample(at + 3, 3000, "status 502") for at in (9.9, 10.1, 10.2, 10.6, 20.1, 50.0)]
    assert over_time(failed, [(10, 20), (20, 60)], before=1, after=1, step=0.5) == [0, 1, 3, 1]


def test_failures_of_the_next_change_are_not_those_of_this_one() -> None:
    failed = [Sample(at, 0, "status 502") for at in (10.5, 15.5)]
    assert over_time(failed, [(10, 15), (15, 20)], before=1, after=8, step=1) == [0, 1, 0, 0, 0, 0]


def test_failures_over_time_of_no_change_are_none() -> None:
    assert over_time([Sample(1, 1, "status 502")], [], 1, 1, 0.5) == []


def test_a_way_adds_up_its_changes() -> None:
    way = Way("k", "title", (1.0, 2.0), (Loss(10, 1, 20, 3.0), Loss(20, 4, 10, 5.0)), (), 0)
    assert (way.requests, way.failed, way.longest_gap) == (30, 5, 20)


KEPT = Timings(
    one_task=(2.0, 1.0, 9.0),
    raw_up=(4.0,),
    raw_start=(3.0,),
    deploy=(12.0,),
    no_op=(5.0,),
    rollback_warm=(6.0,),
    rollback_stopped=(9.0,),
    deploy_one=(12.0,),
    deploy_three=(21.6,),
)


def test_at_its_limit_a_promise_is_kept() -> None:
    """The one-task median is 2 s here, and each time is what it may be at most."""
    found = bounds(KEPT)
    assert len(found) == 5
    assert all(bound.kept for bound in found), found
    assert [bound.limit for bound in found] == pytest.approx([12.0, 5.0, 6.0, 9.0, 21.6])


@pytest.mark.parametrize("name", ["deploy", "no_op", "rollback_warm", "rollback_stopped", "deploy_three"])
def test_beyond_its_limit_only_that_promise_is_missed(name: str) -> None:
    values = {name: (getattr(KEPT, name)[0] + 0.1,)}
    missed = [bound for bound in bounds(replace(KEPT, **values)) if not bound.kept]
    assert [bound.measured for bound in missed] == [values[name][0]]


@pytest.mark.parametrize("name", ["one_task", "raw_up", "raw_start", "rollback_warm"])
def test_what_was_not_measured_is_not_kept(name: str) -> None:
    assert not all(bound.kept for bound in bounds(replace(KEPT, **{name: ()})))
