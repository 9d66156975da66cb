"""Models, manifest and settings."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_build.__main__ import main as build_model
from restaurant_search import manifest
from restaurant_search.engine import Engine, Filters, UnknownValueError
from restaurant_search.manifest import ManifestError
from restaurant_search.models.tfidf import TfIdf, terms
from restaurant_search.settings import Settings, SettingsError

ROOT = Path(__file__).parents[1]


def test_terms() -> None:
    """Accents and plural endings do not matter, stop words vanish, neighbours pair up."""
    assert terms("The Crème brûlées of Paris") == ["creme", "brulee", "pari", "creme brulee", "brulee pari"]
    assert terms("glass") == ["glass"]


def test_tfidf_prefers_the_rarer_term() -> None:
    """A word that all have says little; the score of a text with itself is 1."""
    texts = ["noodle soup", "noodle ramen", "noodle soup pho"]
    model = TfIdf.fit(texts)
    assert int(np.argmax(model.score("noodle ramen"))) == 1
    assert model.score("noodle ramen")[1] == pytest.approx(1.0)
    assert not model.score("spaceship").any()


def test_search_finds_dishes(model_dir: Path) -> None:
    """Each of the best answers has the dish that was asked for."""
    hits = Engine.load(model_dir).search("neapolitan pizza", Filters(), 5)
    assert len(hits) == 5
    assert all("neapolitan pizza" in hit.restaurant.description for hit in hits)


def test_nothing_found_is_empty(model_dir: Path) -> None:
    """Entries without a shared term are no answers."""
    assert Engine.load(model_dir).search("xylophone zeppelin", Filters(), 5) == []


def test_the_build_is_reproducible(model_dir: Path, tmp_path: Path) -> None:
    """The same input has the same model version."""
    assert build_model(["--model", "tfidf", "--count", "300", "--out", str(tmp_path)]) == 0
    again, first = manifest.read(tmp_path), manifest.read(model_dir)
    assert again.model_version == first.model_version
    assert again.files.items() <= first.files.items()


def test_damage_is_noticed(model_dir: Path, tmp_path: Path) -> None:
    """A changed, a missing and an unreadable file are each named."""
    for name, damage in (("catalogue.jsonl", b"x"), ("tfidf.npz", None), ("manifest.json", b"{")):
        copy = tmp_path / name
        shutil.copytree(model_dir, copy)
        target = copy / name
        if damage is None:
            target.unlink()
        else:
            target.write_bytes(damage)
        with pytest.raises(ManifestError, match=name):
            Engine.load(copy)


def test_settings() -> None:
    """Empty means default; a bad value names its variable."""
    assert Settings.from_env({"PORT": "", "VERSION": ""}) == Settings()
    assert Settings.from_env({"PORT": "9000", "DRAIN_SECONDS": "0.5"}).port == 9000
    for env in ({"PORT": "http"}, {"PORT": "0"}, {"LOG_LEVEL": "loud"}, {"DRAIN_SECONDS": "nan"}):
        with pytest.raises(SettingsError, match=next(iter(env))):
            Settings.from_env(env)


def test_the_runtime_reports_to_nobody() -> None:
    """ONNX Runtime's reporting complains, when it is on, that it cannot keep its identity in such a home."""
    env = {"HOME": "/proc/nowhere", "PYTHONPATH": str(ROOT)}  # and no CI, which turns it off as well
    loaded = subprocess.run(
        [sys.executable, "-c", "import restaurant_search.models.minilm"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stderr == ""


def test_an_unknown_value_is_answered_with_some_of_those_that_there_are(model_dir: Path) -> None:
    """All of them where they are few, and the nearest of many: an answer is no dump of the catalogue."""
    engine = Engine.load(model_dir)
    with pytest.raises(UnknownValueError, match=r"known: American, Chinese, .*Vietnamese$"):
        engine.search("pizza", Filters(cuisine="Martian"), 1)
    entries = [replace(entry, neighbourhood=f"Quarter {n}") for n, entry in enumerate(engine.entries)]
    large = Engine(engine.about, engine._model, entries)
    with pytest.raises(UnknownValueError, match=r"known: Quarter 120, .*Quarter 13, .* and 280 more$") as told:
        large.search("pizza", Filters(neighbourhood="Quarter 12b"), 1)
    assert str(told.value).count("Quarter") == 1 + 20
    for far in ("Aaa", "Zzz"):
        with pytest.raises(UnknownValueError, match="and 280 more"):
            large.search("pizza", Filters(neighbourhood=far), 1)
    (hit,) = large.search(entries[12].cuisine, Filters(neighbourhood=" quarter 12 "), 9)
    assert hit.restaurant == entries[12]
