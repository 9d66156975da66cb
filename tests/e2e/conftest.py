"""What the end-to-end tests start from: images in the lab's registry, and a host that is ready for releases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.images import build_and_push
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.host import Host
from tests.e2e.support.playbook import ROOT

IMAGES = ROOT / "tests/e2e/images"
GOOD = {"tiny": ["v1", "v2", "v3"], "tiny-db": ["v1"]}
BAD = ["exits", "never-ready", "answers-500", "search-500", "impostor"]
OVERRIDES = {
    "ec2_instance_count": 1,
    "ec2_instance_vpc_cidr": "10.79.0.0/16",
    "ec2_instance_subnets": [{"cidr": "10.79.1.0/24", "zone": "a"}],
}


def fill_registry() -> None:
    """Good and bad images, in the registry that the hosts know as ghcr.io."""
    for name, tags in GOOD.items():
        for tag in tags:
            target = "db" if name == "tiny-db" else name
            build_and_push(f"ghcr.io/davit-ec2/{name}:{tag}", IMAGES, [f"VERSION={tag}"], target)
    for name in BAD:
        build_and_push(f"ghcr.io/davit-ec2/restaurant-search:bad-{name}", IMAGES, [f"VERSION=bad-{name}"], name)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A provisioned and configured host without any release, which is gone again at the end."""
    fill_registry()
    fleet = Fleet.declare("e2e-deploy", tmp_path_factory.mktemp("inventory"), OVERRIDES)
    if fleet.rest():
        fleet.destroy()
    made = fleet.run("provision")
    assert made.rc == 0, str(made)
    checked = fleet.run("site", "--check", "--diff")
    configured = fleet.run("configure")
    assert configured.rc == 0, str(configured)
    yield Host(fleet, next(iter(fleet.addresses().values())), checked)
    result = fleet.destroy()
    assert (result.rc, fleet.rest()) == (0, {}), str(result)
