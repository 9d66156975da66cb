"""The results as Markdown and JSON. Pure: figures in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.figures import Bound, Timings, Way, bounds, middle
from bench.settings import BOOT_SECONDS

CONTROL, PEERS, DAVIT = ("control",), ("down-up", "in-place"), ("davit-deploy", "davit-rollback")
KINDS = {
    "one_task": "a playbook of one task",
    "raw_up": "`docker compose up -d --wait`, new project",
    "raw_start": "`docker compose start` until ready",
    "no_op": "Davit deploy of what is live",
    "deploy": "Davit deploy, soak 0",
    "rollback_warm": "Davit rollback in the soak",
    "rollback_stopped": "Davit rollback to a stopped release",
    "deploy_one": f"Davit deploy to one host of three, boot of {BOOT_SECONDS} s",
    "deploy_three": f"Davit deploy to three hosts in one batch, boot of {BOOT_SECONDS} s",
}


@dataclass(frozen=True)
class Results:
    """All that one run measured."""

    date: str
    rate: int
    machine: Mapping[str, str]
    ways: tuple[Way, ...]
    timings: Timings

    @property
    def bounds(self) -> tuple[Bound, ...]:
        return bounds(self.timings)

    @property
    def lost(self) -> int:
        """Requests that failed while Davit changed the release."""
        return sum(way.failed for way in self.ways if way.key in DAVIT)

    @property
    def problems(self) -> list[str]:
        """What makes a run red, a sentence each."""
        found = [f"Davit lost {self.lost} requests."] if self.lost else []
        found += [
            f"{way.failed} requests failed while nothing changed: this machine does not carry the load."
            for way in self.ways
            if way.key in CONTROL and way.failed
        ]
        missed = [f"{b.title}: {seconds(b.measured)}, at most {seconds(b.limit)}." for b in self.bounds if not b.kept]
        return found + missed


def seconds(value: float | None) -> str:
    """A time as a reader likes it."""
    return "not measured" if value is None else f"{value:.1f} s"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _way(way: Way) -> list[str]:
    reasons: dict[str, int] = {}
    for one in way.losses:
        for reason, count in one.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return [
        way.title,
        str(len(way.walls)),
        f"{way.requests:,}",
        f"{way.failed:,}",
        f"{way.failed / len(way.walls):.0f}" if way.key not in CONTROL else "",
        f"{way.longest_gap:,} ms" if way.failed else "none",
        f"{max(loss.p99 for loss in way.losses):.0f} ms",
        seconds(middle(way.walls)) if way.key not in CONTROL else "",
        seconds(max(way.walls)) if way.key not in CONTROL else "",
    ]


def _bound(bound: Bound) -> list[str]:
    return [
        bound.title,
        bound.formula,
        seconds(bound.measured),
        seconds(bound.limit),
        "ok" if bound.kept else "**MISSED**",
    ]


def _kind(title: str, values: Sequence[float]) -> list[str]:
    return [title, seconds(middle(values)), seconds(max(values, default=None)), str(len(values))]


def _unsent(ways: Sequence[Way]) -> str:
    late = {way.title: way.not_sent for way in ways if way.not_sent}
    if not late:
        return ""
    told = ", ".join(f"{count} in the run with {title}" for title, count in late.items())
    return f"\nThe load generator had no connection free for some requests and left them out: {told}.\n"


def markdown(results: Results) -> str:
    """The page."""
    losses = table(
        ["way", "changes", "requests", "failed", "per change", "longest gap", "worst p99", "median", "slowest"],
        [_way(way) for way in results.ways],
    )
    promises = table(["promise", "at most", "measured", "limit", "kept"], [_bound(bound) for bound in results.bounds])
    values = asdict(results.timings)
    floor = table(
        ["without load", "median", "slowest", "times"], [_kind(title, values[name]) for name, title in KINDS.items()]
    )
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    return f"""\
# Benchmarks

Written by `make bench` on {results.date}: one run, one host of the lab, one image, one load. The single figures are in
[benchmarks.json](benchmarks.json).

## Lost requests

{losses}

![Failed requests over time](benchmarks.svg)
{_unsent(results.ways)}
- The load is {results.rate} POST requests per second over kept connections, sent by k6 at a constant rate
  whatever the answers are, to the host's public address. An answer other than 200 is a failure. What is in flight
  when k6 stops does not count.
- A change's requests are those from its start until the next one begins: at least 3 s after its end, and for Davit
  after the old release has stopped. The longest gap is the time between two successes with a failure between them.
- The peers publish port 8000 themselves, as the Compose file says, and are asked there; Davit's releases are asked
  through the edge on port 80. Both pass the same front of the lab; the edge is a further step that only Davit's
  requests take.
- The first peer is the usual workflow's step over SSH: `docker login`, `docker compose pull`, `down`, `up -d`. The
  second is `docker compose up -d` with another version, over SSH. The images are on the host already, so that no way's
  figures depend on the network. A peer's time ends when the new version answers.
- Davit's time is that of the whole `ansible-playbook`, soak 0. A rollback under load starts a stopped release.
- The service sleeps 3 s at its start and answers at once from then on. The reference service is not taken: 200
  searches per second fill two cores by themselves, and what it would refuse could not be told from what a change loses.

## Promises about time

{promises}

{floor}

Measured without load, in rounds that go through all of them, the three hosts after the rest. `docker compose` is timed
on the host itself, without SSH and Ansible. The one-task playbook uses the same inventory and the same SSH as a deploy.
All hosts of the lab share this machine's cores, which three real hosts would not.

## Measured with

{machine}
"""


def as_json(results: Results) -> str:
    """Everything, for other programs."""
    document: dict[str, Any] = {
        "date": results.date,
        "rate": results.rate,
        "machine": dict(results.machine),
        "ways": [asdict(way) for way in results.ways],
        "timings": asdict(results.timings),
        "promises": [{**asdict(bound), "kept": bound.kept} for bound in results.bounds],
        "problems": results.problems,
    }
    return json.dumps(document, indent=1) + "\n"
