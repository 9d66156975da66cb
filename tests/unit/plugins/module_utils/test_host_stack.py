# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a change of a host's own project needs."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import host_stack
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

OLD = {"compose.yaml": "c1", "prometheus/rules/a.yml": "r1", "grafana/x.json": "g1"}


@pytest.mark.parametrize(
    ("wanted", "running", "action"),
    [
        (OLD, True, "runs as it is wanted"),
        (OLD, False, "started what is new, and what changed"),
        ({**OLD, "compose.yaml": "c2"}, True, "started what is new, and what changed"),
        ({**OLD, "prometheus/rules/a.yml": "r2"}, True, "reloaded prometheus"),
        ({**OLD, "prometheus/rules/b.yml": "new"}, True, "reloaded prometheus"),
        ({k: v for k, v in OLD.items() if "rules" not in k}, True, "reloaded prometheus"),
        ({**OLD, "grafana/x.json": "g2"}, True, "restarted grafana"),
        (
            {**OLD, "grafana/x.json": "g2", "prometheus/rules/a.yml": "r2"},
            True,
            "reloaded prometheus; restarted grafana",
        ),
    ],
)
def test_only_what_changed_is_touched(wanted: dict[str, str], running: bool, action: str) -> None:
    change = host_stack.plan(wanted, OLD, running=running)
    assert host_stack.told(change, ["prometheus"]) == action
    assert change.any == (action != "runs as it is wanted")


def test_what_is_there_and_not_wanted_goes() -> None:
    change = host_stack.plan({"compose.yaml": "c1"}, OLD, running=True)
    assert change.removed == ("grafana/x.json", "prometheus/rules/a.yml")
    assert change.services == ("grafana", "prometheus")


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b", "compose.yaml", "loose.yml"])
def test_no_file_lies_outside_of_a_service_folder(name: str) -> None:
    with pytest.raises(DavitError, match="does not belong"):
        host_stack.refuse_paths({name: ""})
