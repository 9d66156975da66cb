"""The manifest of a model directory: which model it is, and the SHA-256 of each of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "manifest.json"


class ManifestError(RuntimeError):
    """The model directory is not what its manifest says."""


@dataclass(frozen=True)
class Manifest:
    """What is in a model directory. `files` maps file names to hexadecimal SHA-256 sums."""

    model_id: str
    model_version: str
    kind: str
    catalogue: str
    restaurants: int
    files: dict[str, str]


def write(directory: Path, *, model_id: str, kind: str, catalogue: str, restaurants: int) -> None:
    """Hash all files in `directory` and write its manifest.

    The model's version is derived from the hashes: same content, same version.
    """
    names = sorted(p.name for p in directory.iterdir() if p.name != FILE_NAME)
    files = {name: _sha256(directory / name) for name in names}
    content = hashlib.sha256(json.dumps([model_id, files], sort_keys=True).encode()).hexdigest()
    manifest = Manifest(model_id, content[:12], kind, catalogue, restaurants, files)
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
