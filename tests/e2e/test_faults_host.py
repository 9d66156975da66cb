"""Candidates that die, an engine, an edge and a host that go down in the middle, and records that are damaged."""

from __future__ import annotations

import time

import pytest

from tests.e2e.support import faults
from tests.e2e.support.outcome import Before, assert_sound, project, told, told_when_free
from tests.e2e.support.target import HOME, LEASE, Target
from tests.e2e.support.wait import until

SOAK = 12


def test_a_candidate_without_memory_is_refused(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load:
        result = target.deploy(compose_release_environment={"EATS_MB": "200"})
        assert result.rc != 0
        for word in ("exited with code 137", "out of memory"):
            assert word in result.output, str(result)
        (line,) = told(target, before)
        assert line["result"] == "failed", line
        assert_sound("candidate out of memory", target, load, before.live)


def test_a_release_that_dies_among_users_is_taken_back_in_its_soak(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load:
        result = target.deploy(compose_release_environment={"DIES_AFTER": "3"}, compose_release_soak_seconds=SOAK)
        assert result.rc != 0
        # It may have been started again before anybody looked.
        assert "exited with code 9" in result.output or "restarted 1 times" in result.output, str(result)
        (line,) = told(target, before)
        assert line["result"] == "rolled back", line
        assert line["release"] in load.releases, "it has to have had traffic"
        assert_sound("candidate dead in its soak", target, load, before.live)


@pytest.mark.parametrize("controller", ["alive", "killed"])
@pytest.mark.parametrize("release", ["good", "dies"])
def test_a_disk_that_becomes_full_in_the_soak_does_not_keep_the_release(
    target: Target, release: str, controller: str
) -> None:
    environment = {"DIES_AFTER": "6"} if release == "dies" else {}
    with faults.small_disk(target, 96):
        before = Before.of(target)
        with target.load() as load, target.watch() as watch:
            with target.start_deploy(compose_release_environment=environment, compose_release_soak_seconds=SOAK) as run:
                tried = watch.until("soak")["release"]
                with faults.fill(target):
                    if controller == "alive":
                        assert run.wait().rc != 0
                    else:
                        run.kill()
                        target.kill_step()
                    (line,) = told_when_free(target, before)
                    assert target.answering() == before.live
            assert (line["result"], line["release"]) == ("rolled back", tried), line
            assert ("disk has become full" in line["cause"]) == (release == "good"), line
            name = f"disk full in the soak, release {release}, controller {controller}"
            assert_sound(name, target, load, before.live)


def test_a_release_that_has_filled_the_disk_can_be_left(target: Target) -> None:
    assert target.deploy().rc == 0
    former = target.live()
    assert target.deploy().rc == 0
    with faults.small_disk(target, 96), target.load() as load:
        with faults.fill(target):
            result = target.fleet.run("rollback", compose_release_app="faults")
            assert result.rc == 0, str(result)
            assert target.answering() == former
        assert target.history()[-1]["action"] == "rollback"
        assert_sound("rollback on a full disk", target, load, former)


def test_an_engine_that_restarts_in_the_soak_loses_nothing(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=SOAK) as controller:
            watch.until("soak")
            target.inside("systemctl restart docker")
            result = controller.wait()
        (line,) = told(target, before)
        # Whether a gate fell into the second without an engine is chance. What counts is that both are told truly.
        assert (result.rc == 0) == (line["result"] == "succeeded"), str(result)
        expected = line["release"] if result.rc == 0 else before.live
        assert_sound("Docker restarted in the soak", target, load, expected)


def test_after_a_reboot_with_three_kept_releases_only_the_live_one_runs(target: Target) -> None:
    for _ in range(3):
        result = target.deploy()
        assert result.rc == 0, str(result)
    live = target.live()
    assert len(target.kept()) >= 3
    with target.load() as load:
        faults.reboot(target)
        until(lambda: target.answering() == live, 90)
        assert target.running() == {project(live)}
        assert_sound("host rebooted", target, load, live, may_lose=True)


@pytest.mark.parametrize("phase", ["start", "soak"])
def test_a_reboot_during_a_deploy_is_recovered_at_the_boot(target: Target, phase: str) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=SOAK) as controller:
            release = watch.until(phase)["release"]
            faults.reboot(target)
            assert controller.wait(120).rc != 0
        until(lambda: not target.journal(), 60)
        (line,) = told(target, before)
        expected, how = (before.live, "interrupted") if phase == "start" else (release, "succeeded")
        assert (line["result"], line["release"]) == (how, release), line
        until(lambda: target.answering() == expected, 90)
        assert_sound(f"host rebooted in {phase}", target, load, expected, may_lose=True)


def test_an_edge_that_is_killed_comes_back_with_the_same_routes(target: Target) -> None:
    live = target.live()
    with target.load() as load:
        edge = target.inside("docker ps --quiet --filter label=com.docker.compose.project=davit-edge").split()
        # The process and not the container: what Docker is told to kill, it does not start again.
        target.inside(f"kill -9 $(docker inspect --format '{{{{.State.Pid}}}}' {edge[0]})")
        until(lambda: target.answering() == live, 30)
        assert_sound("edge killed", target, load, live, may_lose=True)


def test_a_damaged_release_is_not_gone_back_to(target: Target) -> None:
    assert target.deploy().rc == 0
    before = Before.of(target)
    kept = [line["release"] for line in reversed(target.history()[:-1]) if line["result"] == "succeeded"]
    damaged = next(name for name in kept if name in target.kept())
    with target.load() as load:
        target.inside(f"echo '{{' > {HOME}/releases/{damaged}/release.json")
        result = target.fleet.run("rollback", compose_release_app="faults", compose_release_rollback_to=damaged)
        assert result.rc != 0
        assert damaged in result.output, str(result)
        assert target.live() == before.live
        assert_sound("a release directory damaged", target, load, before.live)


def test_a_live_release_whose_record_is_damaged_serves_on_and_can_be_replaced(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load:
        target.inside(f"echo '{{' > {HOME}/releases/{before.live}/release.json")
        refused = target.deploy(compose_release_version="")
        assert refused.rc != 0
        assert "compose_release_version" in refused.output, str(refused)
        assert target.answering() == before.live
        result = target.deploy()
        assert result.rc == 0, str(result)
        assert_sound("the live release's record damaged", target, load, target.live())


def test_a_clock_that_is_two_hours_off_neither_ends_a_lease_nor_stretches_it(target: Target) -> None:
    """The recovery runs under a false clock; the hosts share the machine's, so the real one is left alone."""
    faults.ensure_faketime(target)
    before = Before.of(target)
    recover = "/usr/bin/python3 /opt/davit/lib/davit.pyz recover /opt/davit"
    with target.load() as load, target.watch() as watch:
        with target.start_deploy() as controller:
            watch.until("start")
            controller.kill()
        target.inside("systemctl stop davit-recover.timer davit-recover.service")
        target.inside(f"faketime '+2 hours' {recover}")
        assert target.journal(), "a clock that runs ahead must not end a lease"
        until(target.lease_ended, LEASE + 20)

        def gone() -> bool:
            # More than once: the orphaned step may hold the host's lock for a moment longer.
            target.inside(f"faketime '-2 hours' {recover}")
            return not target.journal()

        until(gone, 60)
        (line,) = told(target, before)
        assert line["result"] == "interrupted", line
        assert_sound("clock two hours off", target, load, before.live)


def test_a_secret_with_every_awkward_character_and_a_long_value_arrive_whole(target: Target) -> None:
    secret = 'it\'s $HOME, "$$" and `date` \\ {braces} #5\nsecond line\n'
    long = "".join(f"{number:07x}/" for number in range(8192))
    assert len(long) == 65536
    with target.load() as load:
        begin = time.monotonic()
        result = target.deploy(compose_release_secrets={"TOKEN": secret}, compose_release_environment={"LARGE": long})
        assert result.rc == 0, str(result)
        assert time.monotonic() - begin < 120
        assert target.ask("/env?name=TOKEN").json()["value"] == secret
        assert target.ask("/env?name=LARGE").json()["value"] == long
        assert_sound("awkward values", target, load, target.live())
