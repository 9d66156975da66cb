"""Whether the service in this container is ready: health.py PORT PATH.

It runs every second or two in each container of each test host, all of them on one machine: so it takes the socket and
nothing else, which costs a tenth of what urllib does.
"""

from __future__ import annotations

import _socket
import sys


def main(port: int, path: str) -> int:
    """The exit code: 0 for an answer of 200."""
    asked = _socket.socket()
    asked.settimeout(2)
    try:
        asked.connect(("127.0.0.1", port))
        asked.send(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return 0 if asked.recv(64).split()[1:2] == [b"200"] else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
