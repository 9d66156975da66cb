"""The golden set: questions whose fitting answers are known, and how well a model answers them.

One line of the file is one question, in the form that Davit's gate reads as well: the request as a client sends it, and
what makes a result a fitting one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "golden.jsonl"
PRECISION_AT, RECALL_AT = 10, 100


class GoldenError(ValueError):
    """The golden set cannot be used; the message names the line."""


@dataclass(frozen=True)
class Question:
    """A query, and what the fields of a fitting entry hold."""

    query: str
    group: str
    relevant: Mapping[str, Any]

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether each named field equals the value, holds it (a list), or contains it (`{"contains": text}`)."""
        return all(_holds(entry.get(field), wanted) for field, wanted in self.relevant.items())


@dataclass(frozen=True)
class Scores:
    """Means over the questions of a group, each from 0 to 1.

    Precision over the first 10 results. Recall over the first 100, out of the 100 that there could be at most.
    """

    questions: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Return the harmonic mean of both."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def _holds(value: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        return str(wanted.get("contains", "")).casefold() in str(value).casefold()
    return wanted in value if isinstance(value, (list, tuple)) else value == wanted


def read(path: Path) -> list[Question]:
    """Read a golden set; raise GoldenError with the line that is wrong."""
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            relevant = record["expected"]["relevant"]
            questions.append(Question(record["request"]["body"]["query"], record.get("group", "all"), relevant))
        except (ValueError, KeyError, TypeError) as error:
            raise GoldenError(f"{path}: line {number}: {type(error).__name__}: {error}") from error
    if not questions:
        raise GoldenError(f"{path}: no questions in it")
    return questions


def run(
    questions: Sequence[Question],
    answer: Callable[[str, int], Sequence[Mapping[str, Any]]],
    entries: Sequence[Mapping[str, Any]],
) -> dict[str, Scores]:
    """Ask everything, and return the scores by group. A question that nothing in `entries` fits is left out."""
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for question in questions:
        there_are = sum(question.fits(entry) for entry in entries)
        if there_are == 0:
            continue
        fits = [question.fits(entry) for entry in answer(question.query, RECALL_AT)]
        precision = sum(fits[:PRECISION_AT]) / min(PRECISION_AT, there_are)
        seen[question.group].append((precision, sum(fits) / min(RECALL_AT, there_are)))
    return {
        group: Scores(len(pairs), _mean([p for p, _ in pairs]), _mean([r for _, r in pairs]))
        for group, pairs in sorted(seen.items())
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
