"""Reading and refusing catalogues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_build import synthetic
from model_build.__main__ import main as build_model
from restaurant_search import catalogue
from restaurant_search.catalogue import CatalogueError

GOOD: dict[str, object] = {
    "id": 1,
    "name": "Blue Olive",
    "cuisine": "Greek",
    "neighbourhood": "Old Town",
    "price": 2,
    "rating": 4.5,
    "features": ["terrace"],
    "description": "taverna serving souvlaki",
}


def write(path: Path, *records: object) -> Path:
    """Write records as JSONL."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_synthetic_is_stable_and_round_trips(tmp_path: Path) -> None:
    """The same seed gives the same restaurants, and they fit the schema."""
    entries = synthetic.generate(50, seed=3)
    assert entries == synthetic.generate(50, seed=3)
    assert entries != synthetic.generate(50, seed=4)
    catalogue.dump(entries, tmp_path / "c.jsonl")
    assert catalogue.load(tmp_path / "c.jsonl") == entries


def test_csv_is_the_same_schema(tmp_path: Path) -> None:
    """Features are separated by semicolons, also behind a byte order mark."""
    path = tmp_path / "c.csv"
    header = "id,name,cuisine,neighbourhood,price,rating,features,description\n"
    path.write_text("\ufeff" + header + '1,Blue Olive,Greek,Old Town,2,4.5,terrace; vegan,"a, b"\n')
    (entry,) = catalogue.load(path)
    assert entry.id == "1"
    assert entry.features == ("terrace", "vegan")
    assert entry.description == "a, b"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": 5}, "price: 5 is not between 1 and 4"),
        ({"price": 1.5}, "not a whole number"),
        ({"rating": "good"}, "'good' is not a number"),
        ({"rating": float("nan")}, "rating"),
        ({"rating": True}, "must be a number"),
        ({"name": "  "}, "name: must be text"),
        ({"features": "vegan"}, "features: must be a list"),
        ({"stars": 5}, "unknown fields: stars"),
        ({"description": "x" * 2001}, "at most 2000"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    """The message has the line and what is wrong."""
    path = write(tmp_path / "c.jsonl", GOOD, {**GOOD, "id": 2, **change})
    with pytest.raises(CatalogueError, match="line 2: ") as caught:
        catalogue.load(path)
    assert reason in str(caught.value)


def test_other_refusals(tmp_path: Path) -> None:
    """Duplicates, missing fields, broken JSON, nothing at all, other file types."""
    missing = {key: value for key, value in GOOD.items() if key != "cuisine"}
    cases = {
        "already on line 1": write(tmp_path / "a.jsonl", GOOD, GOOD),
        "missing fields: cuisine": write(tmp_path / "b.jsonl", missing),
        "no restaurants": write(tmp_path / "c.jsonl"),
        "must end in": tmp_path / "d.xml",
        "cannot be read": tmp_path / "absent.csv",
        "not JSON": tmp_path / "e.jsonl",
    }
    (tmp_path / "e.jsonl").write_text("{\n")
    for reason, path in cases.items():
        with pytest.raises(CatalogueError, match=reason):
            catalogue.load(path)


def test_many_errors_are_cut(tmp_path: Path) -> None:
    """Ten lines are enough to see what is wrong."""
    path = write(tmp_path / "c.jsonl", *({**GOOD, "id": n, "price": 0} for n in range(25)))
    with pytest.raises(CatalogueError, match="and 15 more"):
        catalogue.load(path)


def test_the_build_refuses_a_bad_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and the reason, and no manifest that could be mistaken for a model."""
    path = write(tmp_path / "c.jsonl", {**GOOD, "price": 0})
    assert build_model(["--model", "tfidf", "--catalogue", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "line 1: price" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_build_takes_a_catalogue(tmp_path: Path) -> None:
    """One's own file takes the synthetic one's place."""
    path = write(tmp_path / "mine.jsonl", GOOD)
    assert build_model(["--model", "tfidf", "--catalogue", str(path), "--out", str(tmp_path / "out")]) == 0
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (about["catalogue"], about["restaurants"]) == ("mine.jsonl", 1)
