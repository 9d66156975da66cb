"""The container's health check: exit 0 when `/readyz` says 200.

A socket and nothing else, and run as a file of its own: it starts every two seconds beside the model, and `http.client`
or the package would cost several times as much.
"""

from __future__ import annotations

import os
import socket
import sys

_QUESTION = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n"
_PATIENCE = 2.0
"""Seconds for each part of the answer."""


def main() -> int:
    """Ask the service in this container whether it is ready."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ.get("PORT") or 8000)), _PATIENCE) as connection:
            connection.sendall(_QUESTION)
            while len(answer) < 2000 and (part := connection.recv(2000)):
                answer += part
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split()[1:2]
    sys.stdout.write(b" ".join([*status, body[:200]]).decode(errors="replace") + "\n")
    return 0 if status == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main())
