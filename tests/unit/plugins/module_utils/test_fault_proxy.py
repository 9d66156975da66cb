"""The faults of a drill as a gate meets them: a real server, the real proxy before it, and real requests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import drill, gates, http_client
from ansible_collections.davit.ec2.plugins.module_utils.drill import Drill
from ansible_collections.davit.ec2.plugins.module_utils.fault_proxy import FaultProxy, emptied
from ansible_collections.davit.ec2.plugins.module_utils.gate_run import run_gate
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Gate, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route


class Good(BaseHTTPRequestHandler):
    """A healthy service that repeats what it was sent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: Any) -> None:
        pass

    def answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        said = {"method": self.command, "path": self.path, "sent": sent, "key": self.headers.get("X-Key")}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Service", "good")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


for _method in ("GET", "POST"):
    setattr(Good, f"do_{_method}", Good.answer)


@pytest.fixture
def good() -> Iterator[int]:
    """The port of a healthy service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Good) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def gate_for(port: int, **more: Any) -> Gate:
    url = f"http://127.0.0.1:{port}"
    checks = (
        HttpCheck("ready", f"{url}/readyz", readiness=True),
        HttpCheck("search", f"{url}/search?q=a", "POST", body='{"q": 1}', json={"method": "POST"}, **more),
    )
    return Gate(http=checks, interval=0.02, timeout=3.0, request_timeout=0.3, stable_seconds=0.1)


@contextmanager
def drilled(kind: str, back: int, seen: list[float], **more: Any) -> Iterator[Gate]:
    front = free_port()
    gate = gate_for(front, **more)
    fault = drill.plan_drill(kind, [Endpoint(Route("web", 80), front)], gate, [back])
    proxy = FaultProxy(fault, front, back, lambda: seen.append(time.monotonic()))
    proxy.start()
    try:
        yield gate
    finally:
        proxy.close()


def judged(gate: Gate) -> dict[str, Any]:
    def ask(check: HttpCheck) -> Answer:
        return http_client.ask(
            check.url, method=check.method, headers=check.headers, body=check.body, timeout=gate.request_timeout
        )

    return run_gate(gate, (), tuple, ask)


def test_the_service_itself_passes_the_gate(good: int) -> None:
    assert judged(gate_for(good))["verdict"] == gates.PASS


@pytest.mark.parametrize(
    ("kind", "cause", "more"),
    [
        ("never_ready", "ready: status 503 instead of 200", {}),
        ("wrong_answers", 'search: method is missing instead of "POST"', {}),
        ("slow", "search: no answer within 0.3 s", {}),
        ("slow", "more than 100 ms", {"max_latency_ms": 100}),
    ],
)
def test_each_fault_fails_the_gate_by_what_it_is(good: int, kind: str, cause: str, more: dict[str, Any]) -> None:
    seen: list[float] = []
    with drilled(kind, good, seen, **more) as gate:
        verdict = judged(gate)
    assert verdict["verdict"] == gates.FAIL
    assert cause in verdict["cause"]
    assert seen


def test_a_slow_answer_is_a_right_one(good: int) -> None:
    with drilled("slow", good, [], max_latency_ms=100) as gate:
        answer = http_client.ask(gate.http[1].url, method="POST", body="x")
    assert 0.2 <= answer.seconds < 2
    assert json.loads(answer.body)["sent"] == "x"


def test_what_is_spared_passes_unchanged_over_one_connection(good: int) -> None:
    seen: list[float] = []
    with drilled("wrong_answers", good, seen) as gate:
        port = int(gate.http[0].url.split(":")[2].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        said = []
        for _ in range(2):
            connection.request("GET", "/readyz", headers={"X-Key": "k"})
            response = connection.getresponse()
            said.append((response.status, response.getheader("X-Service"), json.loads(response.read())["key"]))
        connection.close()
    assert said == [(200, "good", "k")] * 2
    assert seen == []


def test_a_container_that_does_not_listen_yet_gives_no_answer() -> None:
    with drilled("wrong_answers", free_port(), []) as gate:
        answer = http_client.ask(gate.http[0].url, timeout=2)
    assert answer.error is not None


def test_the_end_does_not_wait_for_what_is_delayed(good: int) -> None:
    answers: list[Answer] = []
    seen: list[float] = []
    with drilled("slow", good, seen, max_latency_ms=60_000) as gate:
        asking = threading.Thread(target=lambda: answers.append(http_client.ask(gate.http[1].url, timeout=30)))
        asking.start()
        while not seen:
            time.sleep(0.01)
        start = time.monotonic()
    asking.join(5)
    assert time.monotonic() - start < 3
    assert answers[0].error is not None


def test_the_port_is_free_after_the_end(good: int) -> None:
    with drilled("never_ready", good, []) as gate:
        url = gate.http[0].url
        assert http_client.ask(url).status == 503
    assert http_client.ask(url).error == "connection refused"


@pytest.mark.parametrize(
    ("body", "wrong"), [(b'{"a": 1}', b"{}"), (b"[1, 2]", b"[]"), (b"3", b"{}"), (b"<p>hello</p>", b""), (b"", b"")]
)
def test_a_wrong_answer_keeps_its_form(body: bytes, wrong: bytes) -> None:
    assert emptied(body) == wrong


def test_the_drill_is_known_by_its_kind_alone(good: int) -> None:
    """A proxy of a kind that does not spoil answers, as a control: nothing is changed."""
    front = free_port()
    proxy = FaultProxy(Drill("crash"), front, good, lambda: None)
    proxy.start()
    assert judged(gate_for(front))["verdict"] == gates.PASS
    proxy.close()
