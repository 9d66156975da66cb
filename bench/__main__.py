"""Runs the whole benchmark: `make bench`. Red when Davit lost a request, and when a promise about time is missed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.chart import Axis, chart
from bench.figures import Way
from bench.load import LoadError
from bench.machine import describe
from bench.report import Results, as_json, markdown
from bench.settings import Settings
from bench.target import OVERRIDES, BenchError, Target, say
from bench.timings import measure_three, measure_timings
from bench.ways import AFTER, BEFORE, STEP, measure_davit, measure_peers
from tests.e2e.support.fleet import Fleet


def measure(settings: Settings, folder: Path) -> Results:
    """Everything on one host of a fleet of its own, which is gone again at the end, whatever happens."""
    fleet = Fleet.declare("bench", folder, OVERRIDES)
    try:
        target = Target.make(fleet)
        machine = describe(target)
        ways: list[Way] = measure_peers(target, settings, folder)
        ways += measure_davit(target, settings, folder)
        timings = measure_timings(target, settings)
        one, three = measure_three(target, settings)
        timings = replace(timings, deploy_one=one, deploy_three=three)
    finally:
        say("destroy")
        gone = fleet.destroy()
    if gone.rc != 0:
        raise BenchError(str(gone))
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return Results(date, settings.rate, machine, tuple(ways), timings)


def write(results: Results, folder: Path) -> None:
    """The page, its chart and the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    axis = Axis(BEFORE, AFTER, STEP)
    changes = [way for way in results.ways if way.key != "control"]
    (folder / "benchmarks.json").write_text(as_json(results))
    (folder / "benchmarks.svg").write_text(chart(changes, results.rate, axis))
    (folder / "benchmarks.md").write_text(markdown(results))


def main() -> int:
    """Measure, write, tell; the exit code."""
    # A stop must clean up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        settings = Settings.from_environment(os.environ)
        with tempfile.TemporaryDirectory(prefix="davit-bench-") as folder:
            results = measure(settings, Path(folder))
    except (BenchError, LoadError, ValueError, AssertionError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    write(results, settings.out)
    print(markdown(results).split("## Measured with")[0])
    for problem in results.problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if results.problems else 0


if __name__ == "__main__":
    sys.exit(main())
