"""What the end-to-end tests start from: images in the lab's registry, and a host that is ready for releases."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from lab.bridge.model import BAKED_AMI
from lab.images import bake, build_and_push
from tests.e2e.support.aftermath import told
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.host import Host
from tests.e2e.support.outcome import LEDGER
from tests.e2e.support.playbook import ROOT
from tests.e2e.support.target import Target

IMAGES = ROOT / "tests/e2e/images"
GOOD = {"tiny": ["v1", "v2", "v3", "large", "r1", "r2", "r3", "r4", "r5"], "tiny-db": ["v1"]}
TARGETS = {"tiny-db:v1": "db", "tiny:large": "large"}
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
"""Number of this process, from 0; two of them may break things at the same time, each on a host of its own."""
BAD = ["exits", "never-ready", "answers-500", "search-500", "impostor"]


def one_host(network: str) -> dict[str, Any]:
    """The variables of a fleet of one host, in a network (`10.70`) that no other fleet has."""
    return {
        "ec2_instance_count": 1,
        "ec2_instance_vpc_cidr": f"{network}.0.0/16",
        "ec2_instance_subnets": [{"cidr": f"{network}.1.0/24", "zone": "a"}],
        # Only the tests of the soak have the time to wait for one.
        "compose_release_soak_seconds": 0,
        # These hosts share two cores with the tests of others; what refuses a slow model asks for the usual bound.
        "restaurant_search_slowest_ms": 1000,
        # Both have tests of their own, and cost the others time.
        "ec2_instance_recovery_alarm": False,
        "monitoring_enabled": False,
        # With an engine in it, since most of these are not about how it gets there.
        "ec2_instance_image_id": BAKED_AMI,
    }


ON_ONE_HOST = {
    "service": {"test_deploy", "test_drill", "test_hardening", "test_quality", "test_workflow", "test_workflow_aws"},
    "stacks": {"test_doctor", "test_rollback", "test_rollout", "test_rollout_parts", "test_stacks"},
}
"""Modules that follow each other on the host of a process. Those of the service find it without a release of it."""

LONGEST_FIRST = [
    *("stacks", "service", "test_monitoring", "test_provision", "test_secrets", "test_tls"),
    *("test_faults_killed", "test_faults_host", "test_fleet", "test_faults_interrupted", "test_faults_registry"),
]
"""So that none of them runs alone at the end; the summary tells what each module took."""


def scope(nodeid: str) -> str:
    """What runs in one process: a module, or those that share a host."""
    module = Path(nodeid.partition("::")[0]).stem
    return next((name for name, modules in ON_ONE_HOST.items() if module in modules), module)


class ByFleet(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of one module stay in one process and in their order, and so do modules that follow each other."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --no-loadscope-reorder, the order in which the processes take the scopes."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(scope(item.nodeid), len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFleet:
    """With `-n`: no fleet is used by two processes."""
    return ByFleet(config, log)


def fill_registry() -> None:
    """Good and bad images, in the registry that the hosts know as ghcr.io, and the image of the hosts themselves."""
    with (ROOT / ".lab/test-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fill_registry()


def _fill_registry() -> None:
    bake()
    for name, tags in GOOD.items():
        for tag in tags:
            target = TARGETS.get(f"{name}:{tag}", "tiny")
            build_and_push(f"ghcr.io/davit-ec2/{name}:{tag}", IMAGES, [f"VERSION={tag}"], target)
    for name in BAD:
        build_and_push(f"ghcr.io/davit-ec2/restaurant-search:bad-{name}", IMAGES, [f"VERSION=bad-{name}"], name)


@pytest.fixture(scope="module", autouse=True)
def _left_open() -> Iterator[None]:
    """What a module leaves open is an error of its own, and not one of the module that happens to come next."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A provisioned and configured host without any release, which is gone again at the end."""
    fill_registry()
    # From the AMI that a fleet has by default, on which everything is yet to be installed.
    bare = {"ec2_instance_image_id": "", "host_baseline_automatic_reboot": True}
    settings = {**one_host(f"10.{70 + int(WORKER)}"), **bare}
    fleet = Fleet.declare(f"e2e-{WORKER}", tmp_path_factory.mktemp("inventory"), settings)
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


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A host for the fault tests, with one good release; DAVIT_KEEP_TARGET=1 leaves it for the next run."""
    fill_registry()
    inventory = tmp_path_factory.mktemp("inventory")
    fleet = Fleet.declare(f"faults-{WORKER}", inventory, one_host(f"10.{80 + int(WORKER)}"))
    keep = bool(os.environ.get("DAVIT_KEEP_TARGET"))
    if fleet.rest() and not keep:
        fleet.destroy()
    for playbook in ("provision", "configure"):
        done = fleet.run(playbook)
        assert done.rc == 0, str(done)
    instance = next(iter(fleet.instances().values()))["InstanceId"]
    made = Target(fleet, next(iter(fleet.addresses().values())), done, f"davit-lab-{instance}")
    result = made.deploy()
    assert result.rc == 0, str(result)
    yield made
    if not keep:
        result = fleet.destroy()
        assert (result.rc, fleet.rest()) == (0, {}), str(result)


@pytest.fixture(scope="session")
def browser() -> None:
    """Chromium, and what drives it."""
    if not Path("/usr/bin/chromium").exists():
        subprocess.run([str(ROOT / "requirements/apt.sh"), "chromium"], check=True)
    venv = [str(ROOT / "requirements/venv.sh"), ".cache/venvs/browser", "requirements/browser.txt"]
    subprocess.run(venv, check=True, cwd=ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what its hosts and the lab have said."""
    report = yield
    if report.failed:
        given = [getattr(one, "target", one) for one in getattr(item, "funcargs", {}).values()]
        fleets = {one if isinstance(one, Fleet) else one.fleet for one in given if isinstance(one, (Fleet, Host))}
        report.sections.extend(told(fleets))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands what it noted to the process that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["ledger"] = list(LEDGER)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker noted; one that crashed noted nothing."""
    LEDGER.extend(getattr(node, "workeroutput", {}).get("ledger", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each fault has cost, and each module."""
    for line in LEDGER:
        terminalreporter.write_line(line)
    took: Counter[str] = Counter()
    for report in (one for some in terminalreporter.stats.values() for one in some):
        if isinstance(report, pytest.TestReport):
            took[Path(report.nodeid.partition("::")[0]).stem] += round(report.duration)
    for module, seconds in took.most_common():
        terminalreporter.write_line(f"{seconds:5d} s  {module}")
