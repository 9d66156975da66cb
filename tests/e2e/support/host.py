"""One lab host with the edge on it, and questions to it as a user and as an operator ask them."""

from __future__ import annotations

import http.client
import json
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.e2e.support.fleet import Fleet
from tests.e2e.support.playbook import ROOT, Result


@dataclass(frozen=True)
class Answer:
    """One answer through the edge."""

    status: int
    release: str | None
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Host:
    """The only host of a fleet, and what a check of site.yml said of it while it was bare."""

    fleet: Fleet
    address: str
    bare_check: Result

    def ask(self, path: str, host: str | None = None, method: str = "GET", body: str | None = None) -> Answer:
        """Ask through the edge at the Elastic IP."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, body, {"Host": host or self.address, "Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.getheader("Davit-Release"), response.read().decode())
        finally:
            connection.close()

    def shell(self, script: str, seconds: float = 120) -> str:
        """Run a script as root on the host, and return what it prints; a bad end is an AssertionError."""
        # The host key is Ansible's to check; a host of a test is made anew at an address that may be known already.
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes"]
        done = subprocess.run(
            [
                *("ssh", "-F", "/dev/null", "-i", str(ROOT / ".lab/ssh/id_ed25519")),
                *(word for option in options for word in ("-o", option)),
                *(f"ubuntu@{self.address}", "sudo", "bash", "-s"),
            ],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}\nexit code {done.returncode}"
        return done.stdout

    def live(self, app: str = "restaurant-search") -> str:
        """The release that the records name as live."""
        return self.shell(f"basename $(readlink /opt/davit/apps/{app}/live)").strip()

    def history(self, app: str = "restaurant-search") -> list[dict[str, Any]]:
        """The lines of the history, oldest first."""
        return [json.loads(line) for line in self.shell(f"cat /opt/davit/apps/{app}/history.jsonl").splitlines()]

    def deploy(self, **extra_vars: Any) -> Result:
        """Run deploy.yml with these variables."""
        return self.fleet.run("deploy", **extra_vars)


def stack(name: str, **more: Any) -> dict[str, Any]:
    """The variables with which a stack of tests/e2e/stacks is deployed, as an app of the same name."""
    return {
        "compose_release_app": name,
        "compose_release_file": str(ROOT / "tests/e2e/stacks" / name / "compose.yaml"),
        "compose_release_first_version": "v1",
        "compose_release_gate": {"http": [{"path": "/readyz", "readiness": True}], "stable_seconds": 1},
        "compose_release_model_probe": {},
        "compose_release_metrics": {},
        **more,
    }
