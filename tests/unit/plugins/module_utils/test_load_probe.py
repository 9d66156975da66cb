"""That the load probe sees a real server err, hang, go and change, and loses no count of it."""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.davit.ec2.plugins.module_utils import load_probe, store
from ansible_collections.davit.ec2.plugins.module_utils.load_probe import Target


def test_a_target_survives_its_record() -> None:
    target = Target("https://shop.example.org/search?q=a", "POST", {"Content-Type": "application/json"}, '{"q": "ä"}')
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target
    assert Target.from_json({"url": "http://h/"}) == Target("http://h/")


@dataclass
class Edge:
    """A small real edge: what it answers is set while it runs, and what it was asked is kept."""

    status: int = 200
    release: str = "r1"
    delay: float = 0.0
    drip: float = 0.0
    closes_idle: bool = False
    hangs_up: bool = False
    hangs_up_later: bool = False
    cut_short: bool = False
    scheme: str = "http"
    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)
    port: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://shop.example.org:{self.port}/search?q=a"


def _handler(edge: Edge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reused = self.client_address in edge.peers
            edge.asked.append((self.command, self.path, self.headers["Host"], body))
            edge.peers.append(self.client_address)
            edge.stopped.wait(edge.delay)
            if edge.hangs_up or (edge.hangs_up_later and reused):
                self.close_connection = True
                return
            self.send_response(edge.status)
            if edge.release:
                self.send_header("Davit-Release", edge.release)
            self.send_header("Content-Length", "4" if edge.cut_short else "2")
            self.end_headers()
            for piece in (b"o", b"k"):
                edge.stopped.wait(edge.drip)
                with contextlib.suppress(OSError):
                    self.wfile.write(piece)
            # Without a word of it in the answer, as an edge does with a connection that idles.
            self.close_connection = edge.closes_idle or edge.cut_short or self.close_connection

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def log_message(self, *_words: Any) -> None:
            """What is asked is kept in ``asked``."""

    return Handler


def write_certificate(key_file: Path, certificate_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.org")])
    now = datetime.now(tz=UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is part of the tests."""


def _serve(edge: Edge, tls: ssl.SSLContext | None = None) -> Callable[[], None]:
    """Serve until the function that comes back is called; connections that exist are served on."""
    server = _Server(("127.0.0.1", edge.port), _handler(edge))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    edge.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return end


@pytest.fixture
def edge() -> Iterator[Edge]:
    told = Edge()
    end = _serve(told)
    yield told
    told.stopped.set()
    end()


class Running:
    """A probe in a thread; its file is looked into until it says what is awaited."""

    def __init__(self, target: Target, out: Path, rate: float = 100.0, limit: float = 60.0) -> None:
        self.out = out
        self.stop = threading.Event()
        self.thread = threading.Thread(target=load_probe.run, args=(target, rate, out, limit, self.stop))

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = store.read_json(self.out)
            if found and wanted(found):
                return found
            self.thread.join(0.02)
        raise AssertionError(f"not within 20 s; the last summary is {store.read_json(self.out)}")

    def end(self) -> dict[str, Any]:
        self.__exit__()
        found = store.read_json(self.out)
        assert found["ended"] is True
        return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_probe, "WRITE_EVERY", 0.05)
    monkeypatch.setattr(load_probe, "TIMEOUT", 0.5)


@pytest.mark.usefixtures("quick")
def test_a_good_edge_loses_nothing(edge: Edge, tmp_path: Path) -> None:
    out = tmp_path / "probe.json"
    with Running(Target(edge.url), out) as probe:
        during = probe.until(lambda found: found["requests"] >= 30)
        assert during["ended"] is False
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        found = probe.end()
    assert (found["failures"], found["longest_gap_ms"], found["first_failure"]) == (0, 0, "")
    assert found["releases"] == {"r1": found["requests"]}
    assert found["requests"] == len(edge.asked)
    # Only the end has the series: the file is written every second, and read by every look of the gate.
    assert "series" not in during
    assert sum(found["series"]["requests"]) == found["requests"]
    assert abs(found["series"]["began"] - time.time()) < 60
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] < 500
    assert set(edge.asked) == {("GET", "/search?q=a", f"shop.example.org:{edge.port}", b"")}
    assert [path.name for path in tmp_path.iterdir()] == ["probe.json"]


@pytest.mark.usefixtures("quick")
def test_most_requests_share_a_connection_and_every_fifth_has_its_own(edge: Edge, tmp_path: Path) -> None:
    with Running(Target(edge.url), tmp_path / "probe.json", rate=50) as probe:
        probe.until(lambda found: found["requests"] >= 50)
    most = max(edge.peers.count(peer) for peer in set(edge.peers))
    assert most > len(edge.peers) / 2
    assert len(set(edge.peers)) >= len(edge.peers) // 5


def test_it_keeps_its_pace_and_ends_by_its_limit(edge: Edge, tmp_path: Path) -> None:
    edge.delay = 0.2
    start = time.monotonic()
    load_probe.run(Target(edge.url), 50, tmp_path / "probe.json", 1.0, threading.Event())
    assert 1.0 <= time.monotonic() - start < 4.0
    # One at a time would have made 5.
    assert 45 <= len(edge.asked) <= 51
    assert store.read_json(tmp_path / "probe.json")["failures"] == 0


@pytest.mark.usefixtures("quick")
def test_a_body_and_headers_are_sent(edge: Edge, tmp_path: Path) -> None:
    target = Target(edge.url, "POST", {"host": "other.example.org"}, '{"q": "ä"}')
    with Running(target, tmp_path / "probe.json") as probe:
        probe.until(lambda found: found["requests"] >= 5)
    assert set(edge.asked) == {("POST", "/search?q=a", "other.example.org", '{"q": "ä"}'.encode())}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 502}, "answered 502"),
        ({"release": ""}, "answered 200 without the header Davit-Release"),
        ({"status": 404, "release": ""}, "answered 404 without the header Davit-Release"),
        ({"delay": 3.0}, "no whole answer within 0.5 s"),
        ({"drip": 0.3}, "no whole answer within 0.5 s"),
        ({"hangs_up": True}, "no whole answer ("),
        ({"cut_short": True}, "no whole answer ("),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
@pytest.mark.usefixtures("quick")
def test_each_fault_is_a_failure_with_its_reason(edge: Edge, tmp_path: Path, fault: dict[str, Any], said: str) -> None:
    with Running(Target(edge.url), tmp_path / "probe.json", rate=40) as probe:
        before = probe.until(lambda found: found["requests"] >= 10)
        assert before["failures"] == 0
        good = {name: getattr(edge, name) for name in fault}
        for name, value in fault.items():
            setattr(edge, name, value)
        broken = probe.until(lambda found: found["failed_in_a_row"] >= 8)
        for name, value in good.items():
            setattr(edge, name, value)
        mended = probe.until(lambda found: not found["failed_in_a_row"])
    assert said in broken["first_failure"]
    assert edge.url in broken["first_failure"]
    # Eight in a row at 40 a second last longer than this.
    assert mended["longest_gap_ms"] > 150


def test_another_client_error_is_an_answer(edge: Edge, tmp_path: Path) -> None:
    edge.status = 422
    load_probe.run(Target(edge.url), 50, tmp_path / "probe.json", 0.3, threading.Event())
    found = store.read_json(tmp_path / "probe.json")
    assert found["requests"] > 0
    assert found["failures"] == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.usefixtures("quick")
def test_a_connection_closed_while_it_idles_is_no_failure(edge: Edge, tmp_path: Path, method: str) -> None:
    edge.closes_idle = True
    with Running(Target(edge.url, method), tmp_path / "probe.json", rate=50) as probe:
        found = probe.until(lambda found: found["requests"] >= 20)
    assert found["failures"] == 0
    assert len(set(edge.peers)) == len(edge.peers)


@pytest.mark.usefixtures("quick")
def test_only_a_get_is_asked_again_when_its_kept_connection_ends_without_an_answer(edge: Edge, tmp_path: Path) -> None:
    edge.hangs_up_later = True
    with Running(Target(edge.url), tmp_path / "get.json", rate=50) as probe:
        found = probe.until(lambda found: found["requests"] >= 20)
    assert found["failures"] == 0
    with Running(Target(edge.url, "POST"), tmp_path / "post.json", rate=50) as probe:
        found = probe.until(lambda found: found["requests"] >= 20)
    assert found["failures"] > 3


@pytest.mark.usefixtures("quick")
def test_an_edge_with_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    write_certificate(key, certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    told = Edge(scheme="https")
    end = _serve(told, tls)
    try:
        with Running(Target(told.url), tmp_path / "probe.json", rate=50) as probe:
            found = probe.until(lambda found: found["requests"] >= 40)
    finally:
        told.stopped.set()
        end()
    assert found["failures"] == 0
    assert max(told.peers.count(peer) for peer in set(told.peers)) > len(told.peers) / 2


@pytest.mark.usefixtures("quick")
def test_an_edge_that_is_gone_is_a_gap_and_its_return_ends_it(tmp_path: Path) -> None:
    told = Edge()
    end = _serve(told)
    with Running(Target(told.url), tmp_path / "probe.json", rate=40) as probe:
        probe.until(lambda found: found["requests"] >= 10)
        # Only the listener is gone: what is connected is served on, and fresh connections show it.
        end()
        found = probe.until(lambda found: found["failures"] >= 3)
        assert "connection refused" in found["first_failure"]
        assert found["failures"] < found["requests"] - 10
        told.hangs_up = True
        probe.until(lambda found: found["failed_in_a_row"] >= 10)
        told.hangs_up = False
        end = _serve(told)
        try:
            found = probe.until(lambda found: not found["failed_in_a_row"])
            assert found["longest_gap_ms"] > 150
        finally:
            told.stopped.set()
            probe.end()
            end()


@pytest.mark.usefixtures("quick")
def test_before_the_first_release_nothing_is_lost(edge: Edge, tmp_path: Path) -> None:
    edge.status, edge.release = 404, ""
    with Running(Target(edge.url), tmp_path / "probe.json") as probe:
        probe.until(lambda _found: len(edge.asked) > 20)
        assert store.read_json(probe.out)["requests"] == 0
        edge.status, edge.release = 200, "r1"
        found = probe.until(lambda found: found["requests"] > 20)
    assert found["failures"] == 0


@pytest.mark.usefixtures("quick")
def test_a_switch_shows_in_the_releases(edge: Edge, tmp_path: Path) -> None:
    with Running(Target(edge.url), tmp_path / "probe.json") as probe:
        probe.until(lambda found: found["requests"] > 10)
        edge.release = "r2"
        found = probe.until(lambda found: "r2" in found["releases"])
    assert set(found["releases"]) == {"r1", "r2"}


def test_requests_that_hang_are_bounded_and_those_beyond_have_failed(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_probe, "MOST_IN_FLIGHT", 4)
    monkeypatch.setattr(load_probe, "WRITE_EVERY", 0.05)
    with Running(Target(edge.url), tmp_path / "probe.json") as probe:
        probe.until(lambda found: found["requests"] > 10)
        edge.delay = 30.0
        found = probe.until(lambda found: found["failed_in_a_row"] > 20)
        assert "not asked, since 4 requests hang" in found["first_failure"]
        edge.stopped.set()


@pytest.mark.usefixtures("quick")
def test_a_folder_that_cannot_be_written_does_not_end_it(edge: Edge, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "probe.json"
    with Running(Target(edge.url), out) as probe:
        end = time.monotonic() + 10
        while len(edge.asked) < 10 and time.monotonic() < end:
            probe.thread.join(0.02)
        out.parent.mkdir()
        assert probe.until(lambda found: found["requests"] > 0)["failures"] == 0


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '{"requests": 1', "\udcff"])
def test_a_summary_that_cannot_be_read_is_empty(tmp_path: Path, content: str | None) -> None:
    out = tmp_path / "probe.json"
    if content is not None:
        out.write_bytes(content.encode(errors="surrogateescape"))
    assert store.read_json(out) == {}


def test_a_rate_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        load_probe.run(Target("http://h/"), 0, tmp_path / "probe.json", 1.0, threading.Event())
