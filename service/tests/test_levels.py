"""What the service tells about its data and its model: drift, the golden set, and the metrics of both."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from model_build import synthetic
from model_build.__main__ import main as build_model
from prometheus_client.parser import text_string_to_metric_families
from restaurant_search import golden
from restaurant_search.api import Service, create_app
from restaurant_search.drift import ENOUGH, CatalogueDrift, Feature, Reference, Window, psi
from restaurant_search.engine import Engine, Filters
from restaurant_search.golden import GoldenError, Question
from restaurant_search.settings import Settings

from tests.conftest import wait_ready

CLEAN, LARGE = 0.1, 0.25


def samples(client: TestClient) -> dict[str, float]:
    """Everything in /metrics, by `name{label=value,...}`."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def eventually(condition: Callable[[], bool]) -> None:
    """Ask until it holds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_psi() -> None:
    """Nothing moved is 0; the textbook value for a half that moved; an empty bin is no division by zero."""
    assert psi([0.5, 0.5], [500, 500]) == pytest.approx(0, abs=1e-9)
    assert psi([0.5, 0.5], [7500, 2500]) == pytest.approx(0.25 * np.log(3), rel=1e-3)
    assert psi([0.9, 0.1, 0.0], [0, 0, 1000]) > 5


def test_features() -> None:
    """Numbers fall between edges, unknown names into the last bin."""
    numbers = Feature.of_numbers([1, 2, 3, 9], [2, 4])
    assert numbers.shares == (0.25, 0.5, 0.25)
    names = Feature.of_names(["a", "b", "b", "b"])
    assert (names.bin("a"), names.bin("b"), names.bin("z")) == (0, 1, 2)
    assert names.shares == (0.25, 0.75, 0.0)
    many = Feature.of_names([f"cuisine {n}" for n in range(20) for _ in range(20 - n)] + ["rare"])
    assert len(many.names) == 15
    assert "cuisine 19" not in many.names
    assert many.shares[-1] == pytest.approx((1 + 2 + 3 + 4 + 5 + 1) / 211, abs=1e-6)


@pytest.mark.parametrize("size", [ENOUGH, 2000])
def test_chance_alone_is_no_drift_however_many_names_there_are(size: int) -> None:
    """Between two samples of the same 300 names, most of which are rare."""
    dice = np.random.default_rng(1)
    shares = 1 / np.arange(1, 301)
    drawn, again = ([str(n) for n in dice.choice(300, count, p=shares / shares.sum())] for count in (1000, size))
    feature = Feature.of_names(drawn)
    assert feature.psi(map(feature.bin, again)) < CLEAN


def test_a_reference_survives_the_disk(model_dir: Path, tmp_path: Path) -> None:
    """Also with components, which the small model here has not."""
    made = Reference.read(model_dir)
    axes = np.eye(2, 3, dtype=np.float32)
    whole = Reference(made.origin, made.queries, made.catalogue, made.vocabulary, 0.5, np.zeros(3, np.float32), axes)
    whole.save(tmp_path)
    again = Reference.read(tmp_path)
    assert (again.queries, again.catalogue, again.vocabulary) == (made.queries, made.catalogue, made.vocabulary)
    assert again.error(np.array([1, 2, 3], np.float32)) == pytest.approx(3)
    assert again.error(None) is None
    assert made.error(np.array([1, 2, 3], np.float32)) is None


def ask(engine: Engine, window: Window, queries: list[str]) -> None:
    """Let a window see these searches."""
    for query in queries:
        found = engine.find(query, Filters(), 1)
        window.add(query, found.hits[0].restaurant.cuisine if found.hits else None, found.error)


def test_queries_that_drift_are_told_from_clean_ones(model_dir: Path) -> None:
    """Each knob by itself, over one full window; and there is no verdict below 500."""
    engine = Engine.load(model_dir)
    assert engine.reference is not None
    clean = Window(engine.reference)
    ask(engine, clean, synthetic.queries(ENOUGH - 1, seed=77))
    assert clean.drift().psi == {}
    assert clean.drift().unknown_words is None
    ask(engine, clean, synthetic.queries(1500, seed=78))
    seen = clean.drift()
    assert seen.size == 1999
    assert max(seen.psi.values()) < CLEAN
    assert seen.unknown_words == 0
    mixed = Window(engine.reference)
    ask(engine, mixed, synthetic.queries(2000, 79, synthetic.Drift(cuisine_mix=0.7)))
    assert mixed.drift().psi["cuisine"] > LARGE
    unseen = Window(engine.reference)
    ask(engine, unseen, synthetic.queries(2000, 80, synthetic.Drift(unseen=0.7)))
    assert (unseen.drift().unknown_words or 0) > 0.1


@pytest.mark.parametrize(("found", "judged"), [(0, False), (ENOUGH - 1, False), (ENOUGH, True)])
def test_a_feature_is_judged_by_as_many_searches_as_have_it(model_dir: Path, *, found: int, judged: bool) -> None:
    """Of few its PSI is chance, and of none it is 0, which would say that nothing has moved."""
    window = Window(Reference.read(model_dir))
    for number, query in enumerate(synthetic.queries(2 * ENOUGH, seed=9)):
        window.add(query, "Thai" if number < found else None, None)
    assert set(window.drift().psi) == ({"query_words", "cuisine"} if judged else {"query_words"})


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (synthetic.NONE, {"cuisine": False, "price": False, "words": False}),
        (synthetic.Drift(cuisine_mix=0.6), {"cuisine": True, "price": False, "words": False}),
        (synthetic.Drift(unseen=0.6), {"cuisine": False, "price": False, "words": True}),
    ],
)
def test_a_catalogue_that_drifts_is_told_from_another_clean_one(
    model_dir: Path, moved: synthetic.Drift, expected: dict[str, bool]
) -> None:
    """By what moved, and by nothing else."""
    drift = CatalogueDrift.of(Reference.read(model_dir), synthetic.generate(1500, 5, moved))
    assert {**{k: v > LARGE for k, v in drift.psi.items()}, "words": drift.unknown_words > 0.05} == expected
    with pytest.raises(ValueError, match="between 0 and 1"):
        synthetic.Drift(unseen=1.5)


def test_the_golden_set_counts_what_fits() -> None:
    """Precision over the first ten, recall over what there is; what nothing fits is not asked."""
    entries = [{"id": str(n), "features": ["vegan"] if n < 5 else [], "text": "Pizza"} for n in range(20)]
    vegan = Question("no meat", "lexical", {"features": "vegan"})
    pizza = Question("pizza", "lexical", {"text": {"contains": "pizza"}, "id": "3"})
    absent = Question("sushi", "lexical", {"features": "sushi"})
    scores = golden.run([vegan, pizza, absent], lambda _question, limit: entries[3 : 3 + limit], entries)["lexical"]
    assert scores.questions == 2
    assert scores.precision == pytest.approx((2 / 5 + 1) / 2)
    assert scores.recall == pytest.approx((2 / 5 + 1) / 2)
    assert golden.Scores(1, 0.5, 1.0).f1 == pytest.approx(2 / 3)
    assert golden.Scores(1, 0.0, 0.0).f1 == 0


def test_a_question_is_asked_as_the_gate_asks_it(model_dir: Path, tmp_path: Path) -> None:
    """With its filters, also for a list of fitting entries; what the service cannot score is left to the gate."""
    engine = Engine.load(model_dir)
    thai = [entry for entry in engine.entries if entry.cuisine == "Thai"]
    body = {"query": "somewhere with a leafy terrace", "cuisine": "thai", "features": [thai[0].features[0]], "limit": 3}
    lines = [
        {"request": {"path": "/search", "body": body}, "expected": {"relevant": {"cuisine": "Thai"}}},
        {"request": {"path": "/search", "body": {"query": thai[0].name}}, "expected": {"relevant": [thai[0].id]}},
        {"request": {"path": "/search?q=pho"}, "expected": {"relevant": {"cuisine": "Vietnamese"}}},
        {"request": {"path": "/search", "body": {"query": "pho"}}, "expected": {"json": {"count": 10}}},
    ]
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    questions = golden.read(path)
    assert [(q.query, q.filters) for q in questions] == [
        (body["query"], {"cuisine": "thai", "features": (thai[0].features[0],)}),
        (thai[0].name, {}),
    ]
    assert [q.fits(thai[0].as_dict()) for q in questions] == [True, True]
    assert not questions[1].fits(thai[1].as_dict())
    answers = engine._records(questions[0], 100)
    assert answers
    assert {answer["cuisine"] for answer in answers} == {"Thai"}


@pytest.mark.parametrize(
    "line",
    ["{", '{"request": {}}', "", '{"request": {"body": {"query": "pho"}}, "expected": {"relevant": "r1"}}', "[]"],
)
def test_a_golden_set_that_cannot_be_used_is_named(tmp_path: Path, line: str) -> None:
    """With the line, also when it holds no question at all."""
    path = tmp_path / "golden.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(GoldenError, match=r"golden\.jsonl"):
        golden.read(path)


def test_the_golden_set_of_this_directory_fits_the_synthetic_catalogue(model_dir: Path) -> None:
    """The words of its lexical questions are in the entries, and word counts alone find those and not the others."""
    scores = Engine.load(model_dir).run_golden()
    assert (scores["lexical"].questions, scores["paraphrase"].questions) == (32, 27)
    assert scores["lexical"].precision >= 0.95
    assert scores["paraphrase"].precision <= 0.3


def test_the_manifest_tells_what_a_model_was_measured_with(model_dir: Path) -> None:
    """What it is compared with, when it was made, and how it did."""
    about = Engine.load(model_dir).about
    assert about.golden["lexical"] >= 0.95
    assert about.reference == about.catalogue
    assert abs(time.time() - about.created_at) < 3600


def test_another_reference_can_be_given(model_dir: Path, tmp_path: Path) -> None:
    """As for a new catalogue that is compared with the one before."""
    options = ["--model", "tfidf", "--count", "600", "--cuisine-mix", "0.8", "--reference", str(model_dir)]
    assert build_model([*options, "--out", str(tmp_path)]) == 0
    engine = Engine.load(tmp_path)
    assert engine.reference is not None
    assert CatalogueDrift.of(engine.reference, engine.entries).psi["cuisine"] > LARGE
    assert "cuisine mix 0.8" in engine.about.catalogue


def test_own_queries_are_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few of them are refused."""
    queries = tmp_path / "queries.txt"
    # Sorted, as they are often exported, and with what one user alone has typed.
    asked = sorted([*synthetic.queries(1199, 3), "table for zaphod"])
    queries.write_text("\n".join(asked), encoding="utf-8")
    options = ["--model", "tfidf", "--count", "300", "--queries", str(queries), "--out", str(tmp_path / "model")]
    assert build_model(options) == 0
    engine = Engine.load(tmp_path / "model")
    assert engine.reference is not None
    assert "zaphod" not in engine.reference.vocabulary
    window = Window(engine.reference)
    ask(engine, window, synthetic.queries(2000, 4))
    seen = window.drift()
    assert max(seen.psi.values()) < CLEAN
    assert (seen.unknown_words or 0) < 0.01
    queries.write_text("pizza\n", encoding="utf-8")
    assert build_model(options) == 1
    assert "1 queries" in capsys.readouterr().err


def test_of_queries_that_nobody_knows_nothing_is_told(model_dir: Path, tmp_path: Path) -> None:
    """With an own catalogue and no queries; the catalogue has its age and its drift all the same."""
    own = tmp_path / "own.jsonl"
    shutil.copy(model_dir / "catalogue.jsonl", own)
    options = ["--model", "tfidf", "--catalogue", str(own), "--catalogue-date", "2026-01-31"]
    assert build_model([*options, "--out", str(tmp_path / "model")]) == 0
    service = Service(Settings(), load=lambda: Engine.load(tmp_path / "model"))
    with TestClient(create_app(service)) as client:
        wait_ready(client)
        assert service.window is not None
        for query in synthetic.queries(ENOUGH, seed=9):
            service.window.add(query, "Thai", None)
        seen = samples(client)
    assert not [name for name in seen if name.startswith(("data_drift_psi", "data_out_of", "model_reconstruction"))]
    assert seen["data_drift_window_requests"] == ENOUGH
    assert seen["catalogue_created_timestamp_seconds{origin=given}"] == 1769817600
    assert seen["catalogue_drift_psi{feature=cuisine}"] < CLEAN


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({}, "missing"),
        ({"query": ""}, "missing"),
        ({"query": None}, "missing"),
        ({"query": None, "limit": 0}, "invalid"),
        ({"query": 5}, "invalid"),
        ({"query": "pizza", "cuisine": ""}, "invalid"),
        ({"query": "pizza", "cuisine": "Martian"}, "invalid"),
        ({"query": "x" * 20000}, "invalid"),
    ],
)
def test_what_is_wrong_with_a_search_is_counted(client: TestClient, body: dict[str, object], outcome: str) -> None:
    """As lacking its query, or as wrong, once; also what is too large to look at."""
    assert client.post("/search", json=body).status_code in (413, 422)
    seen = samples(client)
    counted = {name: seen[f"search_inputs_total{{outcome={name}}}"] for name in ("valid", "missing", "invalid")}
    assert counted == {"valid": 0, "missing": 0, "invalid": 0, outcome: 1}


def test_what_a_gate_asks_is_not_what_users_ask(client: TestClient) -> None:
    """A soak asks the same question every half second, and would look like drift after each deploy."""
    gate = {"user-agent": "davit-gate"}
    assert client.post("/search", json={"query": "xylophone"}, headers=gate).status_code == 200
    assert client.get("/search?q=pizza", headers=gate).status_code == 200
    assert client.post("/search", json={}, headers=gate).status_code == 422
    seen = samples(client)
    assert {seen[f"search_inputs_total{{outcome={name}}}"] for name in ("valid", "missing", "invalid")} == {0}
    assert (seen["search_empty_results_total"], seen["data_drift_window_requests"]) == (0, 0)
    assert seen["http_requests_total{method=POST,path=/search,status=200}"] == 1


def test_metrics_of_all_three_levels(client: TestClient, service: Service) -> None:
    """Under clean traffic: counted inputs, no drift before its time, the golden set's scores."""
    eventually(lambda: samples(client)["model_golden_last_run_timestamp_seconds"] > 0)
    client.post("/search", json={"query": "pizza"})
    client.post("/search", json={"query": "xylophone zeppelin"})
    client.post("/search", json={})
    client.post("/search", json={"query": "pizza", "limit": 9000})
    seen = samples(client)
    outcomes = {name: seen[f"search_inputs_total{{outcome={name}}}"] for name in ("valid", "missing", "invalid")}
    assert outcomes == {"valid": 2, "missing": 1, "invalid": 1}
    assert seen["search_empty_results_total"] == 1
    assert seen["data_drift_window_requests"] == 2
    assert "data_drift_psi{feature=cuisine}" not in seen
    assert seen["catalogue_drift_psi{feature=cuisine}"] < CLEAN
    assert seen["catalogue_out_of_vocabulary_ratio"] == 0
    assert seen["catalogue_entries"] == 300
    assert time.time() - seen["catalogue_created_timestamp_seconds{origin=synthetic}"] < 3600
    eventually(lambda: samples(client).get("model_golden_precision_at_10{group=lexical}", 0) >= 0.95)
    assert service.window is not None
    for query in synthetic.queries(ENOUGH, seed=9):
        service.window.add(query, "Thai", 0.5)
    seen = samples(client)
    assert seen["data_drift_psi{feature=cuisine}"] > LARGE
    assert seen["data_out_of_vocabulary_ratio"] == pytest.approx(0, abs=0.01)
    assert seen["model_reconstruction_error"] == pytest.approx(0.5)


def test_a_model_without_a_reference_serves_all_the_same(model_dir: Path) -> None:
    """Its metrics then say nothing of drift."""
    engine = Engine.load(model_dir)
    bare = Engine(engine.about, engine._model, engine.entries)
    with TestClient(create_app(Service(Settings(), load=lambda: bare))) as client:
        wait_ready(client)
        assert client.post("/search", json={"query": "pizza"}).status_code == 200
        assert not [name for name in samples(client) if "drift" in name]


def test_a_model_without_questions_does_not_miss_their_answers(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With questions that are never asked, the time of the last run is told all the same: it is 0."""
    engine = Engine.load(model_dir)
    bare = Engine(engine.about, engine._model, engine.entries)
    with TestClient(create_app(Service(Settings(), load=lambda: bare))) as client:
        wait_ready(client)
        assert not [name for name in samples(client) if "golden" in name]

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(engine, "run_golden", fail)
    with TestClient(create_app(Service(Settings(), load=lambda: engine))) as client:
        wait_ready(client)
        assert samples(client)["model_golden_last_run_timestamp_seconds"] == 0


def test_questions_are_valid_requests(client: TestClient) -> None:
    """Each line of the golden set is a request that the interface takes."""
    path = Path(__file__).parents[1] / "golden.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        answer = client.post("/search", json=json.loads(line)["request"]["body"])
        assert answer.status_code == 200, answer.text


def test_what_the_dashboards_ask_for_is_measured(client: TestClient, service: Service) -> None:
    """A metric that is taken out of the service is missed here, before any dashboard is empty."""
    boards = Path(__file__).parents[2] / "roles/monitoring/files/dashboards"
    asked = {
        name
        for board in boards.glob("*.json")
        for name in re.findall(
            r"\b(?:search|model|data|catalogue|http|service|build)_[a-z0-9_]+(?=[{\s/\[)]|$)",
            " ".join(t["expr"] for p in json.loads(board.read_text("utf-8"))["panels"] for t in p["targets"]),
        )
    }
    eventually(lambda: samples(client)["model_golden_last_run_timestamp_seconds"] > 0)
    assert service.window is not None
    for query in synthetic.queries(ENOUGH, seed=9):
        service.window.add(query, "Thai", 0.5)
    client.post("/search", json={"query": "pizza"})
    service.metrics.rejected.labels("busy").inc()
    measured = {name.partition("{")[0] for name in samples(client)}
    assert len(asked) > 15
    assert asked - measured == set()
