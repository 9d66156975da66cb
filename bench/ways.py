"""Each way of changing the release, many times over under the load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import peers
from bench.figures import Change, Way, loss, over_time
from bench.load import Load
from bench.settings import Settings
from bench.target import Target, check, say

BEFORE, AFTER, STEP = 2.0, 18.0, 0.5
"""Seconds around a change that the chart shows, and the width of its bars."""
LOOK = 3.0
"""Seconds that the load goes on after each change, for what fails late."""
TITLES = {
    "control": "no change",
    "down-up": "`docker compose pull; down; up -d`",
    "in-place": "`docker compose up -d`",
    "davit-deploy": "Davit deploy",
    "davit-rollback": "Davit rollback",
}


@dataclass(frozen=True)
class Step:
    """One change: the way that it belongs to, and what does it; `rest` returns when its clean-up is done."""

    key: str
    run: Callable[[], None]
    rest: Callable[[], None] = lambda: None


def measure(url: str, rate: int, folder: Path, steps: Sequence[Step]) -> list[Way]:
    """Do the steps one after the other under one load. A change's losses run until the next one begins."""
    changes: list[tuple[str, Change]] = []
    with Load(url, rate, folder) as load:
        for number, step in enumerate(steps, 1):
            start = time.time()
            step.run()
            wall = time.time() - start
            changes.append((step.key, Change(start, wall)))
            say(f"{step.key} {number} of {len(steps)}: {wall:.1f} s")
            step.rest()
            time.sleep(LOOK)  # nothing to await: this watches
        end = time.time()
    ends = [change.start for _, change in changes[1:]] + [end]
    windows = [(key, change, until) for (key, change), until in zip(changes, ends, strict=True)]
    return [
        summary(key, [(change, until) for k, change, until in windows if k == key], load)
        for key in dict.fromkeys(key for key, _ in changes)
    ]


def summary(key: str, windows: Sequence[tuple[Change, float]], load: Load) -> Way:
    """One way's figures, from its changes and where the losses of each end."""
    stretches = [(change.start, until) for change, until in windows]
    return Way(
        key,
        TITLES[key],
        tuple(round(change.wall, 2) for change, _ in windows),
        tuple(loss(load.samples, start, until) for start, until in stretches),
        tuple(over_time(load.samples, stretches, BEFORE, AFTER, STEP)),
        load.not_sent,
    )


def measure_peers(target: Target, settings: Settings, folder: Path) -> list[Way]:
    """Both ways by hand. The load goes to the port that the stack publishes itself."""
    url = f"http://{target.address}:{peers.PORT}/"
    found: list[Way] = []
    peers.prepare(target)
    try:
        peers.in_place(target)
        for key, run in (("down-up", peers.down_and_up), ("in-place", peers.in_place)):
            say(f"{TITLES[key]}: {settings.peer_deploys} changes under {settings.rate} requests per second")
            steps = [Step(key, partial(run, target))] * settings.peer_deploys
            found += measure(url, settings.rate, folder, steps)
    finally:
        peers.remove(target)
    return found


def measure_davit(target: Target, settings: Settings, folder: Path) -> list[Way]:
    """Deploys with rollbacks among them, through the edge; a rollback returns to a release that is stopped."""
    # Two releases, so that the first rollback has where to go.
    for _ in range(2):
        check(target.deploy())
    target.await_rest()
    deploy = Step("davit-deploy", lambda: check(target.deploy()), target.await_rest)
    rollback = Step("davit-rollback", lambda: check(target.rollback()), target.await_rest)
    steps = [Step("control", lambda: time.sleep(2 * LOOK))]
    for number in range(1, settings.deploys + 1):
        steps += [deploy, *[rollback] * settings.rollback_after(number)]
    say(f"Davit: {settings.deploys} deploys, {settings.rollbacks} rollbacks under {settings.rate} requests per second")
    return measure(f"http://{target.address}/", settings.rate, folder, steps)
