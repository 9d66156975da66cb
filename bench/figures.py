"""From single requests and timings to figures. Nothing here runs or reads anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

LINE = re.compile(r"(?P<start>\d{13}) (?P<end>\d{13}) (?P<status>\d+) (?P<error>\d+)")
"""What bench/load.js prints of a request."""


@dataclass(frozen=True)
class Sample:
    """One request: when it ended (seconds since the epoch), how long it took (ms), and why it failed, if it did."""

    at: float
    took: float
    failure: str = ""

    @property
    def start(self) -> float:
        return self.at - self.took / 1000


def parse(line: str) -> Sample | None:
    """The request of one line of the load's output; None for k6's own messages."""
    found = LINE.fullmatch(line.strip())
    if found is None:
        return None
    status, error = found["status"], found["error"]
    failure = "" if status == "200" else f"status {status}" if status != "0" else f"k6 error {error}"
    start, end = int(found["start"]), int(found["end"])
    return Sample(end / 1000, end - start, failure)


@dataclass(frozen=True)
class Change:
    """One change of the release under load; times in seconds, `start` since the epoch."""

    start: float
    wall: float


@dataclass(frozen=True)
class Loss:
    """What users noticed of a stretch of time; the gap is in milliseconds."""

    requests: int
    failed: int
    longest_gap: int
    p99: float
    reasons: dict[str, int] = field(default_factory=dict)


def longest_gap(samples: Sequence[Sample]) -> int:
    """The longest time between two successes with a failure between them, in ms; 0 when nothing failed.

    Failures at the edge of the samples have one side only, and count from there to the nearest success.
    """
    longest, failing = 0.0, False
    last = samples[0].at if samples else 0.0
    for sample in samples:
        if sample.failure:
            failing = True
            continue
        if failing:
            longest = max(longest, sample.at - last)
        last, failing = sample.at, False
    if failing:
        longest = max(longest, samples[-1].at - last)
    return round(longest * 1000)


def loss(samples: Iterable[Sample], start: float, end: float) -> Loss:
    """The figures of the requests that ended from `start` to before `end`."""
    within = sorted((s for s in samples if start <= s.at < end), key=lambda sample: sample.at)
    failures = Counter(s.failure for s in within if s.failure)
    times = sorted(s.took for s in within if not s.failure)
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))] if times else 0.0
    return Loss(len(within), failures.total(), longest_gap(within), p99, dict(failures))


def over_time(
    samples: Iterable[Sample], windows: Sequence[tuple[float, float]], before: float, after: float, step: float
) -> list[float]:
    """Failed requests per second around a change, as the mean over the changes of these windows (start, end).

    One number for each `step` seconds, from `before` seconds before a change until `after` seconds after it, or until
    the shortest window ends: what comes later belongs to the next change. A request counts when it was sent, so that
    many that waited and failed at once do not look like more than there were.
    """
    shortest = min((end - start for start, end in windows), default=-before)
    bins = [0] * int((before + min(after, shortest)) / step)
    failed = [sample.start for sample in samples if sample.failure]
    for start, _ in windows:
        for at in failed:
            place = int((at - start + before) // step)
            if 0 <= place < len(bins):
                bins[place] += 1
    return [round(count / step / len(windows), 2) for count in bins]


@dataclass(frozen=True)
class Way:
    """One way of changing the release, and what it cost in each of its changes."""

    key: str
    title: str
    walls: tuple[float, ...]
    losses: tuple[Loss, ...]
    failures_per_second: tuple[float, ...]
    not_sent: int
    """Requests that the load generator could not send in time: its own shortcoming, but worth knowing."""

    @property
    def requests(self) -> int:
        return sum(loss.requests for loss in self.losses)

    @property
    def failed(self) -> int:
        return sum(loss.failed for loss in self.losses)

    @property
    def longest_gap(self) -> int:
        return max((loss.longest_gap for loss in self.losses), default=0)


@dataclass(frozen=True)
class Timings:
    """Wall times in seconds, a list per kind; an empty list is what could not be measured."""

    one_task: tuple[float, ...] = ()
    raw_up: tuple[float, ...] = ()
    raw_start: tuple[float, ...] = ()
    deploy: tuple[float, ...] = ()
    no_op: tuple[float, ...] = ()
    rollback_warm: tuple[float, ...] = ()
    rollback_stopped: tuple[float, ...] = ()
    deploy_one: tuple[float, ...] = ()
    deploy_three: tuple[float, ...] = ()


def middle(values: Sequence[float]) -> float | None:
    """The median, or None of nothing."""
    return median(values) if values else None


@dataclass(frozen=True)
class Bound:
    """A promise: what was measured, and what it may be at most; seconds. None: it could not be measured."""

    title: str
    formula: str
    measured: float | None
    limit: float | None

    @property
    def kept(self) -> bool:
        return self.measured is not None and self.limit is not None and self.measured <= self.limit


def bounds(timings: Timings) -> tuple[Bound, ...]:
    """Each promise about time, from the medians."""
    one, up, start = middle(timings.one_task), middle(timings.raw_up), middle(timings.raw_start)
    single = middle(timings.deploy_one)

    def limit(tasks: float, base: float | None = 0.0) -> float | None:
        return None if one is None or base is None else base + tasks * one

    return (
        Bound("deploy, soak 0", "raw up + 4 one-task playbooks", middle(timings.deploy), limit(4, up)),
        Bound("deploy of what is live already", "2.5 one-task playbooks", middle(timings.no_op), limit(2.5)),
        Bound("rollback in the soak", "3 one-task playbooks", middle(timings.rollback_warm), limit(3)),
        Bound(
            "rollback to a stopped release",
            "raw start until ready + 3 one-task playbooks",
            middle(timings.rollback_stopped),
            limit(3, start),
        ),
        Bound(
            "three hosts in one batch",
            "1.8 deploys to one of them",
            middle(timings.deploy_three),
            None if single is None else 1.8 * single,
        ),
    )
