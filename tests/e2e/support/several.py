"""One app on all hosts of a fleet: deployed together, asked and broken one by one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.e2e.support.app import App
from tests.e2e.support.host import Host
from tests.e2e.support.load import Load
from tests.e2e.support.target import Target

HOLD = """
python3 - <<'END'
import sys
sys.path.insert(0, "/opt/davit/lib/davit.pyz")
from ansible_collections.davit.ec2.plugins.module_utils import journal
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
claim = journal.Claim("alice@laptop", "deploy v9", "deploy", 300.0, {})
with journal.acquire(AppLayout("APP", "/opt/davit"), claim):
    pass
END
"""


class Member(App):
    """The app on one host of the fleet."""

    host: Target

    def images(self) -> dict[str, str]:
        """The pinned image of each service of the live release, as its record says."""
        record = json.loads(self.host.inside(f"cat {self.home}/live/release.json"))
        return {name: image["pinned"] for name, image in record["images"].items()}

    def vanish(self) -> None:
        """Be as on a host that has just joined: no container, no record, no route, no image."""
        self.host.inside(
            f"rm -f /opt/davit/edge/dynamic/{self.name}.yml\n"
            f"docker rm -f $(docker ps -aq --filter label=davit.app={self.name})\n"
            f"rm -r {self.home}\n"
            "docker image rm --force $(docker image ls --quiet ghcr.io/davit-ec2/tiny | sort -u)\n"
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else's deploy holds the lock."""
        self.host.inside(HOLD.replace("APP", self.name))
        try:
            yield
        finally:
            self.host.inside(f"rm {self.home}/deploy.json")

    @contextlib.contextmanager
    def without_earlier_releases(self) -> Iterator[None]:
        """What lies on the disk of the releases that are not live cannot be read."""
        loop = f"cd {self.home}/releases; live=$(basename $(readlink ../live)); for name in [0-9]*; do"
        loop += " [ $name = $live ] ||"
        self.host.inside(f"{loop} mv $name/compose.yaml $name/away; done")
        try:
            yield
        finally:
            self.host.inside(f"cd {self.home}/releases; for one in */away; do mv $one ${{one%away}}compose.yaml; done")


def say_of(host: Host, name: str, **variables: Any) -> None:
    """Write variables of one host of the fleet into the inventory, in place of what was there."""
    folder = host.fleet.inventory / "host_vars"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(yaml.safe_dump(variables))


@contextlib.contextmanager
def loads(members: list[Member]) -> Iterator[list[Load]]:
    """A load on each host."""
    with contextlib.ExitStack() as stack:
        # Few threads: three hosts and the load share the machine.
        made = [Load(member.host.address, "/whoami", threads=2, host=member.address) for member in members]
        yield [stack.enter_context(load) for load in made]
