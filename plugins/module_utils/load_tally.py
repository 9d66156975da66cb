# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a load probe has seen: requests, failures, the longest gap and how long answers took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.load_series import Series, Times

_FINE = 1.02
_MOST_RELEASES = 50


@dataclass(frozen=True)
class Sample:
    """One request: ``when`` it ended (monotonic seconds), what it took, and ``what`` was wrong if it failed."""

    when: float
    ok: bool
    seconds: float
    release: str | None = None
    what: str = ""


class Tally:
    """Counts samples in bounded memory. Nothing counts before the first good answer.

    Until a first release is live nothing can be lost, so a failure that was asked before the first
    good answer had come is left out, also when it ends later.
    """

    def __init__(self) -> None:
        self._armed_at: float | None = None
        self._requests = 0
        self._failures = 0
        self._failed_in_a_row = 0
        self._first_failure = ""
        self._last_ok = 0.0
        self._longest_gap = 0.0
        self._releases: Counter[str] = Counter()
        self._times = Times(_FINE)
        self._series = Series()

    def add(self, sample: Sample) -> None:
        """Count one sample; they come in the order in which they ended."""
        if self._armed_at is None and sample.ok:
            self._armed_at = self._last_ok = sample.when
        if self._armed_at is None or (not sample.ok and sample.when - sample.seconds < self._armed_at):
            return
        self._requests += 1
        self._series.add(sample.when, sample.ok, sample.seconds * 1000)
        if sample.ok:
            self._count_ok(sample)
        else:
            self._count_failure(sample)

    def _count_ok(self, sample: Sample) -> None:
        if self._failed_in_a_row:
            self._longest_gap = max(self._longest_gap, sample.when - self._last_ok)
        self._failed_in_a_row = 0
        self._last_ok = sample.when
        release = sample.release or ""
        if release not in self._releases and len(self._releases) >= _MOST_RELEASES:
            release = "others"
        self._releases[release] += 1
        self._times.add(sample.seconds * 1000)

    def _count_failure(self, sample: Sample) -> None:
        self._failures += 1
        self._failed_in_a_row += 1
        self._first_failure = self._first_failure or sample.what
        # While it lasts it is a gap already; the next good answer makes it longer.
        self._longest_gap = max(self._longest_gap, sample.when - self._last_ok)

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers. ``failed_in_a_row`` is the run at the end, 0 after a good answer."""
        return {
            "requests": self._requests,
            "failures": self._failures,
            "longest_gap_ms": round(self._longest_gap * 1000),
            "p50_ms": self._times.percentile(0.50),
            "p95_ms": self._times.percentile(0.95),
            "p99_ms": self._times.percentile(0.99),
            "releases": dict(self._releases),
            "first_failure": self._first_failure,
            "failed_in_a_row": self._failed_in_a_row,
        }

    def series(self, ahead: float) -> dict[str, Any]:
        """The same second by second (see ``Series``)."""
        return self._series.to_json(ahead)
