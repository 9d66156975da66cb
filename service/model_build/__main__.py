"""Builds a model directory: `python -m model_build --model minilm --out /opt/model`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from restaurant_search import catalogue, drift, golden, manifest
from restaurant_search.catalogue import CatalogueError, Restaurant
from restaurant_search.drift import Reference
from restaurant_search.engine import CATALOGUE, Engine
from restaurant_search.golden import GoldenError
from restaurant_search.manifest import Origin
from restaurant_search.models.tfidf import TfIdf

from model_build import reference, synthetic

MODEL_IDS = {"minilm": "minilm-l6-v2-int8", "tfidf": "tfidf-1-2"}
QUERIES = 4000


def main(arguments: list[str] | None = None) -> int:
    """Build the model directory that the options describe; return the exit code."""
    options = _options(arguments)
    try:
        about = build(options)
    except (CatalogueError, GoldenError, ValueError, OSError) as error:
        sys.stderr.write(f"model_build: {error}\n")
        return 1
    scores = ", ".join(f"{group} {score}" for group, score in about.golden.items()) or "none"
    sys.stdout.write(
        f"{options.out}: {about.model_id}, {about.restaurants} restaurants, catalogue: {about.catalogue};"
        f" golden precision@10: {scores}\n"
    )
    return 0


def build(options: argparse.Namespace) -> Origin:
    """Write the model directory; raises what is wrong with its inputs."""
    out: Path = options.out
    entries, origin = _catalogue(options)
    out.mkdir(parents=True, exist_ok=True)
    catalogue.dump(entries, out / CATALOGUE)
    builders = {"minilm": _minilm, "tfidf": _tfidf}
    builders[options.model](entries, out)
    if options.golden:
        golden.read(options.golden)
        # Its content alone: the image runs as another user, who may not read a file with the modes of this one.
        shutil.copyfile(options.golden, out / golden.FILE_NAME)
    about = Origin(
        model_id=MODEL_IDS[options.model],
        kind=options.model,
        catalogue=origin,
        restaurants=len(entries),
        created_at=options.catalogue_date or int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()),
        reference="",
        golden={},
    )
    manifest.write(out, about)
    engine = Engine.load(out)
    measured = _reference(options, engine, entries, origin)
    measured.save(out)
    scores = {name: score.precision for name, score in engine.run_golden().items()}
    # Once more, with what only the finished model can tell.
    about = replace(about, reference=measured.origin, golden=scores)
    manifest.write(out, about)
    return about


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_build", description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--model", choices=sorted(MODEL_IDS), default="minilm")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    parser.add_argument("--catalogue", type=Path, help=".jsonl or .csv; without it, a synthetic one is generated")
    parser.add_argument("--catalogue-date", type=_day, help="when it was exported, as 2026-01-31 (UTC); else now")
    parser.add_argument("--count", type=int, default=synthetic.COUNT)
    parser.add_argument("--seed", type=int, default=synthetic.SEED)
    parser.add_argument("--golden", type=Path, help="questions with known answers, as JSON Lines")
    parser.add_argument("--queries", type=Path, help="what users ask, one query a line; for the reference of drift")
    parser.add_argument("--reference", type=Path, help="an earlier model directory to measure drift against")
    knobs = parser.add_argument_group("knobs that let the catalogue drift, to see it refused")
    knobs.add_argument("--cuisine-mix", type=float, default=0.0, help="share of entries of three cuisines alone")
    knobs.add_argument("--unseen", type=float, default=0.0, help="share of entries in words that were never seen")
    return parser.parse_args(arguments)


def _day(text: str) -> int:
    """The begin of a day in seconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _catalogue(options: argparse.Namespace) -> tuple[list[Restaurant], str]:
    if options.catalogue:
        return catalogue.load(options.catalogue), options.catalogue.name
    moved = synthetic.Drift(options.cuisine_mix, options.unseen)
    entries = synthetic.generate(options.count, options.seed, moved)
    knobs = f", cuisine mix {moved.cuisine_mix:g}, unseen {moved.unseen:g}" if moved != synthetic.NONE else ""
    return entries, f"synthetic (seed {options.seed}, {options.count} restaurants{knobs})"


def _reference(options: argparse.Namespace, engine: Engine, entries: Sequence[Restaurant], origin: str) -> Reference:
    if options.reference:
        return Reference.read(options.reference)
    if options.queries:
        queries = [line for line in options.queries.read_text(encoding="utf-8").splitlines() if line.strip()]
        if len(queries) < 2 * drift.ENOUGH:
            raise ValueError(f"{options.queries}: {len(queries)} queries; a reference needs {2 * drift.ENOUGH}")
        # One half is compared with the other, and a file that is sorted has others in each.
        queries = [queries[i] for i in np.random.default_rng([options.seed, 3]).permutation(len(queries))]
    elif options.catalogue:
        queries = []
    else:
        queries = synthetic.queries(QUERIES, options.seed)
    embed = None
    if options.model == "minilm":
        from restaurant_search.models import minilm

        embed = minilm.Encoder(options.out, threads=os.cpu_count() or 1).encode_all
    return reference.make(engine, entries, queries, origin, embed)


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
    np.save(out / minilm.EMBEDDINGS, encoder.encode_all([entry.text() for entry in entries]))


if __name__ == "__main__":
    sys.exit(main())
