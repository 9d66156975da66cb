"""The models: each scores every catalogue entry for a query."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restaurant_search.manifest import Manifest, ManifestError

Scores = NDArray[np.float32]
Embedding = NDArray[np.float32]


class Model(Protocol):
    """Scores entries, in catalogue order; an entry at or below `floor` is no answer at all."""

    @property
    def floor(self) -> float:
        """Return the score that an entry must pass."""
        ...

    def look(self, query: str) -> tuple[Scores, Embedding | None]:
        """Return one score for each catalogue entry, higher is better; and the query's embedding, if there is one."""
        ...


def load(directory: Path, manifest: Manifest) -> Model:
    """Load the model that the manifest names; only its own libraries are imported."""
    if manifest.kind == "tfidf":
        from restaurant_search.models.tfidf import TfIdf

        return TfIdf.load(directory)
    if manifest.kind == "minilm":
        from restaurant_search.models.minilm import MiniLM

        return MiniLM.load(directory)
    raise ManifestError(f"{directory}: unknown kind of model {manifest.kind!r}")
