# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What is said while something takes long, by a thread of its own: a line of a terminal that is written over, or a line
now and then where nothing can be written over."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from typing import TextIO

_ERASE = "\r\x1b[2K"


class LiveLine:
    """Shows what ``text`` returns for a width, every ``every`` seconds, until it is stopped.

    On a terminal the cursor rests at the line's beginning, so that whatever else is written starts there; with
    ``plain`` each text is a line that stays. A terminal that is gone ends it silently: it must never be the reason for
    a run to end.
    """

    def __init__(self, stream: TextIO, text: Callable[[int], str], every: float = 1.0, *, plain: bool = False) -> None:
        self._stream = stream
        self._plain = plain
        self._text = text
        self._every = every
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._shown = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._run, daemon=True, name="davit-live-line")
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self.erase()

    def erase(self) -> None:
        """Make room for something that stays."""
        with self._lock:
            if self._shown:
                self._shown = False
                self._write(_ERASE)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self.draw()
            except Exception:  # whatever is wrong with the text, the run goes on without it
                self._ended.set()

    def draw(self) -> None:
        text = self._text(shutil.get_terminal_size().columns)
        with self._lock:
            if self._ended.is_set() or not (text or self._shown):
                return
            self._shown = bool(text) and not self._plain
            self._write(f"{text}\n" if self._plain else f"{_ERASE}{text}\r")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._ended.set()
