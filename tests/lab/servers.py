"""Real moto servers, one with our patches and one without, each in a process: a patch cannot be taken off again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from lab.aws.server import serve
server = serve("127.0.0.1", 0, patched=sys.argv[1] == "patched")
print(server.server_port, flush=True)
sys.stdin.read()
"""


class Aws:
    """Clients of one server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def client(self, service: str) -> Any:
        """A boto3 client with the lab's credentials."""
        return boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url=self._url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


def serve(kind: str) -> Iterator[Aws]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Aws(f"http://127.0.0.1:{int(process.stdout.readline())}")
        process.terminate()
