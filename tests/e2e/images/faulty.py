"""Releases that must not go live, in the real service's image and with its paths. Standard library only.

faulty.py exits         ends at once, as a service does that misses its configuration
faulty.py never-ready   lives, and loads for ever
faulty.py answers-500   answers 500 whatever is asked
faulty.py search-500    is ready and says the right version, but fails each search
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
VERSION = os.environ.get("VERSION", "dev")
MANIFEST = Path("/opt/model/manifest.json")


def log(level: str, message: str) -> None:
    """Write a line as the service does."""
    sys.stdout.write(json.dumps({"level": level, "message": message, "version": VERSION}) + "\n")
    sys.stdout.flush()


def answer(path: str) -> tuple[int, dict[str, object]]:
    """Return status and content for a path, under the fault."""
    if FAULT == "answers-500":
        return 500, {"detail": "the table 'restaurants' does not exist"}
    if path == "/healthz":
        return 200, {"status": "ok"}
    if path == "/readyz":
        loading = FAULT == "never-ready"
        return (503 if loading else 200), {"status": "loading" if loading else "ready", "version": VERSION}
    if path == "/version":
        about = json.loads(MANIFEST.read_text("utf-8"))
        return 200, {"version": VERSION, "model_id": about["model_id"], "model_version": about["model_version"]}
    if path == "/search":
        return 500, {"detail": "the embedding has 768 numbers, the catalogue's have 384"}
    return 404, {"detail": "Not Found"}


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON, and logs what fails."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(min(length, 100_000))
        status, content = answer(urlsplit(self.path).path)
        if status == 500:
            log("error", f"{self.path}: {content['detail']}")
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave the log to what is said on purpose."""


def main() -> int:
    """Serve with the fault that the first argument names."""
    if FAULT == "exits":
        log("error", "cannot start: PAYMENT_URL is not set")
        return 3
    if FAULT not in {"never-ready", "answers-500", "search-500"}:
        sys.stderr.write(f"unknown fault {FAULT!r}\n")
        return 2
    # Process 1 has no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    log("info", "loading a model that is too large" if FAULT == "never-ready" else "listening")
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
