"""The golden set: questions whose fitting answers are known, and how well a model answers them.

One line of the file is one question, in the form that Davit's gate reads as well: the request as a client sends it, and
what makes a result a fitting one. Questions without a body or without `relevant` are left to the gate.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_NAME = "golden.jsonl"
PRECISION_AT, RECALL_AT = 10, 100
FILTERS = ("cuisine", "neighbourhood", "max_price", "min_rating", "features")
"""What a request may hold beside its query, and an answer depends on."""


class GoldenError(ValueError):
    """The golden set cannot be used; the message names the line."""


@dataclass(frozen=True)
class Question:
    """A query with its filters, and what makes an entry a fitting one: what its fields hold, or its `key` alone."""

    query: str
    group: str
    relevant: Mapping[str, Any] | frozenset[str]
    filters: Mapping[str, Any] = field(default_factory=dict)
    key: str = "id"

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether each named field equals the value, holds it (a list), or contains it (`{"contains": text}`)."""
        if isinstance(self.relevant, frozenset):
            return str(entry.get(self.key)) in self.relevant
        return all(_holds(entry.get(name), wanted) for name, wanted in self.relevant.items())


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
            question = _question(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GoldenError(f"{path}: line {number}: {type(error).__name__}: {error}") from error
        if question is not None:
            questions.append(question)
    if not questions:
        raise GoldenError(f"{path}: no question in it has both a body and 'relevant'")
    return questions


def _question(record: Mapping[str, Any]) -> Question | None:
    """The question of one line; None for one that is the gate's alone."""
    expected, body = record["expected"], record["request"].get("body")
    relevant = expected.get("relevant")
    if not body or not relevant:
        return None
    if not isinstance(relevant, (Mapping, list)):
        raise TypeError("'relevant' has to name fields, or list the fitting entries")
    filters = {name: body[name] for name in FILTERS if body.get(name) is not None}
    return Question(
        query=body["query"],
        group=str(record.get("group", "all")),
        relevant=frozenset(map(str, relevant)) if isinstance(relevant, list) else relevant,
        filters={name: tuple(value) if isinstance(value, list) else value for name, value in filters.items()},
        key=str(expected.get("key", "id")),
    )


def run(
    questions: Sequence[Question],
    answer: Callable[[Question, int], Sequence[Mapping[str, Any]]],
    entries: Sequence[Mapping[str, Any]],
) -> dict[str, Scores]:
    """Ask everything, and return the scores by group. A question that nothing in `entries` fits is left out."""
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for question in questions:
        there_are = sum(question.fits(entry) for entry in entries)
        if there_are == 0:
            continue
        fits = [question.fits(entry) for entry in answer(question, RECALL_AT)]
        precision = sum(fits[:PRECISION_AT]) / min(PRECISION_AT, there_are)
        seen[question.group].append((precision, sum(fits) / min(RECALL_AT, there_are)))
    return {
        group: Scores(len(pairs), _mean([p for p, _ in pairs]), _mean([r for _, r in pairs]))
        for group, pairs in sorted(seen.items())
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
