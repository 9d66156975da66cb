# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The whole gate over a release: what its end, and the live release beside it, may do to the verdict."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import candidate
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Container, HttpCheck
from tests.unit.support.host import release

QUESTION = {"request": {"path": "/ask"}, "expected": {"json": {"right": True}}}
GATE = {"stable_seconds": 0, "successes": 1, "interval": 0.01, "timeout": 30}


class Fake:
    """An engine whose only container ends after so many looks."""

    def __init__(self, looks: int = 10_000) -> None:
        self.left = looks

    def containers(self, _project: str) -> list[Container]:
        self.left -= 1
        status = "running" if self.left > 0 else "exited"
        return [Container("c", "c", "web", status, exit_code=0 if self.left > 0 else 3)]

    def logs(self, *_: Any) -> list[str]:
        return []


def answer(_gate: object, check: HttpCheck) -> Answer:
    if check.url.endswith("/metrics"):
        return Answer(status=503)
    return Answer(status=200, body=b'{"right": true}')


def test_a_process_that_ends_while_metrics_are_awaited_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "ask", answer)
    wanted = release(2, gate={**GATE, "metrics": [{"metric": "late", "max": 1}]})
    begin = time.monotonic()
    verdict = candidate.judge(wanted, cast(Engine, Fake(looks=2)))
    assert (verdict["verdict"], verdict["cause"]) == ("fail", "container web: exited with code 3")
    assert time.monotonic() - begin < 2


def test_a_metric_of_a_service_that_is_new_is_none_of_the_live_release_s_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deploy that adds a routed service must not be refused for a route that the live release lacks."""
    told = {"/metrics": b"up 0\n", "/ask": b'{"right": true}'}
    monkeypatch.setattr(candidate, "ask", lambda _g, check: Answer(200, told.get("/" + check.url.split("/")[3], b"")))
    metric = {"metric": "up", "max": 1, "service": "web"}
    wanted = release(2, gate={**GATE, "golden": {"questions": [QUESTION], "max_drop": 0.1}, "metrics": [metric]})
    former = tuple(replace(e, route=replace(e.route, service="former")) for e in release(1).endpoints)
    verdict = candidate.judge(wanted, cast(Engine, Fake()), live=release(1, endpoints=former))
    assert (verdict["verdict"], verdict["cause"]) == ("pass", "")
    assert [check["name"] for check in verdict["checks"]][-2:] == ["golden set, against the live release", "up"]


@pytest.mark.parametrize("kind", ["golden", "shadow"])
def test_a_service_that_the_live_release_does_not_have_is_judged_alone(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(candidate, "ask", answer)
    asks: dict[str, dict[str, Any]] = {
        "golden": {"questions": [QUESTION], "max_drop": 0.1},
        "shadow": {"field": "q", "request": {"path": "/$QUERY"}, "min_overlap": 1},
    }
    wanted = release(2, gate={**GATE, kind: {**asks[kind], "service": "web"}})
    former = tuple(replace(e, route=replace(e.route, service="former")) for e in release(1).endpoints)
    verdict = candidate.judge(wanted, cast(Engine, Fake()), live=release(1, endpoints=former))
    assert verdict["verdict"] == "pass"
    assert verdict["checks"][-1]["observed"] == "nothing to compare with: the live release has no route to web"
