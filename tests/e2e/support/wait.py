"""Awaiting a condition."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Return once the condition holds; an AssertionError when it does not within `seconds`."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:g} s; last: {last}")
