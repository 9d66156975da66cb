"""The lock files: everything by hash, and no word on where it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted([*ROOT.glob("requirements/*.txt"), *ROOT.glob("service/requirements*.txt")])
LOCKS = [lock for lock in LOCKS if "overrides" not in lock.name]
PINNED = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+( ;.*)? \\$")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_lock_pins_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert entries
    assert [entry for entry in entries if not PINNED.match(entry)] == []
    for entry, following in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if PINNED.match(entry):
            assert following.startswith("    --hash=sha256:"), entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_lock_holds_what_its_source_asks_for(lock: Path) -> None:
    """A source changed without compiling it again is a lock that installs something else."""
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z0-9,-]+\])?==", lock.read_text(), re.MULTILINE))
    asked = {
        re.split(r"[\[=<>;~! ]", line)[0].lower().replace("_", "-")
        for line in lock.with_suffix(".in").read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    }
    assert asked - {name.lower().replace("_", "-") for name in locked} == set()
