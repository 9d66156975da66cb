"""Stands between a job and the lab's AWS: notes what it is asked for, loses answers, and says which address asks."""

from __future__ import annotations

import http.client
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.e2e.support.fleet import ENDPOINT

_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")


class AwsBetween(ThreadingHTTPServer):
    """`calls` are IAM's names of what was asked for; answers to those in `lost` never arrive."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = address
        self.calls: list[str] = []
        self.lost: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: AwsBetween

    def do_GET(self) -> None:
        """As a service that answers with the address that asks."""
        self._answer(200, {}, f"{self.server.address}\n".encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service = _SERVICE.search(self.headers["Authorization"])
        assert service is not None
        call = f"{service[1]}:{parse_qs(body.decode())['Action'][0]}"
        self.server.calls.append(call)
        connection = http.client.HTTPConnection(urlsplit(ENDPOINT).netloc, timeout=60)
        try:
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        finally:
            connection.close()
        if call in self.server.lost:
            self.close_connection = True
        else:
            self._answer(status, {"Content-Type": answer.headers["Content-Type"]}, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """A test's output is its own."""
