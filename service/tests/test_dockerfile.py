"""What the Dockerfile's build arguments make of the model, by its own commands and without Docker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from restaurant_search import catalogue
from restaurant_search.engine import Engine

SERVICE = Path(__file__).parents[1]
OWN = ["CATALOGUE=my own.jsonl", "GOLDEN=my questions.jsonl"]


def built(place: Path, *arguments: str) -> Engine:
    """Run the stages `reference` and `model` below `place`; what would be packaged."""
    text = (SERVICE / "Dockerfile").read_text(encoding="utf-8")
    stages = text[text.index(" AS reference") : text.index("FROM python\nCOPY")]
    commands = re.findall(r"^RUN ((?:.*\\\n)*.*)$", stages, re.MULTILINE)
    assert len(commands) == 2
    given = dict(one.split("=", 1) for one in ("MODEL=tfidf", "CATALOGUE=", "GOLDEN=", "QUERIES=", "MODEL_OPTIONS="))
    given |= dict(one.split("=", 1) for one in arguments)
    for command in commands:
        script = command.replace("/opt/build/bin/python", sys.executable).replace("/opt/", f"{place}/")
        environment = {**os.environ, **given, "PYTHONPATH": str(SERVICE)}
        subprocess.run(["sh", "-euc", script], cwd=place, env=environment, check=True, capture_output=True)
    return Engine.load(place / "model")


@pytest.fixture
def place(model_dir: Path, tmp_path: Path) -> Path:
    """A build directory with a catalogue, questions and an earlier model of one's own."""
    (tmp_path / "data/earlier").mkdir(parents=True)
    for path in model_dir.iterdir():
        (tmp_path / "data/earlier" / path.name).write_bytes(path.read_bytes())
    questions = (SERVICE / "golden.jsonl").read_text(encoding="utf-8")
    (tmp_path / "golden.jsonl").write_text(questions, encoding="utf-8")
    (tmp_path / "data/my questions.jsonl").write_text(questions.splitlines()[0] + "\n", encoding="utf-8")
    catalogue.dump(Engine.load(model_dir).entries[:40], tmp_path / "data/my own.jsonl")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "packaged", "reference", "questions"),
    [
        ([], "synthetic", "synthetic (seed 2024, 2000 restaurants)", 59),
        (["MODEL_OPTIONS=--unseen 0.6"], "synthetic", "synthetic (seed 2024, 2000 restaurants)", 59),
        (OWN, "my own.jsonl", "my own.jsonl", 1),
        (OWN[:1], "my own.jsonl", "my own.jsonl", 0),
        ([*OWN, "MODEL_OPTIONS=--count 5"], "my own.jsonl", "my own.jsonl", 1),
        ([*OWN, "MODEL_OPTIONS=--reference data/earlier"], "my own.jsonl", "synthetic (seed 2024, 300 restaurants)", 1),
    ],
)
def test_the_model_is_made_of_what_was_given(
    place: Path, arguments: list[str], packaged: str, reference: str, questions: int
) -> None:
    """Also when another model is measured against the reference."""
    engine = built(place, *arguments)
    assert engine.about.catalogue.startswith(packaged)
    assert (engine.about.reference, len(engine.questions)) == (reference, questions)
