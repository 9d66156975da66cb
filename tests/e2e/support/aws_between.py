"""Stands between a job and the lab's AWS: notes what it is asked for, loses answers, and says which address asks."""

from __future__ import annotations

import fnmatch
import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.e2e.support.fleet import ENDPOINT

# Where IAM's name of a service is not the one that requests are signed for.
_IAM = {"monitoring": "cloudwatch"}
_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")


class AwsBetween(ThreadingHTTPServer):
    """`calls` are IAM's names of what was asked for, and `forms` what EC2 and IAM were told. Answers to the calls
    in `lost` never arrive."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = address
        self.calls: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.lost: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, action: str, field: str) -> set[str]:
        """The values of a field, one or a numbered list, in all requests for this action."""
        told = [pair for form in self.forms if form["Action"] == [action] for pair in form.items()]
        return {value for key, values in told if key.partition(".")[0] == field for value in values}

    def beyond(self, policy: Path) -> list[str]:
        """What was asked for and `policy`, a document of IAM, does not allow. Identity is given to everyone."""
        statements = json.loads(policy.read_text())["Statement"]
        allowed = [action for statement in statements for action in statement["Action"]]
        asked = set(self.calls) - {"sts:GetCallerIdentity"}
        return sorted(call for call in asked if not any(fnmatch.fnmatch(call, one) for one in allowed))


@contextmanager
def aws_between(address: str) -> Iterator[AwsBetween]:
    """One that serves, as seen from `address`."""
    with AwsBetween(address) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: AwsBetween

    def do_GET(self) -> None:
        """As a service that answers with the address that asks."""
        self._answer(200, {}, f"{self.server.address}\n".encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service = _SERVICE.search(self.headers["Authorization"])
        assert service is not None
        call = f"{_IAM.get(service[1], service[1])}:{self._action(body)}"
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

    def _action(self, body: bytes) -> str:
        """What is asked for: each of AWS's protocols says it in a place of its own."""
        if "/operation/" in self.path:
            return self.path.rpartition("/")[2]
        if "X-Amz-Target" in self.headers:
            return self.headers["X-Amz-Target"].rpartition(".")[2]
        form = parse_qs(body.decode())
        self.server.forms.append(form)
        return form["Action"][0]

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """A test's output is its own."""
