"""The load: k6 at a constant rate for as long as a block runs, and every single answer that it got."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from bench.figures import Sample, parse
from bench.settings import ROOT

K6 = ROOT / ".cache/venvs/bench/bin/k6"
LONGEST = "30m"
"""An end, should this process be killed and k6 live on."""
CONNECTIONS = 1200
"""The most that bench/load.js opens."""


class LoadError(RuntimeError):
    """k6 did not do its work; the message says what it printed."""


class Load:
    """POSTs to `url` at `rate` per second from enter to exit; then `samples` and `not_sent` are there."""

    def __init__(self, url: str, rate: int, folder: Path) -> None:
        self.samples: list[Sample] = []
        self.not_sent = 0
        self._url, self._rate = url, rate
        self._log, self._summary = folder / "requests.log", folder / "summary.json"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Load:
        for file in (self._log, self._summary):
            file.unlink(missing_ok=True)
        settings = {"URL": self._url, "RATE": self._rate, "DURATION": LONGEST, "SUMMARY": self._summary}
        self._process = subprocess.Popen(
            [
                *(str(K6), "run", "--quiet", "--no-usage-report", "--no-color"),
                *("--log-format", "raw", "--log-output", f"file={self._log}"),
                *(word for name, value in settings.items() for word in ("--env", f"{name}={value}")),
                str(ROOT / "bench/load.js"),
            ],
            # The hosts of the lab are this machine's own: no proxy leads to them.
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._await_first()
        return self

    def _await_first(self) -> None:
        deadline = time.monotonic() + 30
        while not (self._log.exists() and any(parse(line) for line in self._log.read_text().splitlines())):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise LoadError(f"k6 sent nothing within 30 s: {self._end()}")
            time.sleep(0.1)

    def _end(self) -> str:
        """Stop k6 as Ctrl-C does, and return what it complained about."""
        if self._process is None:
            return "it was not started"
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.communicate(timeout=30)[1].decode()
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.communicate()[1].decode()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is in flight now is cut off by the end of k6 and is nobody's failure.
        end = time.time()
        complaints = self._end()
        if error is not None:
            return
        found = [sample for line in self._log.read_text().splitlines() if (sample := parse(line))]
        if not self._summary.exists():
            raise LoadError(f"k6 wrote no summary: {complaints}")
        summary = json.loads(self._summary.read_text())
        missing = summary["requests"] - len(found)
        # Iterations that the end interrupts are in one of the two counts only: one per connection at most.
        if abs(missing) > CONNECTIONS:
            raise LoadError(f"k6 counted {summary['requests']} requests and logged {len(found)}.")
        self.samples = sorted((sample for sample in found if sample.at <= end), key=lambda sample: sample.at)
        self.not_sent = summary["dropped"]
