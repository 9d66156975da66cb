# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""How long answers took: over a whole run as percentiles, and second by second as a series. In bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

MOST_POINTS = 600
_SMALLEST_MS = 0.1
_COARSE = 1.1


class Times:
    """Times in buckets of which each is ``growth`` times as wide as the one before."""

    def __init__(self, growth: float) -> None:
        self._step = math.log(growth)
        self._buckets: Counter[int] = Counter()
        self.slowest_ms = 0.0

    def add(self, ms: float) -> None:
        self.slowest_ms = max(self.slowest_ms, ms)
        self._buckets[math.ceil(math.log(max(ms, _SMALLEST_MS) / _SMALLEST_MS) / self._step)] += 1

    def merge(self, other: Times) -> None:
        """Take in the times of another one with the same buckets."""
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self._buckets.update(other._buckets)

    def percentile(self, share: float) -> float | None:
        """Milliseconds within which ``share`` of the answers came, too many by one bucket at most; None without any."""
        wanted = math.ceil(share * sum(self._buckets.values()))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return round(min(_SMALLEST_MS * math.exp(bucket * self._step), self.slowest_ms), 2)
        return None


class _Point:
    """What ended within the same second, or the same few."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.times = Times(_COARSE)

    def merge(self, other: _Point) -> None:
        self.requests += other.requests
        self.failures += other.failures
        self.times.merge(other.times)


class Series:
    """Requests, failures and times of each second from the first one on. When there are more than ``most`` seconds,
    every two points become one, twice as wide, as often as it takes."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._origin: float | None = None
        self._width = 1
        self._points: list[_Point] = []

    def add(self, when: float, ok: bool, ms: float) -> None:
        """Count a request that ended at ``when`` (monotonic seconds, never before an earlier one's)."""
        if self._origin is None:
            self._origin = when
        second = max(when - self._origin, 0.0)
        while second // self._width >= self._most:
            self._widen()
        index = int(second // self._width)
        while len(self._points) <= index:
            self._points.append(_Point())
        point = self._points[index]
        point.requests += 1
        if ok:
            point.times.add(ms)
        else:
            point.failures += 1

    def _widen(self) -> None:
        wider = self._points[::2]
        for left, right in zip(wider, self._points[1::2]):
            left.merge(right)
        self._points = wider
        self._width *= 2

    def to_json(self, ahead: float) -> dict[str, Any]:
        """Columns with an entry for each ``width`` seconds since ``began`` (seconds since 1970); {} without any.

        ``ahead`` is by how much the clock on the wall is ahead of the monotonic one. Times are those of good
        answers, ``p95_ms`` at most 10 % too many, and None where nothing was answered well.
        """
        if self._origin is None:
            return {}
        return {
            "began": round(self._origin + ahead, 2),
            "width": self._width,
            "requests": [point.requests for point in self._points],
            "failures": [point.failures for point in self._points],
            "p95_ms": [_short(point.times.percentile(0.95)) for point in self._points],
            "max_ms": [_short(point.times.slowest_ms or None) for point in self._points],
        }


def _short(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
