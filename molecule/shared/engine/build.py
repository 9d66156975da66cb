"""Builds the host image with the engine in it unless it is there; scenarios that run at once build it once."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
sys.path.insert(0, str(ROOT))

from lab.images import Image, build  # noqa: E402  # the lab is no installed package

INPUTS = (FOLDER / "Dockerfile", FOLDER / "daemon.json", ROOT / "lab/images/host")

if __name__ == "__main__":
    with (ROOT / ".lab/molecule-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = build(Image("davit-lab/engine:trixie", FOLDER / "Dockerfile", FOLDER, INPUTS))
    sys.stdout.write("built\n" if built else "")
