"""MiniLM sentence embeddings (int8, ONNX Runtime) against the catalogue's, made at build time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from restaurant_search.models import Embedding, Scores

MAX_TOKENS = 128
BATCH = 32
GRAPH, TOKENIZER, EMBEDDINGS = "model.onnx", "tokenizer.json", "embeddings.npy"


class Encoder:
    """Turns texts into unit vectors of 384 numbers."""

    def __init__(self, directory: Path, threads: int = 1) -> None:
        """Load graph and tokenizer from `directory`; `threads` are used within one inference."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = ort.InferenceSession(str(directory / GRAPH), options, providers=["CPUExecutionProvider"])
        self._tokenizer: Any = Tokenizer.from_file(str(directory / TOKENIZER))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()  # its defaults, id 0 and [PAD], are BERT's

    def encode_all(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text, for any number of texts, in batches of like length: they waste least on padding."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            rows[batch] = self.encode([texts[i] for i in batch])
        return rows

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one row per text; longer texts are cut at 128 tokens."""
        encoded = self._tokenizer.encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([e.ids for e in encoded], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
        }
        embedding: NDArray[np.float32] = self._session.run(["embedding"], feeds)[0]
        return embedding


class MiniLM:
    """Scores entries by the cosine of query and entry embeddings."""

    floor = -2.0  # below every cosine: a semantic search always has nearest entries

    def __init__(self, encoder: Encoder, embeddings: NDArray[np.float32]) -> None:
        """Take an encoder and the catalogue's embeddings, one unit row for each entry."""
        self._encoder = encoder
        self._embeddings = embeddings

    @classmethod
    def load(cls, directory: Path) -> MiniLM:
        """Read what the model build wrote."""
        embeddings = np.load(directory / EMBEDDINGS, allow_pickle=False)
        return cls(Encoder(directory), embeddings)

    def look(self, query: str) -> tuple[Scores, Embedding]:
        """Return the cosine of the query with each entry, and the query's embedding."""
        embedding: Embedding = self._encoder.encode([query])[0]
        scores: Scores = self._embeddings @ embedding
        return scores, embedding
