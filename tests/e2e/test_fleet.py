"""A release over three hosts: all or none, under load on each of them, whatever goes wrong on one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator

import pytest

from lab.images import build_and_push
from tests.e2e.conftest import IMAGES, fill_registry, one_host
from tests.e2e.support.app import GATE
from tests.e2e.support.faults import ssh_cut
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.outcome import LEDGER
from tests.e2e.support.playbook import Result
from tests.e2e.support.several import Member, loads, say_of
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until

SALT = uuid.uuid4().hex[:6]
"""Bad content is remembered by a host, also beyond a run of the tests."""
SETTINGS = {
    "compose_release_soak_seconds": 1,
    # A host of a fleet waits for the pull of the others, or for their batch, so these make its lease: 5 + 30 + 25 + 1.
    "compose_release_lease_seconds": 5,
    "compose_release_pull_timeout": 30,
    "compose_release_start_timeout": 30,
    "compose_release_gate": {**GATE, "timeout": 25},
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Target]]:
    """Three hosts by name, in the order of the inventory; DAVIT_KEEP_TARGET=1 leaves them for the next run."""
    fill_registry()
    folder = tmp_path_factory.mktemp("inventory")
    fleet = Fleet.declare("fleet", folder, {**one_host("10.74"), "ec2_instance_count": 3})
    keep = bool(os.environ.get("DAVIT_KEEP_TARGET"))
    if fleet.rest() and not keep:
        fleet.destroy()
    if not (keep and len(fleet.instances()) == 3):
        for playbook in ("provision", "configure"):
            done = fleet.run(playbook)
            assert done.rc == 0, str(done)
    instances, addresses = fleet.instances(), fleet.addresses()
    blank = Result([], 0, "", "")
    yield [
        Target(fleet, addresses[name], blank, f"davit-lab-{instances[name]['InstanceId']}")
        for name in sorted(instances)
    ]
    if not keep:
        result = fleet.destroy()
        assert (result.rc, fleet.rest()) == (0, {}), str(result)


@pytest.fixture(scope="module")
def names(targets: list[Target]) -> list[str]:
    return sorted(targets[0].fleet.instances())


@pytest.fixture(scope="module")
def members(targets: list[Target]) -> list[Member]:
    """The app with a first release everywhere."""
    made = [Member(target, "fleet", "fleet", SETTINGS) for target in targets]
    result = made[0].deploy(compose_release_soak_seconds=0, compose_release_batches=["100%"])
    assert result.rc == 0, str(result)
    return made


@pytest.fixture(autouse=True)
def rested(members: list[Member]) -> Iterator[None]:
    """Each test begins and ends with one release running on each host, and no lock."""
    for member in members:
        member.await_rest()
    yield
    for member in members:
        assert member.journal() == {}


def state(members: list[Member]) -> list[tuple[str, str]]:
    """What each host's record says and what a user gets."""
    return [(member.live(), str(member.ask("/readyz").release)) for member in members]


def test_the_canary_host_is_first_and_all_end_on_one_digest(members: list[Member]) -> None:
    with loads(members) as seen:
        result = members[0].deploy(compose_release_version="v2")
    assert result.rc == 0, str(result)
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert all(len(load.releases) == 2 for load in seen), [load.releases for load in seen]
    started = [member.started(member.live()) for member in members]
    assert started == sorted(started), "host by host: [1, '50%'] of three"
    assert len({str(member.images()) for member in members}) == 1
    assert [member.ask("/whoami").json()["release"] for member in members] == ["v2"] * 3
    assert [live for live, answers in state(members) if live != answers] == []


def test_a_host_that_fails_its_gate_takes_all_others_back(members: list[Member], names: list[str]) -> None:
    before = state(members)
    bad = members[0].variables(
        environment={"LABEL": f"bad-{SALT}", "EXITS_AFTER": "{{ exits_after | default('') }}"},
    )
    say_of(members[0].host, names[2], exits_after="0.5")
    with loads(members) as seen:
        result = members[0].host.deploy(**bad)
        assert result.rc != 0, str(result)
        for member in members:
            member.await_rest()
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert [len(load.releases) for load in seen] == [2, 2, 1], "the first two had switched"
    assert state(members) == before
    for name in names[:2]:
        assert f"{name}: undone for the others' sake" in result.output, str(result)
    assert f"{names[2]}: failed in start or gate" in result.output, str(result)
    lines = [member.history()[-1] for member in members]
    assert [line["result"] for line in lines] == ["rolled back", "rolled back", "failed"]
    assert [bool(line.get("blamed", True)) for line in lines] == [False, False, True]

    again = members[0].host.deploy(**bad)
    assert again.rc != 0
    assert "compose_release_force=true" in again.output, str(again)
    assert state(members) == before

    say_of(members[0].host, names[2])
    with loads(members) as seen:
        result = members[0].host.deploy(**bad)
    assert result.rc == 0, str(result)
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert all(one[0] != was[0] for one, was in zip(state(members), before, strict=True))


def test_a_host_that_is_cut_off_takes_all_others_back(members: list[Member], names: list[str]) -> None:
    before = state(members)
    cut = members[1]
    with loads(members) as seen:
        with members[0].start_deploy(environment={"BOOT_SECONDS": "4"}) as controller:
            until(lambda: cut.host.inside(f"cat {cut.home}/deploy.json || true").find('"start"') > 0, 90)
            with ssh_cut(cut.host):
                result = controller.wait(120)
                begin = time.monotonic()
                # By the host alone: nobody else can reach it.
                until(lambda: not cut.host.inside(f"cat {cut.home}/deploy.json || true"), 120)
                alone = time.monotonic() - begin
        for member in members:
            member.await_rest()
    assert result.rc != 0, str(result)
    assert f"{names[1]}: failed in start or gate" in result.output, str(result)
    assert f"{names[0]}: undone for the others' sake" in result.output, str(result)
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert len(seen[0].releases) == 2, "the canary host had switched"
    assert state(members) == before
    LEDGER.append(f"the host reverted by itself {alone:.0f} s after the end of the run")
    result = members[0].deploy(compose_release_batches=["100%"])
    assert result.rc == 0, str(result)
    assert all(one[0] != was[0] for one, was in zip(state(members), before, strict=True))


def test_a_lock_on_one_host_leaves_all_untouched(members: list[Member], names: list[str]) -> None:
    before = state(members)
    told = [member.history() for member in members]
    with members[2].locked():
        result = members[0].deploy(compose_release_version="v3")
        assert [member.journal() for member in members[:2]] == [{}, {}]
    assert result.rc != 0
    assert "locked by alice@laptop" in result.output, str(result)
    assert f"{names[2]}: failed in preflight" in result.output, str(result)
    assert state(members) == before
    assert [member.history() for member in members] == told


def test_a_check_of_the_fleet_changes_nothing(members: list[Member]) -> None:
    before = state(members)
    result = members[0].host.fleet.run("deploy", "--check", "--diff", **members[0].variables())
    assert result.rc == 0, str(result)
    assert result.output.count("would be deployed") >= 1, str(result)
    assert state(members) == before


def test_a_host_that_joins_gets_what_the_fleet_has_though_the_tag_has_moved(members: list[Member]) -> None:
    tag = "ghcr.io/davit-ec2/tiny:moves"
    build_and_push(tag, IMAGES, [f"VERSION=before-{SALT}"], "tiny")
    variables = members[0].variables(compose_release_version="moves", compose_release_batches=["100%"])
    result = members[0].host.deploy(**variables)
    assert result.rc == 0, str(result)
    before = state(members)
    build_and_push(tag, IMAGES, [f"VERSION=after-{SALT}"], "tiny")
    members[2].await_rest()
    members[2].vanish()
    with loads(members[:2]) as seen:
        result = members[0].host.deploy(**{**variables, "compose_release_version": ""})
    assert result.rc == 0, str(result)
    assert [load.lost for load in seen] == [{}, {}]
    assert state(members[:2]) == before[:2]
    assert members[2].images() == members[0].images()
    assert members[2].ask("/whoami").json()["release"] == f"before-{SALT}"


def test_a_rollback_of_the_fleet_is_red_where_it_cannot_be_done(members: list[Member], names: list[str]) -> None:
    before = state(members)
    result = members[0].deploy(compose_release_batches=["100%"])
    assert result.rc == 0, str(result)
    with loads(members) as seen:
        result = members[0].rollback()
    assert result.rc == 0, str(result)
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert state(members) == before

    result = members[0].deploy(compose_release_batches=["100%"])
    assert result.rc == 0, str(result)
    ahead = state(members)
    for member in members:
        member.await_rest()
    with loads(members) as seen, members[1].without_earlier_releases():
        result = members[0].rollback()
    assert result.rc != 0
    assert {name for name in names if result.stats[name].failed} == {names[1]}, str(result)
    assert [load.lost for load in seen] == [{}, {}, {}]
    assert state(members) == [before[0], ahead[1], before[2]]
