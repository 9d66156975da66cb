# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""HTTP requests with the standard library: no redirects followed, no proxy, bounded in size."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer

BODY_LIMIT = 1 << 20


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    timeout: float = 5.0,
    address: str | None = None,
) -> Answer:
    """One request; anything that goes wrong below HTTP is the Answer's ``error``.

    ``address`` is where to connect to instead of the URL's host, so that the edge can be asked for
    any host name. The certificate is not checked: the question is who answers, on this host.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    start = time.monotonic()
    connection: http.client.HTTPConnection | None = None
    try:
        stream = socket.create_connection((address or parts.hostname or "", port), timeout)
        connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=timeout)
        connection.sock = _unverified().wrap_socket(stream, server_hostname=parts.hostname) if secure else stream
        sent = {"Host": parts.netloc, "Connection": "close", **(headers or {})}
        connection.request(method, target, body.encode() if body is not None else None, sent)
        response = connection.getresponse()
        content = response.read(BODY_LIMIT)
        return Answer(response.status, content, dict(response.getheaders()), time.monotonic() - start)
    except (OSError, http.client.HTTPException) as error:
        return Answer(seconds=time.monotonic() - start, error=_reason(error, timeout))
    finally:
        if connection is not None:
            connection.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, (socket.timeout, TimeoutError)):
        return f"no answer within {timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return f"no answer ({str(error) or type(error).__name__})"
