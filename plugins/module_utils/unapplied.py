# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Files that were written for a running program which has perhaps not taken them yet.

Whether a file differs does not tell: a run that died after the write leaves it as it is wanted. A boot forgets it all,
since every program reads its files then.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import store

PLACE = Path("/run/davit-unapplied")


def note_of(path: Path) -> Path:
    """Where it is noted that ``path`` may not be taken."""
    return PLACE / str(path).strip("/").replace("/", "-")


def remember(path: Path, text: str) -> None:
    """To be called before ``path`` is written; ``text`` is for whoever asks later."""
    note = note_of(path)
    store.make_private(note.parent)
    store.write(note, text.encode())


def recall(path: Path) -> str | None:
    """What was noted; None when there is nothing left to take."""
    try:
        return note_of(path).read_text()
    except FileNotFoundError:
        return None


def forget(path: Path) -> None:
    """To be called when the program has taken ``path``."""
    note_of(path).unlink(missing_ok=True)
