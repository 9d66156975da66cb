"""What a host's journal of a deploy says, as it happens: each phase within 20 milliseconds."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from types import TracebackType
from typing import Any

# Runs inside the host: a question from outside costs more than a phase may last.
FOLLOW = """
import json, os, select, sys
path, last, read = sys.argv[1], None, ""
print(json.dumps({"watching": True}), flush=True)
while True:
    try:
        # Each journal is a new file, and to look at its number costs next to nothing.
        found = os.stat(path).st_ino, os.stat(path).st_mtime_ns
    except OSError:
        found = None
    if found != read:
        read = found
        try:
            with open(path, "rb") as file:
                journal = json.load(file)
        except (OSError, ValueError):
            journal = {}
        seen = [journal.get("token"), journal.get("phase")]
        if seen != last:
            print(json.dumps(journal), flush=True)
            last = seen
    if select.select([sys.stdin], [], [], 0.02)[0]:
        break
"""


class Watch:
    """Follows the journal of an app in a host's container until the block ends."""

    def __init__(self, container: str, app: str) -> None:
        self.phases: list[str] = []
        self._command = [
            "docker",
            "exec",
            "-i",
            container,
            "python3",
            "-c",
            FOLLOW,
            f"/opt/davit/apps/{app}/deploy.json",
        ]
        self._seen: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Watch:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        first = self._seen.get(timeout=20)
        assert first == {"watching": True}, first
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._seen.put(json.loads(line))

    def until(self, phase: str, seconds: float = 180) -> dict[str, Any]:
        """The journal at the first moment of `phase`; an AssertionError with what was seen instead."""
        end = time.monotonic() + seconds
        while True:
            try:
                journal = self._seen.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no phase {phase!r} within {seconds:g} s; seen: {self.phases}") from None
            self.phases.append(str(journal.get("phase", "")))
            if self.phases[-1] == phase:
                return journal
