"""What the hosts and the lab said around a failed test, since both are gone by the time that anybody reads of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.support.fleet import Fleet

LINES = 40
_EDGE = f"""
docker ps --all --format '{{{{.Names}}}}  {{{{.Status}}}}  {{{{.Image}}}}'
ss --no-header --listening --tcp --numeric --processes
docker logs --timestamps --tail {LINES} davit-edge-traefik-1 2>&1
"""


def told(fleets: Iterable[Fleet]) -> Iterable[tuple[str, str]]:
    """Title and text for each host of these fleets, and for the lab's AWS with its bridge."""
    yield "the lab's AWS", _output("docker", "logs", "--timestamps", "--tail", str(LINES), "davit-lab-aws")
    try:
        instances = [pair for fleet in fleets for pair in fleet.instances().items()]
    except (BotoCoreError, ClientError) as error:
        yield "the hosts", str(error)
        return
    for name, instance in instances:
        container = f"davit-lab-{instance['InstanceId']}"
        yield f"containers, ports and edge of {name}", _output("docker", "exec", container, "bash", "-c", _EDGE)


def _output(*command: str) -> str:
    """What a command printed; why there is nothing, when there is nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return f"{done.stdout}{done.stderr}"
