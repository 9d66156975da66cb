"""What most hosts of a fleet have live, which is what a host that joins gets; and what is told of an adoption and of a
rollback."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.rollout import (
    adoption_line,
    fleet_live,
    rollback_left,
    rollback_line,
)

NOTHING: dict[str, Any] = {"version": "", "digests": {}}


def host(version: str, **images: str) -> dict[str, Any]:
    told = {"live": f"release-of-{version}", "version": version, "images": images}
    return {"__compose_release_peer": {"failed": False, "apps": {"shop": told}}}


V1 = host("v1", web="ghcr.io/shop:v1@sha256:1", db="postgres:17@sha256:9")
V2 = host("v2", web="ghcr.io/shop:v2@sha256:2")
MOVED = host("v2", web="ghcr.io/shop:v2@sha256:3")
NEW = {"__compose_release_peer": {"apps": {"shop": {"live": "", "problems": []}}}}
DAMAGED = {"__compose_release_peer": {"apps": {"shop": {"live": "some", "problems": ["its record is damaged"]}}}}
NOT_ASKED = {"__compose_release_peer": {"skipped": True, "changed": False}}
FAILED = {"__compose_release_peer": {"failed": True, "msg": "no"}}


def of_v1() -> dict[str, Any]:
    return {"version": "v1", "digests": {"ghcr.io/shop:v1": "sha256:1", "postgres:17": "sha256:9"}}


def of_v2(digest: str = "sha256:2") -> dict[str, Any]:
    return {"version": "v2", "digests": {"ghcr.io/shop:v2": digest}}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([V1, V1, NEW], of_v1()),
        ([NEW, V1], of_v1()),
        ([V1, V2, V2], of_v2()),
        ([V1, V2], of_v1()),
        ([MOVED, V2, V2], of_v2()),
        ([MOVED, V2], of_v2("sha256:3")),
        ([FAILED, DAMAGED, NEW, V2], of_v2()),
        ([NEW, NEW], NOTHING),
        ([NOT_ASKED, NOT_ASKED], NOTHING),
        ([{}, FAILED], NOTHING),
    ],
)
def test_a_fleet_has_live_what_most_hosts_have(hosts: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    hostvars = {f"host-{number}": told for number, told in enumerate(hosts)}
    assert fleet_live(hostvars, list(hostvars), "shop") == expected


def test_another_app_is_not_asked() -> None:
    assert fleet_live({"a": V1}, ["a"], "stock") == NOTHING


@pytest.mark.parametrize(
    ("done", "wanted", "said"),
    [
        ({}, {}, ""),
        (
            {},
            {"project": "shop", "volumes": {"data": "shop_data"}},
            "would take over the stack 'shop' with the data in shop_data",
        ),
        ({"project": "shop", "volumes": {}, "gap_seconds": 6.1}, {"project": "shop"}, "nothing answered for 6.1 s"),
        ({"project": "shop", "volumes": {}}, {}, "the gap was not measured"),
    ],
)
def test_what_is_taken_over_is_told(done: dict[str, Any], wanted: dict[str, Any], said: str) -> None:
    line = adoption_line(done, wanted)
    assert said in line
    assert bool(line) == bool(said)


RETURNED = {"project": "shop", "returned": True}


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ({"live": "r1", "changed": True}, "r1 is live again."),
        ({"live": "r1", "changed": False}, "r1 is live already; nothing changed."),
        ({"live": "r1", "changed": True, "stopped": "deploy v2 by bob"}, "stopped deploy v2 by bob; r1 is live again."),
        (
            {"live": "", "changed": True, "stopped": "deploy v1 by bob", "ended": {"adopted": RETURNED}},
            "stopped deploy v1 by bob; the stack 'shop', which ran before, was started again.",
        ),
        (
            {"live": "", "changed": True, "ended": {"result": "failed", "adopted": {**RETURNED, "returned": False}}},
            "nothing is live.",
        ),
        ({"live": "", "changed": True, "stopped": "deploy v1", "ended": {}}, "stopped deploy v1; no release is live."),
    ],
)
def test_what_a_rollback_led_to_is_told(done: dict[str, Any], said: str) -> None:
    assert rollback_line(done) == said


STOPPED = "deploy v3 by alice"


@pytest.mark.parametrize(
    ("done", "version", "release"),
    [
        ({"live": "r1", "changes": {"against": "r2", "version": ["v2", "v1"]}}, "v2", "r2"),
        ({"live": "r1", "changes": {"against": "r2", "version": ["v2", "v1"]}, "stopped": STOPPED}, "v2", "r2"),
        ({"live": "r1", "changes": {"against": "r2", "unknown": ["all"]}}, "", "r2"),
        ({"live": "r1", "changes": {}, "stopped": STOPPED, "ended": {"release": "r3"}}, STOPPED, ""),
        ({"live": "r1", "changes": {}, "stopped": ""}, "", ""),
    ],
)
def test_what_a_rollback_has_left_is_not_what_is_live_after_it(
    done: dict[str, Any], version: str, release: str
) -> None:
    assert rollback_left(done) == {"version": version, "release": release}
