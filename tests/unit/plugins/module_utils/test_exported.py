"""What monitoring is told of an app follows from its records, and its absence harms nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import exported, store
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.exported import Seen
from ansible_collections.davit.ec2.plugins.module_utils.journal import Journal
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route
from tests.unit.support.host import release, rid

METRICS = {"path": "/metrics", "service": ""}
LIVE, TRIAL = release(1, metrics=METRICS), release(2, version='v"2\\', metrics={**METRICS, "path": "/m"})
STARTED, ENDED = "2026-01-31T12:00:00+00:00", "2026-01-31T12:00:20+00:00"
GOOD: dict[str, Any] = {
    "action": "deploy",
    "release": rid(1),
    "result": "succeeded",
    "deploy": STARTED,
    "at": ENDED,
    "probe": {"requests": 90, "failures": 2, "longest_gap_ms": 250},
}
IDLE = Seen("shop", LIVE, None, None, (GOOD,), 1)


def journal_in(phase: str) -> Journal:
    return Journal("t", "ann", "deploy v2", "deploy", 60, "", 0, STARTED, "", phase=phase, release=rid(2))


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (IDLE, f'davit_release_info{{app="shop",release="{rid(1)}",version="v1"}} 1'),
        (IDLE, 'davit_release_live_since_timestamp_seconds{app="shop"} 1769860820'),
        (IDLE, 'davit_releases_running{app="shop"} 1'),
        (IDLE, 'davit_deploy_in_progress{app="shop"} 0'),
        (IDLE, 'davit_deploy_last_result{app="shop",action="deploy",result="succeeded"} 1'),
        (IDLE, 'davit_deploy_last_duration_seconds{app="shop"} 20'),
        (IDLE, 'davit_deploy_probe_failures{app="shop"} 2'),
        (IDLE, 'davit_deploy_probe_longest_gap_seconds{app="shop"} 0.25'),
        (replace(IDLE, under_way=journal_in("soak")), 'davit_deploy_in_progress{app="shop"} 1'),
        (
            replace(IDLE, under_way=journal_in("soak")),
            'davit_deploy_started_timestamp_seconds{app="shop"} 1769860800',
        ),
        (
            replace(IDLE, history=(GOOD, {**GOOD, "result": "rolled back", "probe": {}}, GOOD)),
            'davit_rolled_back_timestamp_seconds{app="shop"} 1769860820',
        ),
        (
            replace(IDLE, history=({**GOOD, "action": "rollback"},)),
            'davit_rolled_back_timestamp_seconds{app="shop"} 1769860820',
        ),
        (
            replace(IDLE, live=TRIAL),
            f'davit_release_info{{app="shop",release="{rid(2)}",version="v\\"2\\\\"}} 1',
        ),
    ],
)
def test_the_records_become_metrics(seen: Seen, line: str) -> None:
    assert line in exported.metrics(seen).splitlines()


def test_what_is_not_known_is_left_out() -> None:
    told = exported.metrics(Seen("shop", None, None, None, (), 0))
    names = {line.partition("{")[0] for line in told.splitlines() if not line.startswith("#")}
    assert names == {"davit_releases_running", "davit_deploy_in_progress"}
    assert "rolled_back" not in exported.metrics(IDLE)


def test_each_metric_is_described_once() -> None:
    lines = exported.metrics(replace(IDLE, under_way=journal_in("gate"))).splitlines()
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == len({line.partition("{")[0] for line in lines if line[0] != "#"})


def test_prometheus_is_sent_to_the_live_and_to_the_tried_release() -> None:
    labels = {"app": "shop", "service": "web"}
    assert exported.targets(replace(IDLE, trial=TRIAL)) == [
        {
            "targets": ["127.0.0.1:20001"],
            "labels": {**labels, "release": rid(1), "version": "v1", "role": "live", "__metrics_path__": "/metrics"},
        },
        {
            "targets": ["127.0.0.1:20002"],
            "labels": {
                **labels,
                "release": rid(2),
                "version": TRIAL.version,
                "role": "candidate",
                "__metrics_path__": "/m",
            },
        },
    ]


def test_an_app_without_metrics_has_no_targets() -> None:
    assert exported.targets(replace(IDLE, live=release(1))) == []


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((), []),
        ((("b.example.org", "a.example.org"), ()), [{"targets": ["a.example.org", "b.example.org"]}]),
        ((("a.example.org",), ("a.example.org",)), [{"targets": ["a.example.org"]}]),
    ],
)
def test_prometheus_knows_the_names_of_the_live_routes(hosts: Any, expected: Any) -> None:
    endpoints = tuple(Endpoint(Route("web", 80, names), 20001) for names in hosts)
    live = replace(LIVE, endpoints=endpoints)
    assert exported.names(replace(IDLE, live=live, trial=TRIAL)) == expected
    assert exported.names(replace(IDLE, live=None)) == []


class FakeEngine:
    """Knows which projects run, or does not answer."""

    def __init__(self, *, away: bool = False) -> None:
        self._away = away

    def projects(self, app: str) -> dict[str, bool]:
        if self._away:
            raise DavitError("no engine")
        return {f"{app}-1": True, f"{app}-2": False}


@pytest.fixture
def layout(tmp_path: Path) -> AppLayout:
    """An app with a live release and one in its gate."""
    made = AppLayout("shop", str(tmp_path / "davit"))
    for known in (LIVE, TRIAL):
        store.make_private(made.release(known.id))
        store.write_json(made.release(known.id) / store.RECORD, known.to_json())
    store.point(made.live, made.release(LIVE.id))
    store.append_history(made, GOOD)
    return made


@pytest.mark.parametrize(("phase", "roles"), [("start", ["live"]), ("gate", ["live", "candidate"])])
def test_a_candidate_is_a_target_once_it_has_started(layout: AppLayout, phase: str, roles: list[str]) -> None:
    store.write_json(layout.journal, vars(journal_in(phase)))
    exported.refresh(layout, FakeEngine())  # type: ignore[arg-type]
    assert [entry["labels"]["role"] for entry in json.loads(layout.targets.read_text())] == roles
    assert 'davit_deploy_in_progress{app="shop"} 1' in layout.metrics.read_text()


def test_other_users_may_read_what_is_public_and_nothing_else(layout: AppLayout) -> None:
    exported.refresh(layout, FakeEngine())  # type: ignore[arg-type]
    for path in (layout.metrics, layout.targets, layout.names):
        assert path.stat().st_mode & 0o777 == 0o644
        assert path.parent.stat().st_mode & 0o777 == 0o755
    assert layout.home.stat().st_mode & 0o777 == 0o700


def test_an_engine_that_does_not_answer_fails_no_deploy(layout: AppLayout) -> None:
    exported.refresh(layout, FakeEngine(away=True))  # type: ignore[arg-type]
    assert not layout.metrics.exists()
