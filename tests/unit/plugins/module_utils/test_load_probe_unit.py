"""The probe's unit: it is ended in any case, and what it was told to ask does not stay on the host."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import agent, load_probe, load_probe_unit, store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route

if TYPE_CHECKING:
    from ansible_collections.davit.ec2.plugins.module_utils.release import Release


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppLayout:
    monkeypatch.setattr(AppLayout, "probe", property(lambda _: tmp_path / "shop.json"))
    return AppLayout("shop", str(tmp_path))


def test_a_probe_that_has_not_written_yet_is_ended_as_well(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(load_probe_unit, "run", lambda argv, **_: ran.append(" ".join(argv)))
    assert load_probe_unit.stop(layout) == {}
    assert ran == ["systemctl stop davit-probe-shop.service"]


def test_what_the_probe_asks_is_gone_once_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(target: load_probe.Target, rate: float, out: Path, limit: float, stop: threading.Event) -> None:
        asked.append((target.headers, rate, out, limit, stop.is_set()))

    monkeypatch.setattr(load_probe, "run", run)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    target = tmp_path / "shop.target"
    store.write_json(target, load_probe.Target("http://127.0.0.1/", headers={"X-Key": "secret"}).to_json())
    assert agent.probe(str(tmp_path / "out"), "20", "60", str(target)) == 0
    assert asked == [({"X-Key": "secret"}, 20.0, tmp_path / "out", 60.0, False)]
    assert not target.exists()


@pytest.mark.parametrize(
    ("seen", "age", "holds", "pending"),
    [
        ({}, 0, True, False),
        ({"ended": True}, 0, False, True),
        ({}, 60, False, True),
        ({"failed_in_a_row": 2}, 0, True, False),
        ({"failed_in_a_row": 3}, 0, False, False),
    ],
)
def test_a_probe_that_fell_silent_is_no_evidence(
    layout: AppLayout, seen: dict[str, Any], age: float, holds: bool, pending: bool
) -> None:
    store.write_json(layout.probe, {"requests": 90, "failures": 0, "ended": False, **seen})
    os.utime(layout.probe, (time.time() - age,) * 2)
    look = load_probe_unit.look(layout, 3)
    assert look is not None
    assert (look.holds, look.pending, look.hopeless) == (holds, pending, seen.get("failed_in_a_row") == 3)


@pytest.mark.parametrize(("tls", "url"), [(False, "http://a.example/readyz"), (True, "https://a.example/readyz")])
def test_the_probe_asks_as_a_client_would(tls: bool, url: str) -> None:
    gate = {"http": [{"path": "/readyz", "readiness": True}]}
    endpoints = (Endpoint(Route("web", 80, ("a.example",)), 20000),)
    assert load_probe_unit.target_of(cast("Release", SimpleNamespace(endpoints=endpoints, gate=gate)), tls).url == url
