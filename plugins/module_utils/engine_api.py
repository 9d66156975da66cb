# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The engine's own API over its socket: for what is asked often, since each docker command costs 50 to 100 ms.

Docker Engine API 1.30 and later; without a version in the path the engine answers with its own.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

SOCKET = "/var/run/docker.sock"


class EngineTimeoutError(DavitError):
    """The engine took longer than it was given."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> tuple[int, Any]:
    """Status and document of one answer. ``path`` is quoted here, ``query`` values are JSON unless text.

    Raises DavitError when the engine cannot be asked, EngineTimeoutError after ``timeout`` seconds.
    """
    target = quote(path, safe="/:@")
    if query:
        target += "?" + urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()})
    sent = {"Content-Type": "application/json", **(headers or {})}
    connection = _UnixConnection("localhost", timeout=timeout)
    try:
        connection.request(method, target, None if body is None else json.dumps(body), sent)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else {}
    except socket.timeout as error:
        raise EngineTimeoutError(f"The Docker engine did not answer within {timeout:g} s.") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DavitError(f"The Docker engine cannot be asked ({error}). Does docker.service run?") from error
    finally:
        connection.close()
