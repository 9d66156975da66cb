"""The page, the figures and the chart say the same, and a run that must be red is red."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bench.chart import Axis, chart
from bench.figures import Loss, Timings, Way
from bench.report import Results, as_json, markdown, table
from tests.unit.bench.test_figures import KEPT

GOOD = Loss(1000, 0, 0, 9.0)
BAD = Loss(900, 300, 1500, 9.0, {"k6 error 1220": 300})
WAYS = (
    Way("down-up", "`down; up`", (6.0, 8.0), (BAD, BAD), (0.0, 200.0, 350.0, 0.0), 0),
    Way("control", "no change", (5.0,), (GOOD,), (0.0,) * 4, 0),
    Way("davit-deploy", "Davit deploy", (9.0,), (GOOD,), (0.0,) * 4, 0),
)
RESULTS = Results("2026-01-02", 200, {"cores": "2", "k6": "1.1.0"}, WAYS, KEPT)


def with_loss(key: str) -> Results:
    """The results with a loss in one way."""
    return replace(RESULTS, ways=tuple(replace(w, losses=(BAD,)) if w.key == key else w for w in WAYS))


def test_a_run_in_which_only_peers_lose_is_green() -> None:
    assert RESULTS.problems == []


def test_a_request_that_davit_loses_makes_the_run_red() -> None:
    assert with_loss("davit-deploy").problems == ["Davit lost 300 requests."]


def test_a_machine_that_does_not_carry_the_load_makes_the_run_red() -> None:
    assert "does not carry the load" in with_loss("control").problems[0]


def test_a_missed_promise_makes_the_run_red() -> None:
    problems = replace(RESULTS, timings=replace(KEPT, no_op=(5.1,))).problems
    assert problems == ["deploy of what is live already: 5.1 s, at most 5.0 s."]


def test_a_promise_that_was_not_measured_makes_the_run_red() -> None:
    results = replace(RESULTS, timings=replace(KEPT, rollback_warm=()))
    assert results.problems == ["rollback in the soak: not measured, at most 6.0 s."]
    assert "| rollback in the soak | 3 one-task playbooks | not measured | 6.0 s | **MISSED** |" in markdown(results)


def test_the_page_has_a_row_for_each_way() -> None:
    page = markdown(RESULTS)
    assert "| `down; up` | 2 | 1,800 | 600 | 300 | 1,500 ms | 9 ms | 7.0 s | 8.0 s |" in page
    assert "| no change | 1 | 1,000 | 0 |  | none | 9 ms |  |  |" in page
    assert "| deploy, soak 0 | raw up + 4 one-task playbooks | 12.0 s | 12.0 s | ok |" in page
    assert "MISSED" not in page
    assert "- k6: 1.1.0" in page


def test_the_page_says_what_the_load_could_not_send() -> None:
    late = replace(RESULTS, ways=tuple(replace(way, not_sent=7) for way in WAYS[:1]))
    assert "7 in the run with `down; up`" in markdown(late)
    assert "no connection free" not in markdown(RESULTS)


def test_the_page_can_be_written_without_any_timing() -> None:
    assert markdown(replace(RESULTS, timings=Timings())).count("**MISSED**") == 5


def test_the_figures_hold_each_change_and_each_promise() -> None:
    document = json.loads(as_json(RESULTS))
    assert [way["key"] for way in document["ways"]] == ["down-up", "control", "davit-deploy"]
    assert document["ways"][0]["losses"][1]["reasons"] == {"k6 error 1220": 300}
    assert {promise["kept"] for promise in document["promises"]} == {True}


def test_a_table_lines_figures_up_at_the_right() -> None:
    assert table(["a", "b"], [["x", "1"]]).splitlines() == ["| a | b |", "| --- | ---: |", "| x | 1 |"]


class Image(HTMLParser):
    """What stands in an SVG: its texts, and its rectangles by their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: set[str] = set()
        self.rectangles: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "rect":
            self.rectangles.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.words.add(data)


@pytest.fixture
def image() -> Image:
    return Image(chart(WAYS, 200, Axis(1.0, 1.0, 0.5)))


def test_the_chart_names_each_way_and_its_total(image: Image) -> None:
    expected = {"down; up", "600 failed of 1,800 in 2 changes", "Davit deploy", "0 failed of 1,000 in 1 change"}
    assert expected <= image.words


def test_the_chart_has_a_bar_where_requests_failed_and_stays_in_its_panel(image: Image) -> None:
    bars = [r for r in image.rectangles if r.get("fill") == "#c4432b"]
    assert [float(bar["height"] or 0) for bar in bars] == [72.0, 72.0]
    assert float(bars[0]["x"] or 0) < float(bars[1]["x"] or 0)
