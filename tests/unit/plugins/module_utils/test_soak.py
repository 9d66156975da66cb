"""The judgement over a release that serves: what is a breach, what is waited for, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.gate_run import run_soak
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, Gate, HttpCheck, Look

READY = HttpCheck("ready", "http://127.0.0.1:20000/ready", readiness=True)
GATE = Gate(http=(READY,), failures=3, interval=1.0, timeout=20.0)


def container(status: str = "running", **more: Any) -> Container:
    return Container(id="c1", name="web-1", service="web", status=status, **more)


def soak(
    containers: Sequence[Container] = (container(),),
    answers: Sequence[int] = (200,),
    seconds: float = 10.0,
    others: Sequence[Look] = (),
    stopped_at: int | None = None,
) -> dict[str, Any]:
    """A soak in which each look sees the next container and answer, the last ones again and again."""
    looks, asked, turns = count(), count(), count()
    now = [0.0]

    def pause(wanted: float) -> None:
        now[0] += wanted

    return run_soak(
        GATE,
        ["web"],
        lambda: [containers[min(next(looks), len(containers) - 1)]],
        lambda _check: Answer(answers[min(next(asked), len(answers) - 1)]),
        seconds,
        others=lambda: others,
        interrupted=lambda: "stopped by carol" if next(turns) == stopped_at else None,
        clock=lambda: now[0],
        pause=pause,
    )


def test_what_holds_to_the_end_passes() -> None:
    verdict = soak()
    assert (verdict["verdict"], verdict["cause"], verdict["seconds"]) == ("pass", "", 10.0)


@pytest.mark.parametrize(
    ("containers", "cause"),
    [
        ([container(), container("exited", exit_code=9)], "in the soak, container web: exited with code 9"),
        ([container(), container(restarts=1)], "in the soak, container web: restarted 1 times"),
    ],
)
def test_a_process_that_ends_is_a_breach_at_once(containers: list[Container], cause: str) -> None:
    verdict = soak(containers)
    assert (verdict["verdict"], verdict["cause"], verdict["seconds"]) == ("fail", cause, 1.0)


def test_three_wrong_answers_in_a_row_are_a_breach_and_two_are_not() -> None:
    assert soak(answers=[200, 500, 500, 200])["verdict"] == "pass"
    verdict = soak(answers=[200, 500, 500, 500, 200])
    assert (verdict["verdict"], verdict["seconds"]) == ("fail", 3.0)


def test_an_unhealthy_container_is_a_breach() -> None:
    assert soak([container(health="healthy"), container(health="unhealthy")])["verdict"] == "fail"


def test_a_first_health_check_is_waited_for_beyond_the_soak() -> None:
    starting, healthy = container(health="starting"), container(health="healthy")
    verdict = soak([starting] * 6 + [healthy], seconds=2.0)
    assert (verdict["verdict"], verdict["seconds"]) == ("pass", 6.0)


def test_a_health_check_that_never_tells_is_no_pass() -> None:
    verdict = soak([container(health="starting")], seconds=2.0)
    assert (verdict["verdict"], verdict["seconds"]) == ("inconclusive", 20.0)


def test_what_users_lose_is_a_breach() -> None:
    verdict = soak(others=[Look("traffic through the edge", False, "3 requests in a row failed", hopeless=True)])
    assert (verdict["verdict"], verdict["seconds"]) == ("fail", 0.0)


def test_a_person_ends_it() -> None:
    verdict = soak(stopped_at=4)
    assert (verdict["verdict"], verdict["cause"], verdict["seconds"]) == ("fail", "stopped by carol", 4.0)
