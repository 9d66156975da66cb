# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A steady load through the edge during a deploy, which counts what clients would have lost.

The load is open: a request is asked when it is due, whether or not earlier ones have been answered,
as requests of many clients would come. So a hanging edge fails at the full rate, and a gap is
measured by the clock and not by the number of requests that fitted into it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.davit.ec2.plugins.module_utils.load_tally import Sample, Tally
from ansible_collections.davit.ec2.plugins.module_utils.routes import RELEASE_HEADER

EDGE = "127.0.0.1"
TIMEOUT = 5.0
BODY_LIMIT = 1 << 20
FRESH_EVERY = 5
MOST_IN_FLIGHT = 200
WRITE_EVERY = 1.0


@dataclass(frozen=True)
class Target:
    """What to ask: the URL as a client would write it; the connection goes to the edge of this host."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "headers": dict(self.headers)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Target:
        body = record.get("body")
        return cls(
            str(record["url"]),
            str(record.get("method") or "GET"),
            {str(name): str(value) for name, value in (record.get("headers") or {}).items()},
            None if body is None else str(body),
        )


class _Connection:
    """One connection to the edge. Not for two threads at once."""

    def __init__(self, target: Target, tls: ssl.SSLContext) -> None:
        self._target = target
        self._tls = tls
        self._parts = urlsplit(target.url)
        self._http: http.client.HTTPConnection | None = None
        # Of its own, since http.client lets go of its socket before an answer that ends the connection is read.
        self._stream: socket.socket | None = None

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        if self._stream is not None:
            self._stream.close()
        self._http = self._stream = None

    def ask(self, *, keep: bool) -> tuple[int, str | None]:
        """Status and release of one answer, read to its end. Raises OSError or HTTPException.

        A kept connection that the edge has closed in the meantime is no loss to anybody. It mostly
        shows before anything is sent; if it closes at that very moment, a GET of which nothing was
        answered is asked once more, as RFC 9110 9.2.2 allows and every client does.
        """
        deadline = time.monotonic() + TIMEOUT
        reused = self._is_open()
        try:
            try:
                response = self._send(deadline, keep)
            except (ConnectionResetError, BrokenPipeError):
                if not reused or self._target.method != "GET":
                    raise
                self.close()
                response = self._send(deadline, keep)
            complete = self._read(response, deadline)
        except BaseException:
            self.close()
            raise
        if not keep or not complete or response.will_close:
            self.close()
        return response.status, response.getheader(RELEASE_HEADER)

    def _is_open(self) -> bool:
        """Whether there is a connection on which nothing has come since the last answer, as its end would."""
        if self._stream is None:
            return False
        try:
            self._stream.settimeout(0)
            self._stream.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        self.close()
        return False

    def _send(self, deadline: float, keep: bool) -> http.client.HTTPResponse:
        """Send the request and read the head of the answer."""
        client = self._http = self._http or self._connect(deadline)
        self._bound(deadline)
        body = self._target.body.encode() if self._target.body is not None else None
        client.request(self._target.method, self._path, body, self._headers(keep))
        return client.getresponse()

    def _bound(self, deadline: float) -> None:
        """Let what comes next on the socket take no longer than what is left of the whole request."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        if self._stream is not None:
            self._stream.settimeout(left)

    def _read(self, response: http.client.HTTPResponse, deadline: float) -> bool:
        """Read the body; False when it is longer than the limit, so that the connection cannot be kept."""
        size = 0
        with response:
            while size < BODY_LIMIT:
                if response.isclosed():
                    # Newer Pythons let go of an answer, and of a socket that ends with it, with its last byte.
                    return True
                self._bound(deadline)
                chunk = response.read1(BODY_LIMIT)
                if not chunk:
                    if response.length:
                        raise http.client.IncompleteRead(b"", response.length)
                    return True
                size += len(chunk)
        return False

    @property
    def _path(self) -> str:
        return (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")

    def _headers(self, keep: bool) -> dict[str, str]:
        given = {name.lower() for name in self._target.headers}
        own = {"Host": self._parts.netloc, "User-Agent": "davit-probe", "Connection": "keep-alive" if keep else "close"}
        return {**{name: value for name, value in own.items() if name.lower() not in given}, **self._target.headers}

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        secure = self._parts.scheme == "https"
        port = self._parts.port or (443 if secure else 80)
        stream = socket.create_connection((EDGE, port), max(deadline - time.monotonic(), 0.001))
        try:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                stream = self._tls.wrap_socket(stream, server_hostname=self._parts.hostname)
        except BaseException:
            stream.close()
            raise
        client = http.client.HTTPConnection(EDGE, port)
        client.sock = self._stream = stream
        return client


class _Load:
    """The requests of one run and their tally; what is called from many threads is locked."""

    def __init__(self, target: Target, most: int) -> None:
        self._target = target
        self._most = most
        # Not checked: the question is who answers on this host, as for the certificate of a first deploy.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._kept = _Connection(target, self._tls)
        self._kept_in_use = threading.Lock()
        self._tally = Tally()
        self._counting = threading.Lock()
        self._in_flight = 0

    def summary(self) -> dict[str, Any]:
        with self._counting:
            return self._tally.summary()

    def series(self) -> dict[str, Any]:
        with self._counting:
            return self._tally.series(time.time() - time.monotonic())

    def close(self) -> None:
        self._kept.close()

    def begin(self, pool: ThreadPoolExecutor, number: int) -> None:
        """Ask without waiting for the answer; what cannot be asked for want of threads has failed as well."""
        with self._counting:
            full = self._in_flight >= self._most
            self._in_flight += not full
        if full:
            self._count(time.monotonic(), f"not asked, since {self._most} requests hang")
        else:
            pool.submit(self._ask, number)

    def _ask(self, number: int) -> None:
        start = time.monotonic()
        release, wrong = None, ""
        try:
            status, release = self._answer(number)
            if not release:
                wrong = f"answered {status} without the header {RELEASE_HEADER}"
            elif status >= 500:
                wrong = f"answered {status}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            wrong = _reason(error)
        finally:
            with self._counting:
                self._in_flight -= 1
        self._count(start, wrong, release)

    def _answer(self, number: int) -> tuple[int, str | None]:
        """Ask on the kept connection unless it is busy, and now and then on one of its own.

        An edge that has lost its listener still serves the connections that it has, so that only a
        fresh one shows it.
        """
        if (number + 1) % FRESH_EVERY and self._kept_in_use.acquire(blocking=False):
            try:
                return self._kept.ask(keep=True)
            finally:
                self._kept_in_use.release()
        fresh = _Connection(self._target, self._tls)
        try:
            return fresh.ask(keep=False)
        finally:
            fresh.close()

    def _count(self, start: float, wrong: str, release: str | None = None) -> None:
        """Count a request that ends now; it was good when nothing is ``wrong``."""
        at = time.strftime("%H:%M:%S", time.gmtime())
        what = f"{at} UTC {self._target.method} {self._target.url}: {wrong}" if wrong else ""
        with self._counting:
            # The clock is read under the lock, so that samples come in the order of their times.
            now = time.monotonic()
            self._tally.add(Sample(now, not wrong, now - start, release, what))


def _reason(error: Exception) -> str:
    if isinstance(error, (socket.timeout, TimeoutError)):
        return f"no whole answer within {TIMEOUT:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"no whole answer ({str(error) or type(error).__name__})"


def run(target: Target, rate: float, out: Path, limit: float, stop: threading.Event) -> None:
    """Ask ``rate`` times a second until ``stop`` is set or ``limit`` seconds have passed.

    ``out`` holds the summary, with ``ended``, and is replaced once a second; at the end the ``series`` joins it.
    Requests that are under way at the end are waited for and count. Raises ValueError for a rate that is not above
    zero.
    """
    if rate <= 0:
        raise ValueError(f"the rate of the load probe is {rate:g}, but must be above 0")
    most = min(math.ceil(rate * (TIMEOUT + 1)), MOST_IN_FLIGHT)
    load = _Load(target, most)
    done = threading.Event()
    # Apart, so that a slow disk cannot delay requests.
    writer = threading.Thread(target=_write_until, args=(done, load, out), daemon=True)
    writer.start()
    try:
        with ThreadPoolExecutor(most) as pool:
            _keep_pace(load, pool, rate, limit, stop)
    finally:
        load.close()
        done.set()
        writer.join()
    _write(out, {**load.summary(), "series": load.series(), "ended": True})


def _keep_pace(load: _Load, pool: ThreadPoolExecutor, rate: float, limit: float, stop: threading.Event) -> None:
    due = time.monotonic()
    end = due + limit
    number = 0
    while due < end and not stop.wait(max(due - time.monotonic(), 0)):
        load.begin(pool, number)
        number += 1
        # A host that stood still for long is not made up for by a burst.
        due = max(due + 1 / rate, time.monotonic() - 1)


def _write_until(done: threading.Event, load: _Load, out: Path) -> None:
    while not done.is_set():
        _write(out, {**load.summary(), "ended": False})
        done.wait(WRITE_EVERY)


def _write(out: Path, document: Mapping[str, Any]) -> None:
    """Replace ``out`` in one step. A full disk costs this second's numbers, not the probe.

    Not synchronised: the numbers are read by this host while it runs.
    """
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        try:
            with os.fdopen(handle, "w") as stream:
                json.dump(document, stream)
            Path(name).replace(out)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
