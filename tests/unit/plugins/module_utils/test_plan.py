"""Where a rollback goes, what retention takes, and that numbers and ports come once."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import plan
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.plan import Event, HostState


def rid(sequence: int) -> str:
    return plan.release_id("20260131-120000", "0a1b2c3d4e", sequence)


def state(live: int | None, kept: list[int], events: str, last_good: int | None = None) -> HostState:
    """``events`` in short: "3" a good deploy, "3!" a failed one, "3>2" a rollback, "3>2!" a failed one."""
    history = []
    for event in events.split():
        result = plan.FAILED if event.endswith("!") else plan.SUCCEEDED
        bad = result == plan.FAILED
        source, arrow, target = event.rstrip("!").partition(">")
        if arrow:
            history.append(Event(int(source), plan.ROLLBACK, rid(int(target)), rid(int(source)), result, blamed=bad))
        else:
            history.append(Event(int(source), plan.DEPLOY, rid(int(source)), None, result, blamed=bad))
    return HostState(
        live=None if live is None else rid(live),
        last_good=None if last_good is None else rid(last_good),
        kept=tuple(rid(n) for n in kept),
        history=tuple(history),
    )


@pytest.mark.parametrize(
    ("live", "kept", "events", "targets"),
    [
        (3, [1, 2, 3], "1 2 3", [2, 1]),
        (3, [1, 2, 3], "1 2! 3", [1]),
        (2, [1, 2, 3], "1 2 3 3>2", [1]),  # never forward
        (1, [1, 2, 3], "1 2 3 3>2 2>1", []),
        (4, [1, 2, 3, 4], "1 2 3 3>2 4", [2, 1]),  # 3 was turned away from
        (4, [1, 2, 3, 4], "1 2 3 4 4>2! ", [3, 1]),  # 2 failed when gone back to
        (3, [1, 2, 3], "1 2 3 3>3", [2, 1]),  # a repair of what is live
        (4, [1, 2, 3, 4], "1 2 3 3>3 4", [3, 2, 1]),  # turns away from nothing
        (3, [3], "1 2 3", []),  # what is not kept cannot come back
        (3, [2, 3], "3", []),  # no event of 2: a deploy that was cut short
        (10, [2, 9, 10], "2 9 10", [9, 2]),  # by number, not by name
        (None, [1], "1", []),
    ],
)
def test_rollback_targets(live: int | None, kept: list[int], events: str, targets: list[int]) -> None:
    assert plan.rollback_targets(state(live, kept, events)) == tuple(rid(n) for n in targets)


def test_a_second_rollback_goes_one_further() -> None:
    assert plan.rollback_target(state(3, [1, 2, 3], "1 2 3"), None) == rid(2)
    assert plan.rollback_target(state(2, [1, 2, 3], "1 2 3 3>2"), None) == rid(1)


def test_a_release_that_was_turned_away_from_can_still_be_named() -> None:
    assert plan.rollback_target(state(2, [1, 2, 3], "1 2 3 3>2"), rid(3)) == rid(3)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (None, "no good release before the live one"),
        (7, "is not kept on this host"),
        (2, "failed its gates"),
    ],
)
def test_a_rollback_says_why_there_is_no_target(wanted: int | None, said: str) -> None:
    seen = state(3, [2, 3], "2! 3")
    with pytest.raises(DavitError, match=said) as error:
        plan.rollback_target(seen, None if wanted is None else rid(wanted))
    assert wanted == 2 or rid(3) in str(error.value), "it names what is kept"


@pytest.mark.parametrize(
    ("live", "last_good", "kept", "events", "keep", "removed"),
    [
        (5, 5, [1, 2, 3, 4, 5], "1 2 3 4 5", 2, [1, 2]),
        (5, 5, [1, 2, 3, 4, 5], "1 2 3 4 5", 0, [1, 2, 3]),  # one to go back to stays always
        (5, 5, [1, 2, 3, 4, 5], "1 2 3 4 5", 9, []),
        (5, 5, [1, 2, 3, 4, 5], "1! 2! 3! 4 5", 1, [1, 2]),  # the newest failure stays for a look
        (1, 1, [1, 2, 3], "1 2 3 3>2 2>1", 1, [2]),  # the live one is the oldest
        (2, 2, [1, 2, 3, 4, 5], "1 2 3 4 5 5>2", 3, []),  # too far back: 3 and 4 can still be gone to
        (2, 2, [1, 2, 3, 4, 5], "1 2 3 4 5 5>2", 2, [3]),  # older ones first, then the newest
        (2, 2, [1, 2, 3, 4, 5], "1 2 3 4 5 5>2", 1, [3, 4]),
        (2, 2, [1, 2, 3, 4, 5, 6], "1 2 3 4 5 5>2 6!", 3, [5]),  # turned away from, and no longer the newest of those
        (4, 4, [1, 2, 3, 4, 5], "1 2 3 4 5 5>2 2>4", 2, [2]),  # from there 4 was gone to
        (3, 1, [1, 2, 3], "1 2 3", 1, []),  # last good is no target, and stays
        (12, 12, [2, 10, 11, 12], "2 10 11 12", 1, [2, 10]),
        (None, None, [], "", 3, []),
    ],
)
def test_retention(
    live: int | None, last_good: int | None, kept: list[int], events: str, keep: int, removed: list[int]
) -> None:
    going = plan.to_remove(state(live, kept, events, last_good), keep)
    assert going == tuple(rid(n) for n in removed)


@pytest.mark.parametrize("keep", [0, 1, 2])
@pytest.mark.parametrize("live", range(1, 7))
@pytest.mark.parametrize("last_good", range(1, 7))
def test_retention_never_takes_live_or_last_good(live: int, last_good: int, keep: int) -> None:
    seen = state(live, list(range(1, 7)), "1 2 3! 4 5 6", last_good)
    going = plan.to_remove(seen, keep)
    assert not {rid(live), rid(last_good)} & set(going)
    assert not set(plan.rollback_targets(seen)[:1]) & set(going)


@pytest.mark.parametrize(
    ("kept", "events", "number"),
    [
        ([], "", 1),
        ([1, 2], "1 2", 3),
        ([1], "1 2! 3!", 4),  # failed and removed, but the number was used
        ([9], "1", 10),  # a release whose event was never written
        ([1, 2, 3], "1 2 3 3>1", 4),
    ],
)
def test_a_number_never_comes_again(kept: list[int], events: str, number: int) -> None:
    assert plan.next_sequence(state(None, kept, events)) == number


def test_ids_and_projects() -> None:
    assert rid(12) == "20260131-120000-0a1b2c3-12"
    assert plan.sequence_of(rid(12)) == 12
    assert plan.project_name("shop", rid(12)) == "shop-12-0a1b2c3"


@pytest.mark.parametrize("broken", ["", "12", "../20260131-120000-0a1b2c3-1", rid(1) + "\n", rid(1).upper()])
def test_malformed_ids_are_refused(broken: str) -> None:
    for use in (plan.sequence_of, lambda text: plan.project_name("shop", text)):
        with pytest.raises(DavitError, match="not a release id"):
            use(broken)


@pytest.mark.parametrize(
    ("count", "taken", "ports"),
    [
        (0, [], []),
        (2, [], [20000, 20001]),
        (2, [20000, 20001], [20002, 20003]),
        (1, [20000, 20005], [20006]),  # a port comes back as late as possible
        (3, [29998], [29999, 20000, 20001]),
        (2, [29999, 20000], [20001, 20002]),
        (1, [80, 443, 50000], [20000]),
    ],
)
def test_free_ports(count: int, taken: list[int], ports: list[int]) -> None:
    assert plan.free_ports(count, taken) == ports


def test_ports_run_out() -> None:
    taken = set(plan.PORTS) - {25000}
    assert plan.free_ports(1, taken) == [25000]
    with pytest.raises(DavitError, match="No 2 free loopback ports between 20000 and 29999"):
        plan.free_ports(2, taken)


def test_images_stay_while_a_release_needs_them() -> None:
    assert plan.images_to_remove([["a", "b"], ["c", "b"]], [["b", "d"]]) == ["a", "c"]


def test_an_event_is_read_from_its_line() -> None:
    line = {"sequence": 3, "action": "deploy", "release": rid(3), "result": "succeeded", "at": "2026-01-31"}
    assert Event.from_json(line) == Event(3, plan.DEPLOY, rid(3), None, plan.SUCCEEDED)


@pytest.mark.parametrize(
    ("live", "kept", "events", "projects", "busy", "stop", "remove"),
    [
        (3, [1, 2, 3], "1 2 3", {1: False, 2: True, 3: True}, [], [2], []),
        (2, [1, 2, 3], "1 2 3!", {1: False, 2: True, 3: True}, [], [], [3]),  # it failed
        (2, [1, 2, 3], "1 2 3!", {2: True, 3: False}, [], [], [3]),
        (2, [2, 3], "2", {2: True, 3: True}, [3], [], []),  # the candidate of a deploy under way
        (2, [2, 3], "2", {2: True, 3: True}, [], [], [3]),  # left by one that is gone
        (2, [2], "2", {2: True, 9: True}, [], [], [9]),  # no record knows it
        (2, [1, 2, 3], "1 2 3 3>2", {2: True, 3: True}, [], [], [3]),  # turned away from
        (1, [1, 2, 3], "1 2 3 3>1", {1: True, 2: True, 3: True}, [], [2], [3]),  # 2 stays, to be gone to
        (3, [2, 3], "2 3", {2: True, 3: True}, [2], [], []),  # a rollback to it is under way
        (None, [], "", {}, [], [], []),
    ],
)
def test_what_a_clean_up_stops_and_removes(
    live: int | None,
    kept: list[int],
    events: str,
    projects: dict[int, bool],
    busy: list[int],
    stop: list[int],
    remove: list[int],
) -> None:
    there = {plan.project_name("shop", rid(n)): runs for n, runs in projects.items()}
    what = plan.tidying("shop", state(live, kept, events, live), there, 3, {rid(n) for n in busy})
    assert what.stop == tuple(plan.project_name("shop", rid(n)) for n in stop)
    assert what.remove == tuple(plan.project_name("shop", rid(n)) for n in remove)
    assert what.forget == ()


def test_a_clean_up_never_touches_what_owns_data_nor_another_app() -> None:
    there = {"shop-stateful": True, "shop": True, "shop-2-stateful": True, "shopping-1-0a1b2c3": True}
    assert plan.tidying("shop", state(1, [1], "1", 1), there, 1) == plan.Tidying((), (), ())


def test_nothing_is_let_go_while_a_deploy_is_under_way() -> None:
    seen = state(5, [1, 2, 3, 4, 5], "1 2 3 4 5", 5)
    there = {plan.project_name("shop", rid(n)): False for n in (1, 2, 3, 4)} | {plan.project_name("shop", rid(5)): True}
    free = plan.tidying("shop", seen, there, 2)
    assert (free.forget, free.remove) == (
        (rid(1), rid(2)),
        (plan.project_name("shop", rid(1)), plan.project_name("shop", rid(2))),
    )
    assert plan.tidying("shop", seen, there, 2, {rid(6)}) == plan.Tidying((), (), ())
