# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which apps a host has. With next to nothing imported, for `leases.py`."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")


def homes(root: str) -> list[Path]:
    """The directory of each app, by name. What else lies beside them, as somebody's copy of one, is no app."""
    return sorted(path for path in Path(root).glob("apps/*") if NAME.fullmatch(path.name) and path.is_dir())


def journals(root: str) -> list[Path]:
    """The journal of each deploy or rollback that is under way or was left unfinished."""
    return [path for path in (home / "deploy.json" for home in homes(root)) if path.exists()]
