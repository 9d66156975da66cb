"""What happens to a release among users: the soak, the way back out of it, a canary; each under load."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.e2e.support.app import App
from tests.e2e.support.host import Host

SOAK = 5
SALT = uuid.uuid4().hex[:6]
"""Bad content is remembered by a host, also beyond a run of the tests."""


@pytest.fixture(scope="module")
def app(host: Host) -> Iterator[App]:
    """A stack of one web service, with a first release."""
    made = App(host, "rollout", "rollout", {"compose_release_soak_seconds": SOAK})
    made.deployed(compose_release_soak_seconds=0)
    made.await_rest()
    yield made
    assert made.journal() == {}


def test_the_old_release_stays_warm_during_the_soak_and_is_stopped_after_it(app: App) -> None:
    old = app.live()
    with app.load() as load:
        with app.start_deploy() as controller:
            new = app.await_soak()
            assert app.running() == {app.project(old), app.project(new)}
            assert app.ask("/readyz").release == new
            result = controller.wait()
        assert result.rc == 0, str(result)
        app.await_rest()
    assert load.lost == {}
    assert set(load.releases) == {old, new}
    verdict = app.verdict(new)
    assert {part: verdict[part]["verdict"] for part in ("gate", "soak")} == {"gate": "pass", "soak": "pass"}
    assert verdict["soak"]["seconds"] >= SOAK
    assert "traffic through the edge" in {check["name"] for check in verdict["soak"]["checks"]}
    probe = app.history()[-1]["probe"]
    assert probe["failures"] == 0
    assert probe["requests"] >= 10 * SOAK, probe
    assert 0 < probe["p50_ms"] <= probe["p95_ms"] <= probe["p99_ms"]
    assert f"{probe['requests']} requests, 0 failed, p50/p95/p99" in result.output, str(result)
    assert f"A rollback would bring back {old}" in result.output, str(result)


@pytest.mark.parametrize(
    ("fault", "path", "cause"),
    [
        ("WRONG_AFTER", "/whoami", "in the soak, the answer is right: answer is 54 instead of 42"),
        # The edge repeats also what a release that cannot serve yet, or no longer, answers itself.
        ("LOADS_AFTER", "/whoami", "in the soak, .*: status 503 instead of 200"),
        # Requests that are in flight when the process dies: the edge repeats them on the old release.
        # What serves is started again by the engine, so that it is seen either before or after that.
        ("DIES_AFTER", "/sleep?seconds=0.2", "in the soak, container web: (exited with code 9|restarted 1 times)"),
    ],
)
def test_a_release_that_goes_bad_among_users_is_taken_back(app: App, fault: str, path: str, cause: str) -> None:
    old = app.live()
    started = app.started(old)
    bad = app.variables(environment={"LABEL": SALT + fault, fault: "2"})
    with app.load(path) as load:
        result = app.host.deploy(**{**bad, "compose_release_soak_seconds": 60})
        assert result.rc != 0
        app.await_rest()
    assert load.lost == {}
    assert re.search(cause, result.output), str(result)
    line = app.history()[-1]
    assert (line["result"], line["previous"]) == ("rolled back", old), line
    assert line["release"] in load.releases, "it has to have had traffic"
    assert line["probe"]["failures"] == 0, line
    soak = app.verdict(line["release"])["soak"]
    assert soak["verdict"] == "fail"
    assert soak["seconds"] < 30, "it has to end with the breach, not with the soak"
    assert (app.live(), app.ask("/readyz").release) == (old, old)
    assert app.started(old) == started, "the old release was stopped in between"
    again = app.host.deploy(**bad)
    assert again.rc != 0
    assert "compose_release_force=true" in again.output, str(again)
    assert app.live() == old


def test_bad_content_is_tried_again_when_forced(app: App) -> None:
    old = app.live()
    forced = app.variables(
        environment={"LABEL": SALT + "WRONG_AFTER", "WRONG_AFTER": "2"},
        compose_release_soak_seconds=30,
        compose_release_force=True,
    )
    with app.load() as load:
        result = app.host.deploy(**forced)
        app.await_rest()
    assert result.rc != 0
    assert app.history()[-1]["result"] == "rolled back", str(result)
    assert load.lost == {}
    assert app.live() == old


def test_a_large_body_passes_during_the_soak_its_length_told_or_not(app: App) -> None:
    body = bytes(range(256)) * 16384
    with app.load() as load:
        with app.start_deploy(compose_release_soak_seconds=2 * SOAK) as controller:
            new = app.await_soak()
            answers = [app.upload(body, chunked=chunked) for chunked in (False, True)]
            assert app.journal().get("phase") == "soak", "it took longer than the soak"
            result = controller.wait()
        assert result.rc == 0, str(result)
    for answer in answers:
        assert (answer.status, answer.release) == (200, new)
        assert answer.json() == app.receipt(body)
    assert load.lost == {}


def test_a_person_stops_a_deploy_in_its_soak_at_once(app: App) -> None:
    app.await_rest()
    old = app.live()
    started = app.started(old)
    with app.load() as load:
        with app.start_deploy(compose_release_soak_seconds=120) as controller:
            new = app.await_soak()
            begin = time.monotonic()
            back = app.rollback(compose_release_created_by="carol", compose_release_rollback_cause="wrong prices")
            took = time.monotonic() - begin
            stopped = controller.wait(30)
        app.await_rest()
    assert back.rc == 0, str(back)
    assert took < 40, f"{took:.0f} s; it did not wait for the end of the soak, but for something"
    assert old in back.output, str(back)
    assert stopped.rc != 0
    assert "stopped by carol@" in stopped.output, str(stopped)
    assert "wrong prices" in stopped.output, str(stopped)
    line = app.history()[-1]
    assert (line["result"], line["release"]) == ("rolled back", new), line
    assert load.lost == {}
    assert (app.live(), app.ask("/readyz").release) == (old, old)
    assert app.started(old) == started


CANARY = [{"weight": 10, "seconds": 4}, {"weight": 50, "seconds": 4}]


def test_a_canary_gets_its_share_and_then_all(app: App) -> None:
    app.await_rest()
    with app.load() as load:
        new = app.deployed(compose_release_version="v2", compose_release_canary=CANARY)
    assert load.lost == {}
    for weight, low, high in ((10, 5, 18), (50, 40, 60)):
        asked = {version: load.canary[f"{new};{weight}", version] for version in ("v1", "v2")}
        assert sum(asked.values()) >= 100, load.canary
        assert low <= 100 * asked["v2"] / sum(asked.values()) <= high, asked
    verdict = app.verdict(new)
    steps = ("gate", "canary 10 %", "canary 50 %", "soak")
    assert [verdict[step]["verdict"] for step in steps] == ["pass"] * 4, verdict


def test_a_canary_that_dies_goes_back_and_nothing_is_lost(app: App) -> None:
    app.await_rest()
    old = app.live()
    with app.load("/sleep?seconds=0.2") as load:
        result = app.deploy(environment={"DIES_AFTER": "1"}, compose_release_canary=[{"weight": 50, "seconds": 20}])
        app.await_rest()
    assert result.rc != 0
    assert "exited with code 9" in result.output, str(result)
    assert load.lost == {}
    assert set(load.releases) == {old}
    assert sum(load.canary.values()) > 10
    assert app.history()[-1]["result"] in ("failed", "rolled back")
    assert app.ask("/readyz").release == old
