"""TF-IDF over words and word pairs, as postings in numpy arrays."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restaurant_search.models import Scores

_WORD = re.compile(r"[a-z0-9]+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "at",
        "by",
        "for",
        "from",
        "i",
        "in",
        "is",
        "it",
        "me",
        "my",
        "near",
        "of",
        "on",
        "or",
        "some",
        "that",
        "the",
        "to",
        "we",
        "with",
    ]
)


def terms(text: str) -> list[str]:
    """Split text into folded words without plural endings, and pairs of neighbouring words."""
    folded = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    words = [_singular(w) for w in _WORD.findall(plain) if w not in _STOP]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


@dataclass(frozen=True)
class TfIdf:
    """Postings by term: entry numbers and unit-length weights between `starts[t]` and the next."""

    vocabulary: dict[str, int]
    idf: NDArray[np.float32]
    starts: NDArray[np.int64]
    entries: NDArray[np.int32]
    weights: NDArray[np.float32]
    count: int
    floor: float = 0.0

    @classmethod
    def fit(cls, texts: Sequence[str]) -> TfIdf:
        """Index the texts; weights are (1 + ln tf) * idf, each text at unit length."""
        counts = [Counter(terms(text)) for text in texts]
        frequency = Counter(term for count in counts for term in count)
        vocabulary = {term: number for number, term in enumerate(sorted(frequency))}
        total = len(texts)
        idf = np.array([np.log((1 + total) / (1 + frequency[t])) + 1 for t in vocabulary], np.float32)
        postings: list[list[tuple[int, float]]] = [[] for _ in vocabulary]
        for number, count in enumerate(counts):
            found = {vocabulary[t]: (1 + np.log(n)) * idf[vocabulary[t]] for t, n in count.items()}
            length = float(np.sqrt(sum(w * w for w in found.values()))) or 1.0
            for term, weight in found.items():
                postings[term].append((number, float(weight) / length))
        flat = [pair for posting in postings for pair in posting]
        starts = np.cumsum([0] + [len(posting) for posting in postings], dtype=np.int64)
        return cls(
            vocabulary=vocabulary,
            idf=idf,
            starts=starts,
            entries=np.array([entry for entry, _ in flat], np.int32),
            weights=np.array([weight for _, weight in flat], np.float32),
            count=total,
        )

    def score(self, query: str) -> Scores:
        """Return the cosine of the query with each entry; 0 where no term is shared."""
        scores = np.zeros(self.count, np.float32)
        found = Counter(terms(query))
        known = {self.vocabulary[t]: n for t, n in found.items() if t in self.vocabulary}
        vector = {t: (1 + np.log(n)) * self.idf[t] for t, n in known.items()}
        length = float(np.sqrt(sum(w * w for w in vector.values()))) or 1.0
        for term, weight in vector.items():
            posting = slice(self.starts[term], self.starts[term + 1])
            scores[self.entries[posting]] += self.weights[posting] * (weight / length)
        return scores

    def look(self, query: str) -> tuple[Scores, None]:
        """Return the scores; there is no embedding."""
        return self.score(query), None

    def save(self, directory: Path) -> None:
        """Write the index as two files that `load` reads."""
        (directory / "vocabulary.json").write_text(json.dumps(list(self.vocabulary)), "utf-8")
        np.savez(
            directory / "tfidf.npz",
            idf=self.idf,
            starts=self.starts,
            entries=self.entries,
            weights=self.weights,
            count=np.array(self.count),
        )

    @classmethod
    def load(cls, directory: Path) -> TfIdf:
        """Read an index that `save` wrote."""
        names = json.loads((directory / "vocabulary.json").read_text("utf-8"))
        with np.load(directory / "tfidf.npz", allow_pickle=False) as arrays:
            return cls(
                vocabulary={term: number for number, term in enumerate(names)},
                idf=arrays["idf"],
                starts=arrays["starts"],
                entries=arrays["entries"],
                weights=arrays["weights"],
                count=int(arrays["count"]),
            )
