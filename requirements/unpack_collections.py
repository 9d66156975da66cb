"""Take the collections that Davit needs out of the `ansible` wheel: 12 MB of its 500, and no Galaxy server."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

# The collections of requirements.yml and what those depend on.
COLLECTIONS = (
    "amazon/aws",
    "ansible/posix",
    "community/aws",
    "community/docker",
    "community/library_inventory_filtering_v1",
)
# Not needed to run them, and more than half of their files.
LEFT_OUT = ("tests/", "docs/", "changelogs/", ".azure-pipelines/", ".github/")


def unpack(wheel: Path, collections_path: Path) -> None:
    """Replace each of COLLECTIONS below `collections_path` by the wheel's; a rename is the only visible step."""
    target = collections_path / "ansible_collections"
    target.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".unpack-", dir=collections_path) as scratch,
        zipfile.ZipFile(wheel) as archive,
    ):
        names = archive.namelist()
        for collection in COLLECTIONS:
            prefix = f"ansible_collections/{collection}/"
            wanted = [n for n in names if n.startswith(prefix) and not n.removeprefix(prefix).startswith(LEFT_OUT)]
            if not wanted:
                raise SystemExit(f"{wheel.name} holds no {collection}: is requirements/collections.in still right?")
            archive.extractall(scratch, wanted)
            place = target / collection
            place.parent.mkdir(exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            (Path(scratch) / prefix).rename(place)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
