"""The host on which the fault tests break things, reached from inside, so that no fault cuts the test off."""

from __future__ import annotations

import itertools
import json
import subprocess
import uuid
from dataclasses import dataclass
from typing import Any

from tests.e2e.support.controller import Controller
from tests.e2e.support.host import Host, stack
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import Result
from tests.e2e.support.watch import Watch

APP = "faults"
HOME = f"/opt/davit/apps/{APP}"
LEASE = 15
"""Seconds of the deploys that are to be broken; short, since tests wait for its end."""

_labels = (f"{uuid.uuid4().hex[:6]}-{number}" for number in itertools.count(1))


@dataclass(frozen=True)
class Target(Host):
    """A lab host that runs the app `faults`, and the name of its container."""

    container: str

    def inside(self, script: str, seconds: float = 120) -> str:
        """Run a script as root in the host without SSH; a bad end is an AssertionError."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.container, "bash", "-s"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}\nexit code {done.returncode}"
        return done.stdout

    def live(self, app: str = APP) -> str:
        return self.inside(f"basename $(readlink /opt/davit/apps/{app}/live)").strip()

    def history(self, app: str = APP) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.inside(f"cat /opt/davit/apps/{app}/history.jsonl").splitlines()]

    def journal(self) -> dict[str, Any]:
        """The journal of the deploy under way; empty when there is none."""
        text = self.inside(f"cat {HOME}/deploy.json 2>/dev/null || true").strip()
        return dict(json.loads(text)) if text else {}

    def kill_step(self) -> None:
        """SIGKILL whatever works on the app right now, known by the lock that it holds open."""
        self.inside(
            f'for fd in /proc/[0-9]*/fd/*; do [ "$(readlink $fd)" = {HOME}/lock ] || continue; '
            "pid=${fd#/proc/}; kill -9 ${pid%%/*}; done"
        )

    def lease_ended(self) -> bool:
        """Whether the lease of the deploy under way has run out; by the clock that no setting moves."""
        journal = self.journal()
        boottime = float(self.inside("python3 -c 'import time; print(time.clock_gettime(time.CLOCK_BOOTTIME))'"))
        return bool(journal["heartbeat"] + journal["lease_seconds"] < boottime)

    def running(self) -> set[str]:
        """The Compose projects of the app that have a running container."""
        own = f"docker ps --filter label=davit.app={APP} --format '{{{{.Label \"com.docker.compose.project\"}}}}'"
        return set(self.inside(own).split())

    def kept(self) -> set[str]:
        """The releases that lie on the disk."""
        return set(self.inside(f"ls {HOME}/releases").split())

    def variables(self, **more: Any) -> dict[str, Any]:
        """The variables of a deploy; each call makes a content of its own, so that none is 'live already'."""
        environment = {"LABEL": next(_labels), **more.pop("compose_release_environment", {})}
        return stack(
            APP,
            **{
                "compose_release_version": "v1",
                "compose_release_environment": environment,
                "compose_release_soak_seconds": 0,
                "compose_release_created_by": "tests",
                **more,
            },
        )

    def deploy(self, **more: Any) -> Result:
        return self.fleet.run("deploy", **self.variables(**more))

    def start_deploy(self, **more: Any) -> Controller:
        """A deploy in a process that the test may break, with a gate that lasts long enough to break it there."""
        gate = {"compose_release_gate": {"http": [{"path": "/readyz", "readiness": True}], "stable_seconds": 3}}
        short = {"compose_release_lease_seconds": LEASE}
        return Controller("deploy", self.fleet.inventory, self.variables(**{**gate, **short, **more}))

    def start_rollback(self, **more: Any) -> Controller:
        """A rollback in a process that the test may break."""
        short = {"compose_release_lease_seconds": LEASE}
        return Controller("rollback", self.fleet.inventory, self.variables(**{**short, **more}))

    def watch(self) -> Watch:
        """The journal of this host, followed."""
        return Watch(self.container, APP)

    def load(self) -> Load:
        """Keep-alive POSTs to the app."""
        return Load(self.address, "/whoami", threads=4)

    def answering(self) -> str:
        """The release that answers a user now, or what came instead."""
        answer = self.ask("/readyz")
        return str(answer.release) if answer.status == 200 else f"status {answer.status}"
