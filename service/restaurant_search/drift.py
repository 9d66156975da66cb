"""Data drift: how far what is asked and what is searched have moved from a reference that was held out.

PSI (population stability index) over binned features, the share of words that the reference never had, and the error
with which a principal component analysis of the reference gives a query's embedding back. Without drift the PSI of a
small window is large by chance (its 95th percentile is 0.83 at 50 and 0.07 at 500), so there is no verdict below 500.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from restaurant_search.catalogue import Restaurant

FILE_NAME, COMPONENTS = "reference.json", "components.npz"
ENOUGH, WINDOW = 500, 2000
NAMES, RARE = 15, 0.01
"""Names that have a bin of their own at most, and the smallest share of one."""
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Return the folded words of a text."""
    return _WORD.findall(text.casefold())


def psi(expected: Sequence[float], counts: Sequence[int]) -> float:
    """Return the population stability index of `counts` against shares; half a count is added to each bin.

    0.1 is commonly read as some change, 0.25 as a large one.
    """
    total = sum(counts)
    smooth = 0.5
    index = 0.0
    for share, count in zip(expected, counts, strict=True):
        seen = (count + smooth) / (total + smooth * len(counts))
        wanted = (share * total + smooth) / (total + smooth * len(counts))
        index += (seen - wanted) * float(np.log(seen / wanted))
    return index


@dataclass(frozen=True)
class Feature:
    """The distribution of one feature: shares of bins between `edges`, or of `names` and everything else."""

    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of_numbers(cls, values: Sequence[float], edges: Sequence[float]) -> Feature:
        """Count `values` into the bins that `edges` part."""
        blank = cls((), edges=tuple(float(e) for e in edges))
        return cls(_shares(Counter(map(blank.bin, values)), len(edges) + 1), blank.edges)

    @classmethod
    def of_names(cls, values: Sequence[str]) -> Feature:
        """Count the most frequent names; the last bin is for all others, and for those that come later.

        What chance alone makes of a PSI grows with its bins: over 300 names it is 0.4 in a sample of 500.
        """
        often = Counter(values).most_common(NAMES)
        blank = cls((), names=tuple(sorted(name for name, count in often if count >= RARE * len(values))))
        return cls(_shares(Counter(map(blank.bin, values)), len(blank.names) + 1), names=blank.names)

    def bin(self, value: float | str) -> int:
        """Return the number of the bin of a value."""
        if isinstance(value, str):
            return self.names.index(value) if value in self.names else len(self.names)
        return bisect_right(self.edges, value)

    def psi(self, bins: Iterable[int]) -> float:
        """Return the PSI of what fell into these bins."""
        counted = Counter(bins)
        return psi(self.shares, [counted[n] for n in range(len(self.shares))])


def _shares(counted: Mapping[int, int], bins: int) -> tuple[float, ...]:
    total = sum(counted.values()) or 1
    return tuple(round(counted.get(n, 0) / total, 6) for n in range(bins))


@dataclass(frozen=True)
class Reference:
    """What was held out when the model was made: features of queries and of the catalogue, and the known words.

    Of queries there are none when nobody knows what users ask; then nothing is said about theirs.
    """

    origin: str
    queries: Mapping[str, Feature]
    catalogue: Mapping[str, Feature]
    vocabulary: frozenset[str]
    usual_error: float = 0.0
    mean: NDArray[np.float32] | None = None
    components: NDArray[np.float32] | None = None

    def error(self, embedding: NDArray[np.float32] | None) -> float | None:
        """Return what the principal components do not give back of an embedding; None without either."""
        if embedding is None or self.components is None or self.mean is None:
            return None
        centred = embedding - self.mean
        back = (centred @ self.components.T) @ self.components
        return float(np.linalg.norm(centred - back))

    def unknown(self, text: str) -> tuple[int, int]:
        """Return how many words of a text the reference never had, and how many there are."""
        found = words(text)
        return sum(word not in self.vocabulary for word in found), len(found)

    def save(self, directory: Path) -> None:
        """Write it; `read` reads it."""
        record = {
            "origin": self.origin,
            "usual_error": round(self.usual_error, 6),
            "queries": {name: vars(feature) for name, feature in self.queries.items()},
            "catalogue": {name: vars(feature) for name, feature in self.catalogue.items()},
            "vocabulary": sorted(self.vocabulary),
        }
        (directory / FILE_NAME).write_text(json.dumps(record) + "\n", encoding="utf-8")
        if self.components is not None and self.mean is not None:
            np.savez(directory / COMPONENTS, mean=self.mean, components=self.components)

    @classmethod
    def read(cls, directory: Path) -> Reference:
        """Read what `save` wrote."""
        record = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
        mean = components = None
        if (directory / COMPONENTS).exists():
            with np.load(directory / COMPONENTS, allow_pickle=False) as arrays:
                mean, components = arrays["mean"], arrays["components"]
        return cls(
            origin=record["origin"],
            queries=_features(record["queries"]),
            catalogue=_features(record["catalogue"]),
            vocabulary=frozenset(record["vocabulary"]),
            usual_error=record["usual_error"],
            mean=mean,
            components=components,
        )


def _features(record: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Feature]:
    return {
        name: Feature(tuple(f["shares"]), tuple(f["edges"]), tuple(str(n) for n in f["names"]))
        for name, f in record.items()
    }


@dataclass(frozen=True)
class CatalogueDrift:
    """What a catalogue is against the reference."""

    psi: Mapping[str, float]
    unknown_words: float

    @classmethod
    def of(cls, reference: Reference, entries: Sequence[Restaurant]) -> CatalogueDrift:
        """Compare the whole catalogue, once."""
        counted = [reference.unknown(entry.text()) for entry in entries]
        values = {"cuisine": [e.cuisine for e in entries], "price": [str(e.price) for e in entries]}
        found = {name: f.psi(map(f.bin, values[name])) for name, f in reference.catalogue.items()}
        return cls(found, sum(u for u, _ in counted) / max(1, sum(n for _, n in counted)))


@dataclass(frozen=True)
class QueryDrift:
    """What the window says. Without enough requests there is no verdict: `psi` is empty, the others are None.

    A feature that too few of them have is not in `psi`.
    """

    size: int
    psi: Mapping[str, float]
    unknown_words: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class _Seen:
    bins: Mapping[str, int]
    unknown: int
    words: int
    error: float | None


class Window:
    """The last 2,000 searches. Safe to use from several threads."""

    def __init__(self, reference: Reference) -> None:
        """Compare with `reference`."""
        self.usual_error = reference.usual_error if reference.queries else None
        self._reference = reference
        self._seen: deque[_Seen] = deque(maxlen=WINDOW)
        self._lock = Lock()

    def add(self, query: str, cuisine: str | None, error: float | None) -> None:
        """Take in one search: its text, the cuisine of its best result, its reconstruction error."""
        unknown, total = self._reference.unknown(query)
        values: dict[str, float | str | None] = {
            "query_words": total,
            "cuisine": cuisine,
            "reconstruction_error": error,
        }
        bins = {
            name: feature.bin(value)
            for name, feature in self._reference.queries.items()
            if (value := values.get(name)) is not None
        }
        with self._lock:
            self._seen.append(_Seen(bins, unknown, total, error))

    def drift(self) -> QueryDrift:
        """Return the verdict over the window."""
        with self._lock:
            seen = list(self._seen)
        if len(seen) < ENOUGH:
            return QueryDrift(len(seen), {})
        binned = {name: [s.bins[name] for s in seen if name in s.bins] for name in self._reference.queries}
        # Not each search has each feature: one that found nothing has no cuisine.
        enough = {name: bins for name, bins in binned.items() if len(bins) >= ENOUGH}
        errors = [s.error for s in seen if s.error is not None]
        return QueryDrift(
            size=len(seen),
            psi={name: self._reference.queries[name].psi(bins) for name, bins in enough.items()},
            unknown_words=sum(s.unknown for s in seen) / max(1, sum(s.words for s in seen)) if binned else None,
            error=sum(errors) / len(errors) if errors else None,
        )
