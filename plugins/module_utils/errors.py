# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The one exception that modules turn into ``fail_json``."""

from __future__ import annotations

from typing import Any


class DavitError(Exception):
    """Something that a person has to know: what was tried, on what, and the next step.

    ``facts`` holds JSON-ready values that the module returns beside the message.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts
