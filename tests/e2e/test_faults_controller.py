"""A controller that is killed, frozen, interrupted or cut off: no request is lost, and no person has to tidy up."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.e2e.support import faults
from tests.e2e.support.outcome import Before, assert_sound, project, told
from tests.e2e.support.target import LEASE, Target
from tests.e2e.support.wait import until

SOAK = 4
BEFORE_THE_SWITCH = ["preflight", "fetch", "start", "gate"]
AFTER_THE_SWITCH = ["switch", "soak", "finish"]


@pytest.mark.parametrize("phase", [*BEFORE_THE_SWITCH, *AFTER_THE_SWITCH])
def test_a_deploy_whose_controller_is_killed_is_ended_by_the_host(target: Target, phase: str) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=SOAK) as controller:
            watch.until(phase)
            controller.kill()
        (line,) = told_when_free(target, before)
        if phase in BEFORE_THE_SWITCH:
            assert line["result"] == "interrupted", line
            expected = before.live
        else:
            assert line["result"] == "succeeded", line
            expected = line["release"]
        # One step switches, watches and finishes on a single host, and a step outlives its controller.
        assert line.get("recovered_by") == ("the host's timer" if phase in BEFORE_THE_SWITCH else None), line
        assert_sound(f"controller killed in {phase}", target, load, expected)


def told_when_free(target: Target, before: Before) -> list[dict[str, Any]]:
    """The history's new lines, once the deploy has ended on the host, by whomever."""
    until(lambda: not target.journal(), LEASE + 40)
    return told(target, before)


@pytest.mark.parametrize("phase", ["start", "soak"])
def test_a_deploy_whose_step_is_killed_as_well_is_ended_by_the_host(target: Target, phase: str) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=SOAK) as controller:
            release = watch.until(phase)["release"]
            controller.kill()
            target.kill_step()
        (line,) = told_when_free(target, before)
        expected, how = (before.live, "interrupted") if phase == "start" else (release, "succeeded")
        assert (line["result"], line["recovered_by"]) == (how, "the host's timer"), line
        assert_sound(f"controller and step killed in {phase}", target, load, expected)


def test_the_next_run_ends_what_a_killed_controller_began(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy() as controller:
            release = watch.until("start")["release"]
            controller.kill()
        target.inside("systemctl stop davit-recover.timer davit-recover.service")
        refused = target.deploy()
        assert refused.rc != 0
        assert "is locked by" in refused.output, str(refused)
        assert "deploy v1" in refused.output, str(refused)
        until(target.lease_ended, LEASE + 20)
        result = target.deploy()
        assert result.rc == 0, str(result)
        recovered, succeeded = told(target, before)
        assert (recovered["release"], recovered["result"]) == (release, "interrupted"), recovered
        assert recovered["recovered_by"], recovered
        assert_sound("controller killed, ended by the next run", target, load, succeeded["release"])


@pytest.mark.parametrize("phase", ["start", "switch"])
def test_a_rollback_whose_controller_is_killed_is_ended_by_the_host(target: Target, phase: str) -> None:
    assert target.deploy().rc == 0
    before = Before.of(target)
    back = next(line["release"] for line in reversed(target.history()[:-1]) if line["result"] == "succeeded")
    with target.load() as load, target.watch() as watch:
        with target.start_rollback() as controller:
            watch.until(phase)
            controller.kill()
        lines = told_when_free(target, before)
        # One module does the whole rollback, and a module outlives its controller.
        assert [(line["action"], line["result"], line["release"]) for line in lines] == [
            ("rollback", "succeeded", back)
        ]
        assert_sound(f"rollback, controller killed in {phase}", target, load, back)


def test_a_controller_that_slept_beyond_its_lease_changes_nothing_when_it_wakes(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy() as controller:
            watch.until("start")
            controller.suspend()
            (line,) = told_when_free(target, before)
            assert line["result"] == "interrupted", line
            controller.resume()
            result = controller.wait()
        assert result.rc != 0
        assert "lost its lock" in result.output, str(result)
        assert told(target, before) == [line]
        assert_sound("controller suspended beyond its lease", target, load, before.live)


@pytest.mark.parametrize("phase", ["start", "soak"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_deploy_that_is_interrupted_leaves_nothing(target: Target, phase: str, number: signal.Signals) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=SOAK) as controller:
            release = watch.until(phase)["release"]
            if number == signal.SIGINT:
                controller.interrupt()
            else:
                controller.terminate()
            assert controller.wait(60).rc != 0
        (line,) = told_when_free(target, before)
        expected, how = (before.live, "interrupted") if phase == "start" else (release, "succeeded")
        assert (line["result"], line["release"]) == (how, release), line
        assert_sound(f"{number.name} in {phase}", target, load, expected)


def test_a_connection_that_is_cut_in_fetch_leaves_nothing(target: Target) -> None:
    before = Before.of(target)
    faults.forget_images(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_version="v2") as controller:
            watch.until("fetch")
            with faults.ssh_cut(target):
                result = controller.wait(60)
        assert result.rc != 0
        assert "unreachable=1" in result.output, str(result)
        (line,) = told_when_free(target, before)
        assert line["result"] == "interrupted", line
        assert_sound("SSH cut in fetch", target, load, before.live)


def test_of_two_deploys_at_once_one_is_told_who_has_the_lock(target: Target) -> None:
    before = Before.of(target)
    with target.load() as load, target.watch() as watch:
        with target.start_deploy(compose_release_soak_seconds=10, compose_release_version="v3") as first:
            release = watch.until("soak")["release"]
            second = target.deploy(compose_release_version="v2")
            assert second.rc != 0
            for word in ("is locked by", "deploy v3", "Nothing was touched"):
                assert word in second.output, str(second)
            result = first.wait()
        assert result.rc == 0, str(result)
        assert [(line["result"], line["release"]) for line in told(target, before)] == [("succeeded", release)]
        until(lambda: target.running() == {project(release)}, 60)
        assert_sound("two deploys at once", target, load, release)
