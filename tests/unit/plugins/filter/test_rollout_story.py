"""A rollout over a fleet: its batches, who failed, and what is said of each host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter import rollout

HOSTS = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (6, [1, "50%"], [1, 3, 2]),
        (6, ["100%"], [6]),
        (6, [2], [2, 2, 2]),
        (6, ["1%"], [1] * 6),
        (6, ["34%"], [2, 2, 2]),
        (6, [1, 100], [1, 5]),
        (6, [" 3 ", "3"], [3, 3]),
        (1, [1, "50%"], [1]),
        (0, [1], []),
    ],
)
def test_batches_cover_every_host_once_and_in_order(count: int, sizes: list[Any], expected: list[int]) -> None:
    made = rollout.batches(HOSTS[:count], sizes)
    assert [len(batch) for batch in made] == expected
    assert [host for batch in made for host in batch] == HOSTS[:count]


@pytest.mark.parametrize("sizes", [[], [0], ["0%"], [-1], ["half"], ["50 % of them"], [None], [1.5]])
def test_sizes_that_are_none_are_refused(sizes: list[Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="compose_release_batches"):
        rollout.batches(HOSTS, sizes)


STAGED = {"__compose_release_staged": {"live": "r1"}}
BACK = {"result": "rolled back", "live": "r1"}
GOOD: dict[str, Any] = {**STAGED, "__compose_release_switched": {"changed": True}}


def broken(step: str, **more: Any) -> dict[str, Any]:
    return {**STAGED, step: {**STAGED.get(step, {}), "failed": True, "msg": " it died \n", **more}}


def test_a_host_failed_when_a_step_did_or_when_it_left_the_play() -> None:
    hostvars = {
        "a": GOOD,
        "b": broken("__compose_release_tried", logs={"web": ["bye"]}, ended={"result": "failed", "live": "r1"}),
        "c": {**STAGED, "__compose_release_fetched": {"unreachable": True, "msg": "no route"}},
        "d": GOOD,
        "e": {},
    }
    failed = rollout.failures(hostvars, list("abcde"), ["a", "b", "c", "e"])
    assert set(failed) == {"b", "c", "d"}
    assert failed["b"] == {
        "phase": "start or gate",
        "cause": "it died",
        "unreachable": False,
        "logs": {"web": ["bye"]},
        "ended": {"result": "failed", "live": "r1"},
    }
    assert (failed["c"]["phase"], failed["c"]["unreachable"], failed["c"]["cause"]) == ("fetch", True, "no route")
    assert (failed["d"]["phase"], failed["d"]["unreachable"]) == ("unknown", True)


@pytest.mark.parametrize(("step", "phase"), list(rollout.STEPS.items()))
def test_each_step_is_named_by_its_phase(step: str, phase: str) -> None:
    assert rollout.failures({"a": broken(step)}, ["a"], ["a"])["a"]["phase"] == phase


@pytest.mark.parametrize(
    ("ends", "expected"),
    [([{}], "failed"), ([{"result": "failed"}], "failed"), ([{"result": "failed"}, BACK], "rolled back")],
)
def test_a_rollout_rolled_back_once_traffic_had_moved_anywhere(ends: list[dict[str, Any]], expected: str) -> None:
    assert rollout.event({str(n): {"ended": end} for n, end in enumerate(ends)}) == expected


@pytest.mark.parametrize(
    ("variables", "in_play", "said"),
    [
        (GOOD, True, "h: not touched; live: r1"),
        ({}, True, "h: not touched; live: as before"),
        ({"__compose_release_staged": {"live": ""}}, True, "h: not touched; live: nothing yet"),
        ({**GOOD, "__compose_release_reverted": {"ended": BACK}}, True, "h: undone for the others' sake; live: r1"),
        (
            broken("__compose_release_switched", ended=BACK),
            True,
            "h: failed in switch or soak: it died; rolled back; live: r1",
        ),
        (broken("__compose_release_staged"), True, "h: failed in preflight: it died; nothing was touched; live: r1"),
        (
            {"__compose_release_staged": {"failed": True, "msg": "it died"}},
            True,
            "h: failed in preflight: it died; nothing was touched; live: as before",
        ),
        (GOOD, False, "h: failed in unknown: it cannot be reached; NOT reverted by this run"),
        (broken("__compose_release_switched"), True, "h: failed in switch or soak: it died; NOT reverted by this run"),
        (
            {**GOOD, "__compose_release_reverted": {"ended": BACK}},
            False,
            "h: failed in unknown: it cannot be reached; rolled back; live: r1",
        ),
    ],
)
def test_the_summary_says_of_each_host_how_it_ended(variables: dict[str, Any], in_play: bool, said: str) -> None:
    failed = rollout.failures({"h": variables}, ["h"], ["h"] if in_play else [])
    (line,) = rollout.summary({"h": variables}, ["h"], failed)
    assert line.startswith(said)


def test_a_host_that_had_finished_is_not_said_to_be_untouched() -> None:
    finished = {"ended": {"result": "succeeded", "live": "new"}}
    hostvars = {
        "a": {"__compose_release_finished": finished, "__compose_release_staged": {"live": "old"}},
        "b": {"__compose_release_finished": {"failed": True, "msg": "disk"}},
    }
    failed = rollout.failures(hostvars, ["a", "b"], ["a", "b"])
    told = rollout.summary(hostvars, ["a", "b"], failed)
    assert "had finished already" in told[0]
    assert "live: new" in told[0]
