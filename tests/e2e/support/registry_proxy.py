"""A registry that misbehaves, for one test host: TLS with the lab's certificate, and the lab's registry behind it.

Runs inside the host: `registry_proxy.py ADDRESS CERTIFICATE KEY FAULT`, where the fault is
slow (each answer comes a second late), errors (500 to everything), hangs (no answer at all) or
vanishes (what was asked for once by its digest is not there any more). Standard library only.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

PORT = 5999
MARK = 0x5F
"""On packets to the real registry, which the host's redirection lets pass."""
SO_MARK = 36
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}

ADDRESS, CERTIFICATE, KEY, FAULT = sys.argv[1:5]


def upstream() -> http.client.HTTPSConnection:
    """A connection to the real registry, past the redirection."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
    plain.settimeout(30)
    plain.connect((ADDRESS, 443))
    connection = http.client.HTTPSConnection("ghcr.io")
    connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname="ghcr.io")
    return connection


class Handler(BaseHTTPRequestHandler):
    """Passes on what is asked, under the fault. The hosts only read."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        if FAULT == "hangs":
            threading.Event().wait()
        if FAULT == "slow":
            threading.Event().wait(1)
        if FAULT == "errors":
            self._say(500, b'{"errors": [{"code": "UNKNOWN", "message": "the disk of the registry is full"}]}')
        elif FAULT == "vanishes" and "/sha256:" in self.path and self._asked_before():
            self._say(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
        else:
            self._pass_on()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _asked_before(self) -> bool:
        before = self.path in self.asked
        if self.command == "GET":
            self.asked.add(self.path)
        return before

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_on(self) -> None:
        connection = upstream()
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # an engine sends many of the name Accept
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        finally:
            connection.close()


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
