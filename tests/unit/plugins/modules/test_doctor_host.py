"""What the inventory says and what status.yml finds, on a host that is well else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import capacity, doctor_look, status
from ansible_collections.davit.ec2.plugins.modules import doctor_host
from tests.unit.support.host import APP, release

NO_ROOM, NOT_WELL = "there is no room for two copies", f"the app {APP} is not as it should be"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a host on whose 1000 MB an app is live that may use 1001."""
    (tmp_path / "apps" / APP).mkdir(parents=True)
    seen: dict[str, Any] = {
        "_said": "28.0.0",
        "_engine_place": "/",
        "_live": {APP: release(1)},
        "_needs": 1001,
        "_listeners": {},
        "_firewall": ([], ""),
        "_certificates": {},
        "_acme_errors": {},
    }
    for name, told in seen.items():
        monkeypatch.setattr(doctor_look, name, lambda *_, told=told: told)
    monkeypatch.setattr(capacity, "available_memory_mb", lambda: 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=1 << 40, free=1 << 39))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("given", "problems", "what"),
    [
        ({}, [], [NO_ROOM]),
        ({"app": APP, "memory_mb": 500}, [], []),
        ({"app": APP, "stop_first": True}, [], []),
        ({"app": APP, "stop_first": True}, ["the edge does not answer"], [NOT_WELL]),
        ({"app": "another"}, ["the edge does not answer"], [NOT_WELL]),
    ],
)
def test_what_is_found(
    root: str, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], problems: list[str], what: list[str]
) -> None:
    monkeypatch.setattr(status, "describe", lambda *_: {"problems": problems})
    params = {name: argument.get("default") for name, argument in doctor_host.ARGUMENTS.items()}
    module: Any = SimpleNamespace(params={**params, "root": root, **given})
    assert [one["what"] for one in doctor_host.work(module)["findings"]] == what
