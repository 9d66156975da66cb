"""Which steps of a play are one deploy or rollback, and have a report of their own."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.plugin_utils import report
from ansible_collections.davit.ec2.plugins.plugin_utils.report import Step


def of(app: str, action: str, host: str = "web-1", drill: str = "") -> Step:
    return Step(host, f"davit.ec2.{action}", 0, 1, False, {}, app=app, drill=drill)


SHOP = [of("shop", "release_secrets"), of("shop", "release_preflight"), of("shop", "release_preflight", "web-2")]
DRILL = [
    of("shop", "release_secrets"),
    of("shop", "release_preflight", drill="slow"),
    of("shop", "release_start"),
    of("shop", "rollback"),
]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], []),
        (SHOP, [SHOP]),
        ([*SHOP, of("", "release_fetch")], [[*SHOP, of("", "release_fetch")]]),
        ([*SHOP, of("cart", "release_preflight")], [SHOP, [of("cart", "release_preflight")]]),
        ([*SHOP, *SHOP], [SHOP, SHOP]),
        ([*DRILL, *DRILL], []),
        ([*DRILL, *SHOP, *DRILL], [SHOP]),
    ],
    ids=["none", "a fleet", "a step that names no app", "two apps", "twice", "drills", "a deploy between drills"],
)
def test_each_deploy_is_a_run_of_its_own_and_drills_are_none(steps: list[Step], expected: list[list[Step]]) -> None:
    assert report.runs(steps) == expected
