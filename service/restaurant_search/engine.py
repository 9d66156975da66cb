"""The search itself: a model's scores, the filters, and a stable order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restaurant_search import catalogue, drift, golden, manifest, models
from restaurant_search.catalogue import Restaurant
from restaurant_search.drift import Reference
from restaurant_search.golden import Question, Scores
from restaurant_search.manifest import Manifest, ManifestError

CATALOGUE = "catalogue.jsonl"
NAMED = 20
"""Known values that an answer names."""


class UnknownValueError(ValueError):
    """A filter names a value that no catalogue entry has."""

    def __init__(self, field: str, value: str, known: Mapping[str, str]) -> None:
        """Say which filter, which value, and what there is instead, of much of it what is near by the alphabet.

        `known` maps the folded form of each value to the value, in order.
        """
        begin = max(0, min(bisect_left([*known], value.strip().casefold()) - NAMED // 2, len(known) - NAMED))
        named = [*known.values()][begin : begin + NAMED]
        more = f" and {len(known) - len(named)} more" if len(known) > len(named) else ""
        super().__init__(f"{value!r} is not in the catalogue; known: {', '.join(named)}{more}")
        self.field = field


@dataclass(frozen=True)
class Filters:
    """What an entry must satisfy; None and empty mean anything. Text is compared without case."""

    cuisine: str | None = None
    neighbourhood: str | None = None
    max_price: int | None = None
    min_rating: float | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """One answer."""

    restaurant: Restaurant
    score: float


@dataclass(frozen=True)
class Found:
    """The answers to one search, and how badly the reference gives its embedding back; None without one."""

    hits: list[Hit]
    error: float | None


class Engine:
    """A loaded model with its catalogue. Safe to use from several threads: it never changes."""

    def __init__(
        self,
        about: Manifest,
        model: models.Model,
        entries: Sequence[Restaurant],
        reference: Reference | None = None,
        questions: Sequence[Question] = (),
    ) -> None:
        """Prepare the columns that filters look at. Without a `reference` there is no drift to tell."""
        self.about = about
        self.reference = reference
        self.questions = tuple(questions)
        self.entries = tuple(entries)
        self._model = model
        self._prices = np.array([e.price for e in entries])
        self._ratings = np.array([e.rating for e in entries])
        self._cuisines = np.array([e.cuisine.casefold() for e in entries])
        self._neighbourhoods = np.array([e.neighbourhood.casefold() for e in entries])
        self._features = [frozenset(f.casefold() for f in e.features) for e in entries]
        known = {
            "cuisine": {e.cuisine for e in entries},
            "neighbourhood": {e.neighbourhood for e in entries},
            "features": {f for e in entries for f in e.features},
        }
        self._known = {
            field: {name.casefold(): name for name in sorted(names, key=str.casefold)} for field, names in known.items()
        }

    @classmethod
    def load(cls, directory: Path) -> Engine:
        """Verify and load a model directory, and run one query so that the first is not slow."""
        about = manifest.read(directory)
        entries = catalogue.load(directory / CATALOGUE)
        if len(entries) != about.restaurants:
            raise ManifestError(f"{directory}: {len(entries)} restaurants, the manifest says {about.restaurants}")
        reference = Reference.read(directory) if drift.FILE_NAME in about.files else None
        questions = golden.read(directory / golden.FILE_NAME) if golden.FILE_NAME in about.files else []
        engine = cls(about, models.load(directory, about), entries, reference, questions)
        engine.search("warm up", Filters(), 1)
        return engine

    def search(self, query: str, filters: Filters, limit: int) -> list[Hit]:
        """Return up to `limit` entries, best first; equal scores in catalogue order."""
        return self.find(query, filters, limit).hits

    def find(self, query: str, filters: Filters, limit: int) -> Found:
        """As `search`, with what drift is told by."""
        allowed = self._mask(filters)
        scores, embedding = self._model.look(query)
        chosen = np.flatnonzero(allowed & (scores > self._model.floor))
        best = chosen[np.argsort(-scores[chosen], kind="stable")[:limit]]
        hits = [Hit(self.entries[i], round(float(scores[i]), 4)) for i in best]
        return Found(hits, self.reference.error(embedding) if self.reference else None)

    def run_golden(self) -> dict[str, Scores]:
        """Ask the golden set; scores by group of questions, empty when there is no such set."""
        return golden.run(self.questions, self._records, [entry.as_dict() for entry in self.entries])

    def _records(self, question: Question, limit: int) -> list[dict[str, object]]:
        return [hit.restaurant.as_dict() for hit in self.search(question.query, Filters(**question.filters), limit)]

    def _mask(self, filters: Filters) -> NDArray[np.bool_]:
        mask = np.ones(len(self.entries), np.bool_)
        if filters.cuisine is not None:
            mask &= self._cuisines == self._checked("cuisine", filters.cuisine)
        if filters.neighbourhood is not None:
            mask &= self._neighbourhoods == self._checked("neighbourhood", filters.neighbourhood)
        if filters.max_price is not None:
            mask &= self._prices <= filters.max_price
        if filters.min_rating is not None:
            mask &= self._ratings >= filters.min_rating
        if filters.features:
            wanted = {self._checked("features", f) for f in filters.features}
            mask &= np.array([wanted <= has for has in self._features])
        return mask

    def _checked(self, field: str, value: str) -> str:
        folded = value.strip().casefold()
        known = self._known[field]
        if folded not in known:
            raise UnknownValueError(field, value, known)
        return folded
