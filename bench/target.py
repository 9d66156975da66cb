"""The host that is measured: its releases by Davit, its stack by hand, and what it answers."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bench.settings import ROOT
from lab.images import build_and_push
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.host import Host
from tests.e2e.support.playbook import Result, run_ansible

APP = "bench"
FIRST = "bench-1"
STACK = ROOT / "bench/stack/compose.yaml"
VERSIONS = ("v1", "v2")
OVERRIDES = {
    "ec2_instance_count": 1,
    "ec2_instance_vpc_cidr": "10.76.0.0/16",
    "ec2_instance_subnets": [{"cidr": "10.76.1.0/24", "zone": "a"}],
    # Without an edge, the service's own port is published to the world.
    "security_group_public_ports": [80, 443, 8000],
    "security_group_world_ports_allowed": [8000],
    "monitoring_enabled": False,
}
RELEASE = {
    "compose_release_app": APP,
    "compose_release_file": str(STACK),
    "compose_release_gate": {"http": [{"path": "/readyz", "readiness": True}]},
    "compose_release_model_probe": {},
    "compose_release_metrics": {},
}


class BenchError(RuntimeError):
    """Something that is measured did not work at all; the message has its whole output."""


def say(text: str) -> None:
    """Progress, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def check(result: Result) -> None:
    """Raises BenchError when a run ended badly."""
    if result.rc != 0:
        raise BenchError(str(result))


def timed(run: Callable[[], Result]) -> float:
    """The seconds that a good run took."""
    start = time.monotonic()
    check(run())
    return time.monotonic() - start


def await_that(condition: Callable[[], bool], what: str, seconds: float = 60, pause: float = 0.2) -> None:
    """Return once the condition holds; BenchError when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


@dataclass
class Target:
    """The first host of a fleet. Each deploy has content of its own, so that none finds its work done."""

    fleet: Fleet
    host: Host
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    last: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def make(cls, fleet: Fleet) -> Target:
        """A provisioned and configured host without any release, and the images in the registry."""
        for version in VERSIONS:
            image = f"ghcr.io/davit-ec2/tiny:{version}"
            build_and_push(image, ROOT / "tests/e2e/images", [f"VERSION={version}"], "tiny")
        if fleet.rest():
            say("removing what an earlier run left")
            check(fleet.destroy())
        say("provision")
        made = fleet.run("provision")
        check(made)
        say("configure")
        check(fleet.run("configure"))
        return cls(fleet, Host(fleet, fleet.addresses()[FIRST], made))

    @property
    def address(self) -> str:
        return self.host.address

    def version(self, port: int) -> str:
        """The version that answers at the public address now; empty when none does."""
        connection = http.client.HTTPConnection(self.address, port, timeout=2)
        try:
            connection.request("GET", "/version")
            answer = connection.getresponse()
            return str(json.loads(answer.read())["version"]) if answer.status == 200 else ""
        except (OSError, http.client.HTTPException, ValueError):
            return ""
        finally:
            connection.close()

    def next_release(self) -> dict[str, Any]:
        """A version other than the last one, and a label that no other release has."""
        number = next(self.numbers)
        self.last = {
            "compose_release_version": VERSIONS[number % len(VERSIONS)],
            "compose_release_environment": {"LABEL": f"change {number}"},
        }
        return self.last

    def deploy(self, *arguments: str, boot_seconds: float = 3, **more: Any) -> Result:
        """Run deploy.yml with a new release, soak 0 unless said otherwise; `arguments` are ansible-playbook's."""
        self.next_release()["compose_release_environment"]["BOOT_SECONDS"] = f"{boot_seconds:g}"
        return self.fleet.run(
            "deploy", *arguments, **{**RELEASE, "compose_release_soak_seconds": 0, **self.last, **more}
        )

    def deploy_again(self) -> Result:
        """Run deploy.yml with the release that was deployed last."""
        return self.fleet.run("deploy", **{**RELEASE, "compose_release_soak_seconds": 0, **self.last})

    def rollback(self) -> Result:
        """Run rollback.yml."""
        return self.fleet.run("rollback", **RELEASE, compose_release_soak_seconds=0)

    def one_task(self) -> Result:
        """Run the least that a playbook can do on the host."""
        return run_ansible("ansible-playbook", "bench/playbooks/one_task.yml", "-i", str(self.fleet.inventory))

    def phase(self) -> str:
        """The phase of the deploy or rollback that is under way; empty when there is none."""
        text = self.host.shell(f"cat /opt/davit/apps/{APP}/deploy.json 2>/dev/null || true")
        return str(json.loads(text)["phase"]) if text.strip() else ""

    def await_rest(self) -> None:
        """Wait until each host only runs the live release: the clean-up goes on after a deploy."""
        running = f"docker ps --filter label=davit.app={APP} --format '{{{{.Label \"com.docker.compose.project\"}}}}'"
        left = f"{running} | sort -u | tail -n +2; cat /opt/davit/apps/{APP}/deploy.json 2>/dev/null || true"
        hosts = [replace(self.host, address=address) for address in self.fleet.addresses().values()]
        await_that(lambda: not any(host.shell(left).strip() for host in hosts), "one running release and no journal")
