"""Which snapshots go: never the newest of a host, and none of another one's."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.snapshots import snapshots_to_remove


def taken(number: int, host: str = "shop-1", **more: Any) -> dict[str, Any]:
    at = f"2026-01-{number:02}T03:00:00+00:00"
    return {"snapshot_id": f"snap-{number}", "start_time": at, "tags": {"davit_host": host}, **more}


@pytest.mark.parametrize(
    ("keep", "gone"), [(1, ["snap-1", "snap-2"]), (2, ["snap-1"]), (3, []), (9, []), (0, ["snap-1", "snap-2"])]
)
def test_the_newest_stay(keep: int, gone: list[str]) -> None:
    assert snapshots_to_remove([taken(3), taken(1), taken(2)], keep) == gone


def test_each_host_has_its_own_number() -> None:
    assert snapshots_to_remove([taken(1), taken(2, "shop-2"), taken(3), taken(4, "shop-2")], 1) == ["snap-1", "snap-2"]


def test_those_before_a_deploy_do_not_push_out_what_the_schedule_took() -> None:
    before = {"davit_host": "shop-1", "davit_snapshot": "before shop v2"}
    nightly = {"davit_host": "shop-1", "davit_snapshot": "scheduled"}
    all_of_them = [taken(1, tags=nightly), taken(2, tags=before), taken(3, tags=before), taken(4, tags=before)]
    assert snapshots_to_remove(all_of_them, 1) == ["snap-2", "snap-3"]


def test_what_has_no_host_is_not_touched() -> None:
    assert snapshots_to_remove([taken(1, tags={}), taken(2, tags=None)], 1) == []
