"""What happens around every request: its id, its log line and metrics, the body limit, draining."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException

from restaurant_search import logs
from restaurant_search.lifecycle import Lifecycle, State
from restaurant_search.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("restaurant_search.http")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# Probes come every few seconds for ever; their lines are for debugging only.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Envelope:
    """The outermost layer of the application."""

    def __init__(
        self,
        app: App,
        *,
        lifecycle: Lifecycle,
        metrics: Metrics,
        max_body_bytes: int,
        known_paths: frozenset[str],
    ) -> None:
        """Wrap `app`; paths that are not in `known_paths` share one metrics label."""
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._max_body = max_body_bytes
        self._known = known_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong inside becomes a JSON answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        identity = _request_id(headers.get(b"x-request-id", b""))
        token = logs.request_id.set(identity)
        exchange = _Exchange(send, identity, self._lifecycle)
        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._answer(scope, headers, receive, exchange)
        finally:
            self._metrics.in_flight.dec()
            self._record(scope, exchange.status, time.perf_counter() - started)
            logs.request_id.reset(token)

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, exchange: _Exchange) -> None:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max_body:
            await exchange.reply(413, _too_large(self._max_body))
            return
        try:
            await self._app(scope, _limited(receive, self._max_body), exchange.send)
        except Exception:
            _log.exception("request failed")
            if exchange.status:
                raise
            await exchange.reply(500, "internal error; quote the request id when you report it")

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self._known else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, path, str(status)).inc()
        self._metrics.duration.labels(method, path).observe(seconds)
        if path == "/search" and status in (400, 413):
            # Refused before the interface could tell what is wrong with it.
            self._metrics.inputs.labels("invalid").inc()
        quiet = path in _QUIET and status < 500
        fields = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})


class _Exchange:
    """Sends one answer, with the request id, and `Connection: close` once draining."""

    def __init__(self, send: Send, identity: str, lifecycle: Lifecycle) -> None:
        self._send = send
        self._identity = identity
        self._lifecycle = lifecycle
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on; complete the headers of the first."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [(b"x-request-id", self._identity.encode())]
            if self._lifecycle.state is State.DRAINING:
                # Keep-alive clients then open their next connection elsewhere.
                extra.append((b"connection", b"close"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await self._send(message)

    async def reply(self, status: int, detail: str) -> None:
        """Send a whole JSON answer, unless one has begun."""
        if self.status:
            return
        body = json.dumps({"detail": detail}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _request_id(given: bytes) -> str:
    """Take the caller's id when it is harmless in logs and headers, else make one."""
    return given.decode() if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _too_large(limit: int) -> str:
    return f"the body may have at most {limit} bytes"


def _limited(receive: Receive, limit: int) -> Receive:
    """Count what a body without a declared length really brings."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                # An HTTPException, since the framework makes 400 of any other error while it reads.
                raise HTTPException(413, _too_large(limit))
        return message

    return counted
