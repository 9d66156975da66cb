"""The manifest of a model directory: which model it is, and the SHA-256 of each of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from restaurant_search import drift, golden

FILE_NAME = "manifest.json"


class ManifestError(RuntimeError):
    """The model directory is not what its manifest says."""


@dataclass(frozen=True)
class Manifest:
    """What is in a model directory.

    `files` maps file names to hexadecimal SHA-256 sums, `created_at` is in seconds since 1970, `reference` says what
    drift is measured against, and `golden` what share of its first 10 results fitted, by group of questions, when the
    model was made.
    """

    model_id: str
    model_version: str
    kind: str
    catalogue: str
    restaurants: int
    files: dict[str, str]
    created_at: int = 0
    reference: str = ""
    golden: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Where a model directory comes from, as its manifest tells it."""

    model_id: str
    kind: str
    catalogue: str
    restaurants: int
    created_at: int
    reference: str
    golden: dict[str, float]


def origin(about: Manifest) -> Origin:
    """Return where a model comes from, as for a directory that is made of another one."""
    return Origin(**{field.name: getattr(about, field.name) for field in fields(Origin)})


def write(directory: Path, origin: Origin) -> None:
    """Hash all files in `directory` and write its manifest.

    The model's version is derived from the hashes of what makes its answers: same content, same version.
    """
    names = sorted(p.name for p in directory.iterdir() if p.name != FILE_NAME)
    files = {name: _sha256(directory / name) for name in names}
    judged_by = {golden.FILE_NAME, drift.FILE_NAME, drift.COMPONENTS}
    made_of = {name: digest for name, digest in files.items() if name not in judged_by}
    content = hashlib.sha256(json.dumps([origin.model_id, made_of], sort_keys=True).encode()).hexdigest()
    manifest = Manifest(model_version=content[:12], files=files, **asdict(origin))
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    (directory / FILE_NAME).write_text(text, encoding="utf-8")


def read(directory: Path) -> Manifest:
    """Read the manifest and verify every file against it; raise ManifestError otherwise."""
    path = directory / FILE_NAME
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    for name, expected in manifest.files.items():
        try:
            actual = _sha256(directory / name)
        except OSError as error:
            raise ManifestError(f"{directory / name}: {error.strerror}") from error
        if actual != expected:
            raise ManifestError(
                f"{directory / name}: SHA-256 is {actual[:12]}..., "
                f"the manifest says {expected[:12]}...: build the image again"
            )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
