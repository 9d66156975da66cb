"""A controller that is killed: no request is lost, and no person has to tidy up."""

from __future__ import annotations

import pytest

from tests.e2e.support.outcome import SOAK, Before, assert_sound, told, told_when_free
from tests.e2e.support.target import LEASE, Target
from tests.e2e.support.wait import until

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
