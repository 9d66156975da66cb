"""What may run once at a time: a worker, a migration and a backfill, which tell the database (db.py) so.

Standard library only.

worker.py work       works until it is stopped, as WORKER_NAME
worker.py migrate    leaves a key for each run, or fails when MIGRATION_FAILS is set
worker.py backfill   leaves a key for each run, or fails when no migration ran before it
worker.py --health   whether it works; true only a while after its start, as with any health check
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

NAME = os.environ.get("WORKER_NAME") or "worker"
WORKING = Path("/dev/shm/working")


def connect() -> http.client.HTTPConnection:
    """The connection to the database."""
    return http.client.HTTPConnection(os.environ.get("DATABASE") or "db:5000")


def work() -> int:
    """Hold the connection for as long as this process lives."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    connection = connect()
    connection.request("GET", f"/jobs/{NAME}")
    sys.stdout.write(f"works as {NAME}\n")
    WORKING.touch()
    connection.getresponse()
    return 1


def migrate() -> int:
    """Write down that it ran."""
    if os.environ.get("MIGRATION_FAILS"):
        sys.stderr.write("migration: the column 'price' exists already\n")
        return 4
    return write_down("migration")


def write_down(what: str) -> int:
    """Leave a key of this run."""
    connection = connect()
    connection.request("PUT", f"/kv/{what}-{time.time():.0f}-{uuid.uuid4().hex[:8]}", NAME)
    return 0 if connection.getresponse().status == 200 else 1


def backfill() -> int:
    """Write down that it ran, after a migration of its own."""
    connection = connect()
    connection.request("GET", "/keys")
    keys: list[str] = json.load(connection.getresponse())["keys"]
    ran = {what: len([key for key in keys if key.startswith(f"{what}-")]) for what in ("migration", "backfill")}
    if ran["migration"] <= ran["backfill"]:
        sys.stderr.write("backfill: there is no column 'price' to fill\n")
        return 5
    return write_down("backfill")


def main() -> int:
    """Do what the first argument says."""
    does: dict[str, Callable[[], int]] = {
        "work": work,
        "migrate": migrate,
        "backfill": backfill,
        "--health": lambda: 0 if WORKING.exists() else 1,
    }
    return does[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
