"""Makes the reference that drift is measured against, with queries that the model build itself never used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from restaurant_search.catalogue import Restaurant
from restaurant_search.drift import Feature, Reference, words
from restaurant_search.engine import Engine, Filters

COMPONENTS = 48
COMMON = 5
"""Queries that a word has to be in before the image tells it: what one user typed once may be a name."""
Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def make(
    engine: Engine, entries: Sequence[Restaurant], queries: Sequence[str], origin: str, embed: Embed | None
) -> Reference:
    """Measure a built model: the first half of `queries` fits the components, the second half is held out.

    What the components were fitted on they give back too well, and clean traffic would look drifted beside it. Without
    queries there is nothing to tell about queries.
    """
    catalogue = {
        "cuisine": Feature.of_names([e.cuisine for e in entries]),
        "price": Feature.of_names([str(e.price) for e in entries]),
    }
    vocabulary = frozenset(w for entry in entries for w in words(entry.text()))
    if not queries:
        return Reference(origin, {}, catalogue, vocabulary)
    half = len(queries) // 2
    held_out = queries[half:]
    asked = Counter(w for query in queries[:half] for w in set(words(query)))
    tops = [hits[0].restaurant.cuisine for q in held_out if (hits := engine.search(q, Filters(), 1))]
    features = {
        "query_words": Feature.of_numbers([len(words(q)) for q in held_out], [2, 3, 4, 5, 6, 7]),
        "cuisine": Feature.of_names(tops),
    }
    mean = components = None
    usual = 0.0
    if embed is not None:
        mean, components = _components(embed(queries[:half]))
        fitted = Reference("", {}, {}, frozenset(), mean=mean, components=components)
        errors = [error for row in embed(held_out) if (error := fitted.error(row)) is not None]
        usual = float(np.mean(errors))
        features["reconstruction_error"] = Feature.of_numbers(errors, np.quantile(errors, np.arange(0.1, 1, 0.1)))
    return Reference(
        origin=origin,
        queries=features,
        catalogue=catalogue,
        vocabulary=vocabulary | {word for word, count in asked.items() if count >= COMMON},
        usual_error=usual,
        mean=mean,
        components=components,
    )


def _components(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean = rows.mean(axis=0).astype(np.float32)
    _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
    return mean, axes[:COMPONENTS].astype(np.float32)
