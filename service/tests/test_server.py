"""The real process: start, drain under load, failure."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """A running service; its output goes to a file, since a full pipe would stop it."""

    popen: subprocess.Popen[str]
    port: int
    log: Path

    def ends(self) -> int:
        """Wait for its end; return the exit code."""
        return self.popen.wait(timeout=20)


@contextmanager
def running(model_dir: Path, tmp_path: Path, **env: str) -> Iterator[Process]:
    """Start the service on a free port."""
    port = free_port()
    variables = {**os.environ, "MODEL_DIR": str(model_dir), "PORT": str(port), **env}
    log = tmp_path / "service.log"
    with log.open("w") as stream:
        popen = subprocess.Popen(
            [sys.executable, "-m", "restaurant_search"], cwd=ROOT, env=variables, stdout=stream, text=True
        )
    try:
        yield Process(popen, port, log)
    finally:
        popen.kill()
        popen.wait()


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, bool]:
    """Send a request on a kept connection; return status and whether it will be closed."""
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.will_close


def ask_once(port: int, path: str) -> int:
    """Return the status of one request on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, 2)) as connection:
        return ask(connection, path)[0]


def wait_ready(process: Process) -> None:
    """Ask until ready; a process that ends meanwhile fails the test."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.popen.poll() is None:
        try:
            if ask_once(process.port, "/readyz") == 200:
                return
        except OSError:
            threading.Event().wait(0.02)
    raise AssertionError(f"never ready; exit code {process.popen.poll()}: {process.log.read_text()}")


def test_no_request_is_lost_while_draining(model_dir: Path, tmp_path: Path) -> None:
    """Keep-alive clients go on for 1.5 s after SIGTERM, and every answer is 200."""
    statuses: list[object] = []
    closed = threading.Event()
    stop = threading.Event()

    def client(port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, 5)) as connection:
            while not stop.is_set():
                try:
                    status, closing_now = ask(connection, "/search?q=green+curry")
                except (OSError, http.client.HTTPException) as error:
                    statuses.append(error)
                    return
                statuses.append(status)
                if closing_now:
                    closed.set()

    with running(model_dir, tmp_path, DRAIN_SECONDS="2") as process:
        wait_ready(process)
        threads = [threading.Thread(target=client, args=(process.port,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        process.popen.send_signal(signal.SIGTERM)
        assert closed.wait(2), "draining answers close their connection"
        assert ask_once(process.port, "/readyz") == 503
        stop.wait(1.5)  # traffic goes on for this long; nothing sets the event
        stop.set()
        for thread in threads:
            thread.join()
        assert process.ends() == 0
    assert len(statuses) > 50
    assert set(statuses) == {200}
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert [line["message"] for line in lines if line["logger"].endswith("server")] == ["draining", "stopped"]


def test_a_second_signal_ends_the_drain(model_dir: Path, tmp_path: Path) -> None:
    """An impatient operator is obeyed."""
    with running(model_dir, tmp_path, DRAIN_SECONDS="60") as process:
        wait_ready(process)
        process.popen.send_signal(signal.SIGTERM)
        while ask_once(process.port, "/readyz") == 200:
            pass
        process.popen.send_signal(signal.SIGTERM)
        assert process.ends() == 0


def test_no_model_ends_the_process(tmp_path: Path) -> None:
    """It exits with 1 and says which file is missing."""
    with running(tmp_path / "absent", tmp_path) as process:
        assert process.ends() == 1
        assert "manifest.json" in process.log.read_text()


def test_bad_settings_end_the_process(tmp_path: Path) -> None:
    """It exits with 2 before it listens."""
    with running(tmp_path, tmp_path, MAX_CONCURRENCY="lots") as process:
        assert process.ends() == 2
