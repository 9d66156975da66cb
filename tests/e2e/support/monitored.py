"""A host that is watched: its Prometheus as the edge serves it, and a webhook of its own that keeps what it is told."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tests.e2e.support.playbook import ROOT
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until

USER, PASSWORD = "davit", "davit-lab"
WEBHOOK = "http://127.0.0.1:5998"
PLACE = "/run/davit-webhook"
LISTENER = f"""
import http.server, pathlib, sys
class Keep(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with pathlib.Path("{PLACE}" + self.path).open("ab") as kept:
            kept.write(body + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 5998), Keep).serve_forever()
"""


@dataclass(frozen=True)
class Monitored:
    """The host under its public address."""

    target: Target

    def get(self, path: str, *, user: str = USER, password: str = PASSWORD) -> tuple[int, str]:
        """A page below /davit through the edge: status and text."""
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"} if user else {}
        connection = http.client.HTTPConnection(self.target.address, 80, timeout=10)
        try:
            connection.request("GET", f"/davit{path}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query; raises AssertionError for one that Prometheus refuses."""
        status, text = self.get(f"/api/v1/query?{urlencode({'query': expression}, quote_via=quote)}")
        document = json.loads(text)
        assert (status, document["status"]) == (200, "success"), (expression, text)
        found: list[dict[str, Any]] = document["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of the first series; None without one."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def listen(self) -> None:
        """Start the webhook's listener, and forget what an earlier one was told."""
        self.target.inside(
            f"systemctl stop davit-test-webhook 2>/dev/null; rm -rf {PLACE}; mkdir {PLACE};"
            "systemd-run --quiet --collect --unit davit-test-webhook --property=RuntimeMaxSec=1200 python3 -c '"
            + LISTENER
            + "'"
        )

    def heard(self, name: str) -> list[dict[str, Any]]:
        """What the webhook was told at `/<name>`, oldest first."""
        lines = self.target.inside(f"cat {PLACE}/{name} 2>/dev/null || true").splitlines()
        return [json.loads(line) for line in lines if line]

    def ask_many(self, queries: list[str], bodies: list[dict[str, Any]]) -> None:
        """Searches and other bodies through the edge, over one connection."""
        connection = http.client.HTTPConnection(self.target.address, 80, timeout=10)
        for body in [{"query": query, "limit": 3} for query in queries] + bodies:
            connection.request("POST", "/search", json.dumps(body), {"Content-Type": "application/json"})
            connection.getresponse().read()
        connection.close()

    def search_until(self, expression: str) -> None:
        """Search until ``expression`` has a series: the host's own probes are no traffic."""

        def seen() -> bool:
            self.ask_many(["pizza"], [])
            return bool(self.query(expression))

        until(seen, 60)


def in_service_image(script: str, *arguments: str, image: str = "ghcr.io/davit-ec2/restaurant-search:v1") -> str:
    """Run Python with the service, its model and its generator at hand; what it prints."""
    mount = ["--volume", f"{ROOT}/service:/src:ro", "--env", "PYTHONPATH=/src", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    argv = ["docker", "run", "--rm", "--interactive", "--network", "none", *mount, image, "python", "-", *arguments]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(url: str, until: str, *read: str, screenshot: str = "", width: int = 1180) -> dict[str, Any]:
    """What Chromium shows of a page (see tests/browser/look.py)."""
    python = ROOT / ".cache/venvs/browser/bin/python"
    argv = [str(python), str(ROOT / "tests/browser/look.py"), url, "--user", USER, "--password", PASSWORD]
    argv += ["--until", until, "--width", str(width), *(word for one in read for word in ("--read", one))]
    argv += ["--screenshot", screenshot] if screenshot else []
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "at": time.time()}
