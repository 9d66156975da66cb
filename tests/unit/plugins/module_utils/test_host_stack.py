# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a change of a host's own project needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_what_a_killed_run_has_written_is_taken_over_again() -> None:
    """The files are as they are wanted, and nobody knows who has read them."""
    change = host_stack.plan(OLD, OLD, running=True, applied=False)
    assert change.any
    assert change.services == ("grafana", "prometheus")
    assert host_stack.told(change, ["prometheus"]) == "started what is new, and what changed"


def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, dies: bool) -> Callable[[], dict[str, Any]]:
    """A stack on a real disk whose containers are always there, and whose reload dies, or does not."""
    monkeypatch.setattr(host_stack, "STAGES", tmp_path / "run")
    monkeypatch.setattr(host_stack, "ROUTES", tmp_path / "routes")
    stack = host_stack.Stack("m", str(tmp_path / "m"), {"services": {"web": {}}}, {"web/a.yml": "1"}, {})
    monkeypatch.setattr(stack, "_running", lambda: True)
    monkeypatch.setattr(stack.engine, "compose", lambda *_, **__: "")

    def reload(_url: str) -> None:
        if dies:
            raise KeyboardInterrupt

    monkeypatch.setattr(stack, "_reload", reload)
    return lambda: stack.run([], {"web": "http://x"}, [], 1, dry=False)


def test_a_run_that_dies_half_way_is_made_good_by_the_next_and_leaves_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        steps(monkeypatch, tmp_path, dies=True)()
    assert not (tmp_path / "run/m").exists()
    again = steps(monkeypatch, tmp_path, dies=False)
    assert again()["changed"]
    assert again() == {"changed": False, "action": "runs as it is wanted", "diff": again()["diff"]}
