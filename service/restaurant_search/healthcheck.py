"""The container's health check: exit 0 when `/readyz` says 200. Standard library only."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Ask the service in this container whether it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), 2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        sys.stdout.write(f"{answer.status} {answer.read(200).decode(errors='replace')}\n")
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
