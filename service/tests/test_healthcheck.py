"""The container's health check, run as the container runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from restaurant_search import healthcheck


def check(port: int) -> tuple[int, str]:
    """Exit code and output."""
    command = [sys.executable, "-IS", str(Path(healthcheck.__file__))]
    done = subprocess.run(command, env={**os.environ, "PORT": str(port)}, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """Answers with the status that is set on it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(made.status if self.path == "/readyz" else 404)  # type: ignore[attr-defined]
            self.end_headers()
            self.wfile.write(b'{"status":"as set"}')

        def log_message(self, *_: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_ready_is_what_readyz_says(server: HTTPServer, status: int, code: int) -> None:
    """Its words go into Docker's record of the container's health."""
    server.status = status  # type: ignore[attr-defined]
    assert check(server.server_port) == (code, f'{status} {{"status":"as set"}}\n')


def test_nobody_there_is_not_ready(server: HTTPServer) -> None:
    """As before the service listens."""
    server.server_close()
    code, said = check(server.server_port)
    assert code == 1
    assert said.startswith("no answer: ")
