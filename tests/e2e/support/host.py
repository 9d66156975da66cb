"""One lab host with the edge on it, and questions to it as a user and as an operator ask them."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.support.fleet import Fleet
from tests.e2e.support.playbook import ROOT, Result, run_ansible


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
    """The only host of a fleet."""

    fleet: Fleet
    address: str

    def ask(self, path: str, host: str | None = None, method: str = "GET", body: str | None = None) -> Answer:
        """Ask through the edge at the Elastic IP."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, body, {"Host": host or self.address, "Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.getheader("Davit-Release"), response.read().decode())
        finally:
            connection.close()

    def shell(self, script: str) -> str:
        """Run a script as root on the host, and return what it prints; a bad end is an AssertionError."""
        result = self.try_shell(script)
        assert result.rc == 0, str(result)
        return result.stdout.partition("\n")[2]

    def try_shell(self, script: str) -> Result:
        """As `shell`, whatever the end."""
        words = ["ansible", "davit", "-b", "-i", str(self.fleet.inventory), "-m", "ansible.builtin.shell"]
        # Raw: what is between these marks in a docker format is the engine's, not Jinja's.
        return run_ansible(*words, "-a", "{% raw %}" + script + "{% endraw %}")

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
        "compose_release_gate": {"http": [{"path": "/readyz", "readiness": True}]},
        "compose_release_model_probe": {},
        **more,
    }
