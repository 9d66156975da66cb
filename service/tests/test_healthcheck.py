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


class Server(HTTPServer):
    """Answers with the status that is set on it."""

    status = 200


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.send_response(self.server.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"status":"as set"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_ready_is_what_readyz_says(server: Server, status: int, code: int) -> None:
    """Its words go into Docker's record of the container's health."""
    server.status = status
    assert check(server.server_port) == (code, f'{status} {{"status":"as set"}}\n')


def test_nobody_there_is_not_ready(server: Server) -> None:
    """As before the service listens."""
    server.server_close()
    code, said = check(server.server_port)
    assert code == 1
    assert said.startswith("no answer: ")
