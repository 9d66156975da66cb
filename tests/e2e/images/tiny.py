"""A small service that behaves. Standard library only.

GET  /readyz /healthz /version    as a release says them (RELEASE)
GET  /whoami                      host name, release and APP
GET  /env?name=X                  an environment variable, or null
GET  /file?path=P                 the text of a file
GET  /call?url=U                  calls another service and returns its answer
GET  /sleep?seconds=S             answers late, to have a request in flight
GET  /data, POST /data            reads the lines of a file in /data, appends the body as a line
GET  /answer                      the right answer, 42
POST /upload                      how many bytes came, of 64 MB at most, and their checksum

It misbehaves only where its environment asks for that:
DIES_AFTER    ends so many seconds after the first POST: ready for every gate, dead among users
WRONG_AFTER   gives a wrong answer from so many seconds after the first POST on, and says that all is well
LOADS_AFTER   answers everything with 503 from so many seconds after the first POST on, as one that was started again
EXITS_AFTER   is never ready, and ends after so many seconds
EATS_MB       takes so much memory before it listens
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = int(os.environ.get("PORT") or 8080)
RELEASE = os.environ.get("RELEASE", "dev")
LINES = Path(os.environ.get("DATA_DIR") or "/data") / "lines.txt"
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS") or 2)

DIES_AFTER = os.environ.get("DIES_AFTER") or ""
WRONG_AFTER = os.environ.get("WRONG_AFTER") or ""
LOADS_AFTER = os.environ.get("LOADS_AFTER") or ""
EXITS_AFTER = os.environ.get("EXITS_AFTER") or ""
EATS_MB = int(os.environ.get("EATS_MB") or 0)
FIRST_POST = threading.Event()
"""Users send POSTs; gates and probes do not."""
WRONG, LOADING = threading.Event(), threading.Event()
LARGEST = 64 << 20

Answer = tuple[int, object]


class Server(ThreadingHTTPServer):
    """Counts requests in flight, so that a stop can wait for them."""

    daemon_threads = True  # idle keep-alive connections must not hold up the end
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("", PORT), Handler)
        self.draining = False
        self.in_flight = 0
        self.changed = threading.Condition()

    def count(self, step: int) -> None:
        with self.changed:
            self.in_flight += step
            self.changed.notify_all()

    def drain(self) -> None:
        """Stop being ready, accept a while longer, close the listener, wait for what is in flight."""
        self.draining = True
        threading.Event().wait(DRAIN_SECONDS)
        self.shutdown()

    def wait_idle(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.in_flight == 0, timeout=20)


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON, on kept connections."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet; in two, the second waits 40 ms for a delayed acknowledgement
    server: Server

    def do_GET(self) -> None:
        self._counted(b"")

    def do_POST(self) -> None:
        FIRST_POST.set()
        self._counted(self._body())

    def _body(self) -> bytes:
        """All of it, whether its length is told or it comes in chunks; a rest would be taken for the next request."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LARGEST))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(min(size, LARGEST)))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _counted(self, body: bytes) -> None:
        self.server.count(1)
        try:
            status, content = self._answer(body)
            text = json.dumps(content).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if self.server.draining:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)
        finally:
            self.server.count(-1)

    def _answer(self, body: bytes) -> Answer:
        parts = urlsplit(self.path)
        value = next((values[0] for values in parse_qs(parts.query).values()), "")
        try:
            return self._route(parts.path, value, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 502, {"error": f"{type(error).__name__}: {error}"}

    def _route(self, path: str, value: str, body: bytes) -> Answer:
        if LOADING.is_set():
            return 503, {"status": "loading"}
        if path == "/readyz":
            state = "draining" if self.server.draining else "loading" if EXITS_AFTER else "ready"
            return (200 if state == "ready" else 503), {"status": state, "version": RELEASE}
        if path == "/upload" and self.command == "POST":
            return 200, {"bytes": len(body), "checksum": zlib.crc32(body)}
        if path == "/data" and self.command == "POST":
            with LINES.open("a", encoding="utf-8") as stream:
                stream.write(body.decode().replace("\n", " ") + "\n")
            return 201, {"stored": True}
        simple: dict[str, object] = {
            "/": {"release": RELEASE},
            "/healthz": {"status": "ok"},
            "/version": {"version": RELEASE},
            "/answer": {"answer": 54 if WRONG.is_set() else 42},
            "/whoami": {"hostname": socket.gethostname(), "release": RELEASE, "app": os.environ.get("APP", "")},
            "/env": {"name": value, "value": os.environ.get(value)},
        }
        if path in simple:
            return 200, simple[path]
        if path == "/file":
            return 200, {"text": Path(value).read_text("utf-8")}
        if path == "/data":
            return 200, {"lines": LINES.read_text("utf-8").splitlines() if LINES.exists() else []}
        if path == "/call":
            return call(value)
        if path == "/sleep":
            threading.Event().wait(min(float(value or 1), 60))
            return 200, {"slept": value}
        return 404, {"error": f"nothing at {path}"}

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what was asked, the health check excepted."""
        del size
        if not self.path.startswith("/readyz"):
            sys.stdout.write(f"{self.requestline} {code}\n")


def call(url: str) -> Answer:
    """Return what the service at `url` answers, under its own status."""
    if urlsplit(url).scheme != "http":
        return 400, {"error": "only http is called"}
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    return status, {"called": url, "by": socket.gethostname(), "answer": json.loads(text)}


def die() -> None:
    """End without a word, a while after the first user has come."""
    FIRST_POST.wait()
    threading.Event().wait(float(DIES_AFTER))
    os._exit(9)


def go_wrong(seconds: str, how: threading.Event) -> None:
    """Give wrong answers or none, a while after the first user has come."""
    FIRST_POST.wait()
    threading.Event().wait(float(seconds))
    how.set()


def give_up() -> None:
    """End a while after the start, without ever having been ready."""
    threading.Event().wait(float(EXITS_AFTER))
    os._exit(7)


def main() -> int:
    """Serve until SIGTERM, then drain."""
    # Written to, since memory that nobody wrote to is not there.
    eaten = [bytearray(os.urandom(1024) * 1024) for _ in range(EATS_MB)]
    for when, act in ((DIES_AFTER, die), (EXITS_AFTER, give_up)):
        if when:
            threading.Thread(target=act, daemon=True).start()
    for when, how in ((WRONG_AFTER, WRONG), (LOADS_AFTER, LOADING)):
        if when:
            threading.Thread(target=go_wrong, args=(when, how), daemon=True).start()
    server = Server()
    # In a thread: shutdown() waits for the loop that a signal handler would be blocking.
    drain = threading.Thread(target=server.drain)
    signal.signal(signal.SIGTERM, lambda *_: None if server.draining or drain.ident else drain.start())
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    server.wait_idle()
    del eaten
    return 0


if __name__ == "__main__":
    sys.exit(main())
