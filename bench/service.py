"""Measures the reference service on one core: load, latency at a constant rate, memory. `make bench-service`."""

from __future__ import annotations

import http.client
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

IMAGE = "ghcr.io/davit-ec2/restaurant-search:v1"
PORT, RATE, SECONDS, WORKERS = 18_000, 50, 60, 8
QUERIES = (
    "date night",
    "somewhere to bring my puppy",
    "neapolitan pizza",
    "food without meat",
    "pad thai near the river",
)
LIMITS = {"load, s": 1.0, "p99, ms": 25.0, "memory, MiB": 300.0}
LOAD = (
    "import time; from pathlib import Path; from restaurant_search.engine import Engine; begin = time.monotonic();"
    "Engine.load(Path('/opt/model')); print(time.monotonic() - begin)"
)


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    load: float
    latencies_ms: list[float]
    failures: int
    memory_mib: float


def docker(*argv: str) -> str:
    """The output of a Docker command that has to succeed."""
    return subprocess.run(["docker", *argv], check=True, capture_output=True, text=True).stdout.strip()


def ask(connection: http.client.HTTPConnection, number: int) -> bool:
    """One search; whether it was answered."""
    body = json.dumps({"query": QUERIES[number % len(QUERIES)], "limit": 10})
    connection.request("POST", "/search", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200


def load_test() -> tuple[list[float], int]:
    """Latencies in milliseconds, from the moment at which each request was due; and how many failed."""
    due: queue.SimpleQueue[tuple[int, float] | None] = queue.SimpleQueue()
    latencies: list[float] = []
    failures: list[int] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
        while (job := due.get()) is not None:
            number, moment = job
            if not ask(connection, number):
                failures.append(number)
            latencies.append((time.monotonic() - moment) * 1000)

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    for number in range(RATE * SECONDS):
        moment = begin + number / RATE
        time.sleep(max(0.0, moment - time.monotonic()))
        due.put((number, moment))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return latencies, len(failures)


def await_ready() -> None:
    """Return once it answers; a RuntimeError when it does not within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=2)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise RuntimeError("the service never got ready")


def measure() -> Figures:
    """All of it, with the service on the last core and its client on the first."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    place = ["--cpuset-cpus", str(cores[-1]), "--memory", "512m"]
    loads = sorted(float(docker("run", "--rm", *place, IMAGE, "python", "-c", LOAD)) for _ in range(3))
    container = docker("run", "--detach", "--rm", *place, "--publish", f"127.0.0.1:{PORT}:8000", IMAGE)
    try:
        await_ready()
        latencies, failures = load_test()
        status = docker("exec", container, "cat", "/proc/1/status")
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return Figures(loads[1], latencies, failures, int(peak.split()[1]) / 1024)
    finally:
        docker("rm", "--force", container)


def main() -> int:
    """Print the figures beside what is promised; 1 when a promise is missed."""
    seen = measure()
    percentiles = statistics.quantiles(seen.latencies_ms, n=100)
    figures = {
        "load, s": seen.load,
        "p50, ms": percentiles[49],
        "p95, ms": percentiles[94],
        "p99, ms": percentiles[98],
        "memory, MiB": seen.memory_mib,
        "failed": float(seen.failures),
    }
    missed = [name for name, limit in {**LIMITS, "failed": 0.0}.items() if figures[name] > limit]
    for name, value in figures.items():
        limit = f" (at most {LIMITS[name]:g})" if name in LIMITS else ""
        print(f"{name}: {value:.2f}{limit}{'  MISSED' if name in missed else ''}")
    print(f"{len(seen.latencies_ms)} searches at {RATE} per second on one core")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
