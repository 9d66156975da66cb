"""The table of all hosts: a row for each app, and under it what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter import status

OLD, NEW = "20260130-090000-ffeedd0-11", "20260131-120000-0a1b2c3-12"
GOOD: dict[str, Any] = {
    "live": NEW,
    "version": "v2",
    "since": "2026-01-31T12:00:09+00:00",
    "can_return_to": [OLD],
    "running": True,
    "under_way": "",
    "last": {"action": "deploy", "result": "succeeded"},
    "problems": [],
}


def shown(**hosts: Any) -> list[str]:
    return status.table(status.hosts({name: {"__status": told} for name, told in hosts.items()}, list(hosts)))


def test_a_row_for_each_app_in_equal_columns() -> None:
    lines = shown(web1={"apps": {"shop": GOOD, "a": {**GOOD, "version": "1.0.0"}}})
    assert lines[0].split("  ")[0] == "host"
    assert lines[2] == f"web1  shop  v2       {NEW}  2026-01-31 12:00  deploy succeeded  free  {OLD}"
    assert lines[3].split()[:3] == ["web1", "a", "1.0.0"]
    assert len({line.index(OLD) for line in lines[2:4]}) == 1
    assert lines[-2:] == ["", "No problems found."]


def test_nothing_live_and_nothing_deployed() -> None:
    lines = shown(web1={"apps": {}}, web2={"apps": {"shop": {"live": "", "last": {}, "can_return_to": []}}})
    assert lines[2].split() == ["web1", "none", *"------"]
    assert lines[3].split() == ["web2", "shop", "-", "nothing", "-", "-", "free", "nothing"]
    assert lines[-1] == status.FINE


@pytest.mark.parametrize(
    ("change", "row", "note"),
    [
        ({"problems": ["the edge serves 'x'"]}, "", "the edge serves 'x'"),
        (
            {"under_way": "deploy v3 by alice@laptop, phase gate, since 12:00; its lease ends in 20 s"},
            "deploy v3 by alice@laptop, phase gate  ",
            "its lease ends in 20 s",
        ),
        (
            {"last": {"action": "deploy", "result": "rolled back", "cause": "slow"}},
            "deploy rolled back",
            "the last deploy rolled back: slow",
        ),
        ({"can_return_to": [OLD, "b", "c"]}, f"{OLD} and 2 more", "No problems found."),
    ],
    ids=["a problem", "a lock", "a failure", "several to go back to"],
)
def test_what_a_person_has_to_know(change: dict[str, Any], row: str, note: str) -> None:
    lines = shown(web1={"apps": {"shop": {**GOOD, **change}}})
    assert row in lines[2]
    assert note in lines[-1]


@pytest.mark.parametrize(
    ("told", "note"),
    [
        ({"unreachable": True, "msg": "timed out"}, "web1: it cannot be reached: timed out"),
        ({"failed": True, "msg": "no engine"}, "web1: no engine"),
        ({}, "web1: it told nothing"),
    ],
)
def test_a_host_that_tells_nothing_is_in_the_table(told: dict[str, Any], note: str) -> None:
    lines = shown(web1=told, web2={"apps": {"shop": GOOD}})
    assert lines[2].split() == ["web1", *"???????"]
    assert lines[3].startswith("web2")
    assert lines[-1] == note


def test_nothing_that_a_terminal_obeys_and_no_further_line() -> None:
    lines = shown(web1={"apps": {"shop": {**GOOD, "version": "v\x1b[31m2\nx", "problems": ["a\nb\x07"]}}})
    assert len(lines) == 5
    assert not any("\x1b" in line or "\n" in line or "\x07" in line for line in lines)
