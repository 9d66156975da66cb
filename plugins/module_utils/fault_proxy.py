# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A small HTTP proxy that spoils what goes through it: the faults of a drill, for any image.

It carries the requests of a gate and never those of users, so it reads answers whole.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.drill import NEVER_READY, SLOW, WRONG, Drill, request_key

PATIENCE = 30.0
"""Seconds to wait for the container behind; a gate gives up much earlier."""

_OF_ONE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
)

Seen = Callable[[], None]


def emptied(body: bytes) -> bytes:
    """A wrong answer of the same form: JSON without what was in it, and nothing of anything else."""
    try:
        document = json.loads(body)
    except ValueError:
        return b""
    return b"[]" if isinstance(document, list) else b"{}"


class FaultProxy(ThreadingHTTPServer):
    """Listens on the loopback port ``front`` and asks the one at ``back``.

    ``seen`` is called whenever the fault spoils an answer. ``close`` ends it at once, with requests
    that are being delayed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, drill: Drill, front: int, back: int, seen: Seen) -> None:
        super().__init__(("127.0.0.1", front), _Handler)
        self.drill = drill
        self.back = back
        self.seen = seen
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gate that has gone away in the meantime is what a slow answer is for, and no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def log_message(self, *_words: Any) -> None:
        """Be quiet: what a gate saw is in its verdict."""

    def serve(self) -> None:
        proxy, drill = self.server, self.server.drill
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        spared = request_key(self.command, self.path) in drill.spared
        if drill.kind == NEVER_READY:
            proxy.seen()
            self._answer(503, [], b"")
            return
        if drill.kind == SLOW and not spared:
            proxy.seen()
            if proxy.ended.wait(drill.delay_seconds):
                self.close_connection = True
                return
        try:
            status, headers, body = self._ask(sent)
        except (OSError, http.client.HTTPException):
            # As the port of a container that does not listen yet: no answer at all.
            self.close_connection = True
            return
        if drill.kind == WRONG and not spared:
            proxy.seen()
            headers = [(name, value) for name, value in headers if name.lower() not in ("content-encoding", "etag")]
            body = emptied(body)
        self._answer(status, headers, body)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        # Compressed JSON could not be told from what is no JSON.
        dropped = _OF_ONE_CONNECTION | {"accept-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.back, timeout=PATIENCE)
        try:
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    setattr(_Handler, f"do_{_method}", _Handler.serve)
