"""An app of a test's own on the shared host: under its own host name, beside all others."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.support.controller import Controller
from tests.e2e.support.host import Answer, Host, stack
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import Result
from tests.e2e.support.wait import until

# The whole of what a gate can see of the tests' service, with less patience than people have.
GATE = {
    "http": [
        {"path": "/readyz", "readiness": True},
        {"name": "the answer is right", "path": "/answer", "json": {"answer": 42}},
    ],
    "interval": 0.2,
    "stable_seconds": 1,
    "timeout": 15,
}

_labels = (f"{uuid.uuid4().hex[:6]}-{number}" for number in itertools.count(1))


@dataclass
class App:
    """An app that is made of one of the stacks in tests/e2e/stacks."""

    host: Host
    name: str
    stack: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return f"/opt/davit/apps/{self.name}"

    @property
    def address(self) -> str:
        """The host name that the edge knows it by."""
        return f"{self.name}.test"

    def variables(self, *, environment: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """The variables of a deploy; each call makes a content of its own, so that none is live already."""
        return stack(
            self.stack,
            **{
                "compose_release_app": self.name,
                "compose_release_version": "v1",
                "compose_release_gate": GATE,
                "compose_release_routes": [{"service": "web", "hosts": [self.address]}],
                "compose_release_environment": {"LABEL": next(_labels), **(environment or {})},
                "compose_release_created_by": "tests",
                **self.settings,
                **more,
            },
        )

    def deploy(self, **more: Any) -> Result:
        return self.host.deploy(**self.variables(**more))

    def deployed(self, **more: Any) -> str:
        """Deploy well; the release's id."""
        result = self.deploy(**more)
        assert result.rc == 0, str(result)
        return self.live()

    def start_deploy(self, **more: Any) -> Controller:
        return Controller("deploy", self.host.fleet.inventory, self.variables(**more))

    def rollback(self, to: str = "", **more: Any) -> Result:
        given = {"compose_release_app": self.name, "compose_release_created_by": "tests", **more}
        return self.host.fleet.run("rollback", compose_release_rollback_to=to, **given)

    def load(self, path: str = "/whoami") -> Load:
        """Keep-alive POSTs to it."""
        return Load(self.host.address, path, threads=4, host=self.address)

    def ask(self, path: str, method: str = "GET", body: str | None = None) -> Answer:
        return self.host.ask(path, self.address, method, body)

    def upload(self, body: bytes, *, chunked: bool) -> Answer:
        """Send a body, its length told or not."""
        connection = http.client.HTTPConnection(self.host.address, timeout=30)
        with contextlib.closing(connection):
            sent = iter([body[: len(body) // 2], body[len(body) // 2 :]]) if chunked else body
            connection.request("POST", "/upload", sent, {"Host": self.address}, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.getheader("Davit-Release"), response.read().decode())

    @staticmethod
    def receipt(body: bytes) -> dict[str, int]:
        """What the service says of a body that arrived whole."""
        return {"bytes": len(body), "checksum": zlib.crc32(body)}

    def live(self) -> str:
        return self.host.live(self.name)

    def history(self) -> list[dict[str, Any]]:
        return self.host.history(self.name)

    def journal(self) -> dict[str, Any]:
        """The journal of the deploy under way; empty when there is none."""
        return dict(json.loads(self.host.shell(f"cat {self.home}/deploy.json 2>/dev/null || echo {{}}")))

    def verdict(self, release: str) -> dict[str, Any]:
        return dict(json.loads(self.host.shell(f"cat {self.home}/releases/{release}/verdict.json")))

    def kept(self) -> set[str]:
        """The releases that lie on the disk."""
        return set(self.host.shell(f"ls {self.home}/releases").split())

    def project(self, release: str) -> str:
        _date, _time, content, number = release.split("-")
        return f"{self.name}-{number}-{content}"

    def running(self) -> set[str]:
        """The projects of its releases that have a running container."""
        own = f"docker ps --filter label=davit.app={self.name} --format '{{{{.Label \"davit.project\"}}}}'"
        return {name for name in self.host.shell(own).split() if not name.endswith("-stateful")}

    def started(self, release: str) -> str:
        """When the web container of a release was started last."""
        label = f"label=com.docker.compose.project={self.project(release)}"
        found = f"docker ps --all --quiet --filter {label} --filter label=com.docker.compose.service=web"
        return self.host.shell(f"docker inspect --format '{{{{.State.StartedAt}}}}' $({found})").strip()

    def await_soak(self) -> str:
        """Wait until a deploy watches its release among users; the release's id."""
        until(lambda: self.journal().get("phase") == "soak", 120)
        return str(self.journal()["release"])

    def await_rest(self) -> None:
        """Wait until the clean-up in the background has left nothing running but the live release."""
        until(lambda: not self.journal() and self.running() == {self.project(self.live())}, 60)
        # The lock of the clean-up, which has more to do than to stop the old release.
        self.host.shell(f"flock --wait 60 {self.home}/tidy.lock true")


def tiny_images(host: Host) -> set[str]:
    """The digests of the tests' service that the host has."""
    listed = host.shell("docker image ls --digests --format '{{.Repository}} {{.Digest}}'").splitlines()
    return {line.split()[1] for line in listed if line.startswith("ghcr.io/davit-ec2/tiny ")}
