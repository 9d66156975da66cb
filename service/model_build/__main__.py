"""Builds a model directory: `python -m model_build --model minilm --out /opt/model`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from restaurant_search import catalogue, manifest
from restaurant_search.catalogue import CatalogueError, Restaurant
from restaurant_search.engine import CATALOGUE
from restaurant_search.models.tfidf import TfIdf

from model_build import synthetic

BATCH = 32
MODEL_IDS = {"minilm": "minilm-l6-v2-int8", "tfidf": "tfidf-1-2"}


def main(arguments: list[str] | None = None) -> int:
    """Build the model directory that the options describe; return the exit code."""
    options = _options(arguments)
    if options.catalogue:
        try:
            entries = catalogue.load(options.catalogue)
        except CatalogueError as error:
            sys.stderr.write(f"catalogue: {error}\n")
            return 1
        origin = options.catalogue.name
    else:
        entries = synthetic.generate(options.count, options.seed)
        origin = f"synthetic (seed {options.seed}, {options.count} restaurants)"
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    catalogue.dump(entries, out / CATALOGUE)
    builders = {"minilm": _minilm, "tfidf": _tfidf}
    builders[options.model](entries, out)
    model_id = MODEL_IDS[options.model]
    manifest.write(out, model_id=model_id, kind=options.model, catalogue=origin, restaurants=len(entries))
    sys.stdout.write(f"{out}: {model_id}, {len(entries)} restaurants, catalogue: {origin}\n")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_build", description=__doc__)
    parser.add_argument("--model", choices=sorted(MODEL_IDS), default="minilm")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    parser.add_argument("--catalogue", type=Path, help=".jsonl or .csv; without it, a synthetic one is generated")
    parser.add_argument("--count", type=int, default=synthetic.COUNT)
    parser.add_argument("--seed", type=int, default=synthetic.SEED)
    return parser.parse_args(arguments)


def _tfidf(entries: list[Restaurant], out: Path) -> None:
    TfIdf.fit([entry.text() for entry in entries]).save(out)


def _minilm(entries: list[Restaurant], out: Path) -> None:
    # Imported here: the other model needs none of these libraries.
    from restaurant_search.models import minilm

    from model_build import export_onnx

    source = export_onnx.weights_dir()
    export_onnx.export(source, out / minilm.GRAPH)
    export_onnx.copy_tokenizer(source, out / minilm.TOKENIZER)
    encoder = minilm.Encoder(out, threads=os.cpu_count() or 1)
    # Batches of texts of like length waste the least on padding.
    texts = [entry.text() for entry in entries]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        rows.update(zip(batch, encoder.encode([texts[i] for i in batch]), strict=True))
    np.save(out / minilm.EMBEDDINGS, np.stack([rows[i] for i in range(len(texts))]))


if __name__ == "__main__":
    sys.exit(main())
