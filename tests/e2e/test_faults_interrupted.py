"""A controller that is frozen, interrupted, cut off or not alone: no request is lost, and no person has to tidy up."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.support import faults
from tests.e2e.support.outcome import SOAK, Before, assert_sound, project, told, told_when_free
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until


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
            # From here on it has more to do than the other one has until it asks for the lock.
            release = watch.until("start")["release"]
            second = target.deploy(compose_release_version="v2")
            assert second.rc != 0
            for word in ("is locked by", "deploy v3", "Nothing was touched"):
                assert word in second.output, str(second)
            result = first.wait()
        assert result.rc == 0, str(result)
        assert [(line["result"], line["release"]) for line in told(target, before)] == [("succeeded", release)]
        until(lambda: target.running() == {project(release)}, 60)
        assert_sound("two deploys at once", target, load, release)
