"""A registry that is away, slow, broken or forgetful, and a host without room: the live release never notices."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import faults
from tests.e2e.support.outcome import Before, assert_sound, told
from tests.e2e.support.playbook import Result
from tests.e2e.support.target import Target

PATIENCE = 20


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("down", ["ghcr.io", "connection refused"]),
        ("errors", ["ghcr.io", "500 Internal Server Error"]),
        ("hangs", ["ghcr.io"]),
        ("vanishes", ["ghcr.io/davit-ec2/tiny", "manifest unknown"]),
        ("wrong password", ["refused the user 'davit'", "registry_login_password"]),
        ("no space", ["no space left on device"]),
    ],
)
def test_a_pull_that_fails_touches_nothing(target: Target, fault: str, words: list[str]) -> None:
    before = Before.of(target)
    faults.forget_images(target)
    with target.load() as load:
        result = deploy_with(target, fault)
        assert result.rc != 0, str(result)
        for word in words:
            assert word in result.output, str(result)
        assert [line for line in told(target, before) if line["result"] == "succeeded"] == []
        assert_sound(f"registry: {fault}", target, load, before.live)


def deploy_with(target: Target, fault: str) -> Result:
    """Deploy a version that has to be pulled, under the fault."""
    variables: dict[str, Any] = {"compose_release_version": "v3", "compose_release_pull_timeout": PATIENCE}
    if fault == "wrong password":
        return target.deploy(**variables, registry_login_password="wrong")
    if fault == "no space":
        with faults.little_space_for_pulls(target, 8):
            return target.deploy(**{**variables, "compose_release_version": "large"})
    if fault == "down":
        with faults.registry_down(target):
            return target.deploy(**variables)
    with faults.registry_that(target, fault):
        return target.deploy(**variables)


def test_a_slow_registry_delays_and_nothing_else(target: Target) -> None:
    before = Before.of(target)
    faults.forget_images(target)
    with target.load() as load:
        with faults.registry_that(target, "slow"):
            result = target.deploy(compose_release_version="v3")
        assert result.rc == 0, str(result)
        (line,) = told(target, before)
        assert (line["result"], line["version"]) == ("succeeded", "v3"), line
        assert_sound("registry: slow", target, load, line["release"])
