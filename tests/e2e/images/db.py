"""A small database that stands for any: keys and values in /data. Standard library only.

GET /healthz; GET /keys; GET, PUT, DELETE /kv/<key>. Each write is on the disk before it is answered. The volume is
locked while the process lives, and a second process on it ends at once: two databases on one volume lose data.

It also tells who worked: GET /jobs/<name> is answered when the one who asks has gone, and counts as work until then;
GET /work says who works now, who has worked in what order, and how many at once at most.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ.get("PORT") or 5000)
DATA = Path(os.environ.get("DATA_DIR") or "/data")
# A start that takes its time shows whether others wait for health.
START_SECONDS = float(os.environ.get("START_SECONDS") or 0)


class Store:
    """Keys and values in one file, replaced whole."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "store.json"
        self._lock = threading.Lock()
        self._values: dict[str, str] = json.loads(self._file.read_text("utf-8")) if self._file.exists() else {}

    def keys(self) -> list[str]:
        return sorted(self._values)

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def put(self, key: str, value: str | None) -> None:
        """Set a value, or remove it with None."""
        with self._lock:
            values = {**self._values, key: value}
            kept = {k: v for k, v in values.items() if v is not None}
            draft = self._file.with_suffix(".new")
            with draft.open("w", encoding="utf-8") as stream:
                json.dump(kept, stream)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self._file)
            self._values = kept


class Work:
    """Who works now, who has begun in what order, and the most at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: list[str] = []
        self._begun: list[str] = []
        self._most = 0

    def begin(self, name: str) -> None:
        with self._lock:
            self._now.append(name)
            self._begun.append(name)
            self._most = max(self._most, len(self._now))

    def end(self, name: str) -> None:
        with self._lock:
            self._now.remove(name)

    def told(self) -> dict[str, object]:
        with self._lock:
            return {"now": list(self._now), "begun": list(self._begun), "most": self._most}


class Server(ThreadingHTTPServer):
    """The server with its store."""

    daemon_threads = True

    def __init__(self, store: Store) -> None:
        super().__init__(("", PORT), Handler)
        self.store = store
        self.work = Work()


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._reply(200, {"status": "ok"})
        elif self.path == "/work":
            self._reply(200, self.server.work.told())
        elif self.path.startswith("/jobs/"):
            self._watch(self.path.removeprefix("/jobs/"))
        elif self.path == "/keys":
            self._reply(200, {"keys": self.server.store.keys()})
        elif (key := self._key()) and (value := self.server.store.get(key)) is not None:
            self._reply(200, {"key": key, "value": value})
        else:
            self._reply(404, {"error": "no such key"})

    def do_PUT(self) -> None:
        value = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._change(value)

    def do_DELETE(self) -> None:
        self._change(None)

    def _watch(self, name: str) -> None:
        """The kernel closes a dead process's connections, so this ends when the worker does."""
        self.server.work.begin(name)
        try:
            self.connection.recv(1)
        finally:
            self.server.work.end(name)
            self.close_connection = True

    def _key(self) -> str:
        return self.path.removeprefix("/kv/") if self.path.startswith("/kv/") else ""

    def _change(self, value: str | None) -> None:
        if key := self._key():
            self.server.store.put(key, value)
            self._reply(200, {"key": key, "value": value})
        else:
            self._reply(404, {"error": "write to /kv/<key>"})

    def _reply(self, status: int, content: object) -> None:
        text = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Stay quiet: the health check asks each second."""


def main() -> int:
    """Take the volume, serve until SIGTERM."""
    DATA.mkdir(parents=True, exist_ok=True)
    with (DATA / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"db: {DATA} is in use by another database\n")
            return 1
        threading.Event().wait(START_SECONDS)
        server = Server(Store(DATA))
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        sys.stdout.write(f"db: ready with {len(server.store.keys())} keys\n")
        server.serve_forever(poll_interval=0.1)
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
