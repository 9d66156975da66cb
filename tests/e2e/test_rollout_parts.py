"""What a release is made of beside its web service: workers, migrations, room; and releases that end by themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.support.app import GATE, App
from tests.e2e.support.fleet import ec2_client
from tests.e2e.support.host import Host
from tests.e2e.support.wait import until


@pytest.fixture(scope="module")
def queue(host: Host) -> Iterator[App]:
    """A stack with a worker, two jobs and a database, and its first release."""
    made = App(host, "queue", "queue", {"compose_release_stateful": ["db"]})
    made.deployed(environment={"LABEL": "first"})
    made.await_rest()
    yield made
    assert made.journal() == {}


@pytest.fixture(scope="module")
def web(host: Host) -> Iterator[App]:
    """A stack of one web service, with its first release."""
    made = App(host, "parts", "rollout")
    made.deployed()
    made.await_rest()
    yield made
    assert made.journal() == {}


def database(app: App, path: str) -> Any:
    """What the database answers, asked by the release that serves."""
    return app.ask(f"/call?url=http://db:5000{path}").json()["answer"]


def migrations(app: App) -> int:
    return runs(app, "migration")


def runs(app: App, job: str) -> int:
    return len([key for key in database(app, "/keys")["keys"] if key.startswith(f"{job}-")])


def test_a_worker_never_runs_twice_whatever_becomes_of_a_deploy(queue: App) -> None:
    assert database(queue, "/work") == {"now": ["first"], "begun": ["first"], "most": 1}
    with queue.load() as load:
        queue.deployed(environment={"LABEL": "second"})
        until(lambda: database(queue, "/work")["now"] == ["second"], 10)
        failed = queue.deploy(environment={"LABEL": "never", "EXITS_AFTER": "1"})
        assert failed.rc != 0
        assert database(queue, "/work")["now"] == ["second"]
        breached = queue.deploy(environment={"LABEL": "bad", "WRONG_AFTER": "1"}, compose_release_soak_seconds=20)
        assert breached.rc != 0
        until(lambda: database(queue, "/work")["now"] == ["second"], 10)
        back = queue.rollback()
        assert back.rc == 0, str(back)
        until(lambda: database(queue, "/work")["now"] == ["first"], 10)
    assert load.lost == {}
    told = database(queue, "/work")
    assert told["most"] == 1, told
    assert told["begun"] == ["first", "second", "bad", "second", "first"]


def test_a_worker_that_may_run_beside_its_successor_does(queue: App) -> None:
    queue.deployed(environment={"LABEL": "beside"}, compose_release_parallel=["worker"])
    queue.await_rest()
    with queue.load() as load:
        queue.deployed(environment={"LABEL": "besides"}, compose_release_parallel=["worker"])
        queue.await_rest()
    assert load.lost == {}
    told = database(queue, "/work")
    assert (told["now"], told["most"]) == (["besides"], 2), told


def test_a_migration_that_fails_stops_the_deploy_before_its_candidate(queue: App) -> None:
    live, ran = queue.live(), migrations(queue)
    with queue.load() as load:
        result = queue.deploy(environment={"MIGRATION_FAILS": "1"})
    assert result.rc != 0
    for word in ("The job 'migrate' failed, so the release was not started", "the column 'price' exists already"):
        assert word in result.output, str(result)
    assert load.lost == {}
    assert set(load.releases) == {live}
    assert (queue.live(), migrations(queue)) == (live, ran)
    assert queue.running() == {queue.project(live)}


def test_a_job_runs_after_the_one_that_it_waits_for(queue: App) -> None:
    """Its own name comes first in the alphabet, and it fails without what the other has written in the same deploy."""
    ran = runs(queue, "backfill")
    made = queue.deployed()
    assert (runs(queue, "backfill"), migrations(queue)) == (ran + 1, ran + 1)
    record = json.loads(queue.host.shell(f"cat {queue.home}/releases/{made}/release.json"))
    assert record["jobs"] == ["migrate", "backfill"]


def test_a_deploy_migrates_once_and_a_rollback_not_at_all(queue: App) -> None:
    ran = migrations(queue)
    queue.deployed()
    assert migrations(queue) == ran + 1
    result = queue.rollback()
    assert result.rc == 0, str(result)
    assert migrations(queue) == ran + 1


def test_the_data_is_kept_before_a_migration_or_there_is_none(queue: App) -> None:
    fleet, live, ran = queue.host.fleet, queue.live(), migrations(queue)
    with queue.load() as load:
        denied = queue.deploy(compose_release_snapshot_before_jobs=True, ec2_instance_fleet="another")
    assert denied.rc != 0
    for word in ("failed in the snapshot before the jobs", "The fleet 'another' has no instance"):
        assert word in denied.output, str(denied)
    assert (load.lost, set(load.releases), migrations(queue), fleet.snapshots()) == ({}, {live}, ran, {})
    queue.deployed(compose_release_snapshot_before_jobs=True)
    (snapshot,) = fleet.snapshots()
    assert fleet.snapshots() == {snapshot: "before queue v1"}
    assert migrations(queue) == ran + 1
    ec2_client().delete_snapshot(SnapshotId=snapshot)


def test_a_host_for_one_copy_has_a_gap_and_says_how_long(web: App) -> None:
    old = web.live()
    with web.load() as load:
        result = web.deploy(compose_release_stop_first=True)
        assert result.rc == 0, str(result)
        new = web.live()
    probe = web.history()[-1]["probe"]
    assert probe["failures"] > 0, probe
    assert 0.3 * load.longest_gap_ms < probe["longest_gap_ms"] < 1.5 * load.longest_gap_ms + 500, load.longest_gap_ms
    assert f"{probe['failures']} failed, longest gap {probe['longest_gap_ms']} ms" in result.output, str(result)
    assert new != old
    assert web.ask("/readyz").release == new


def test_a_bad_release_on_a_host_for_one_copy_brings_the_old_one_back(web: App) -> None:
    web.await_rest()
    live = web.live()
    result = web.deploy(environment={"EXITS_AFTER": "1"}, compose_release_stop_first=True)
    assert result.rc != 0
    assert (web.live(), web.ask("/readyz").release) == (live, live)
    assert web.running() == {web.project(live)}
    assert web.history()[-1]["result"] == "failed"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"environment": {"MEMORY": "900g"}}, ["The candidate may use 921600 MB", "MB are available on this host"]),
        ({"compose_release_memory_mb": 900000}, ["The candidate may use 900000 MB (compose_release_memory_mb)"]),
        ({"compose_release_minimum_disk_mb": 90000000}, ["MB are free for images, and 90000000 MB are wanted"]),
    ],
    ids=["mem_limit", "memory_mb", "disk"],
)
def test_a_host_without_room_is_left_alone(web: App, variables: dict[str, Any], words: list[str]) -> None:
    live, lines = web.live(), len(web.history())
    result = web.deploy(**variables)
    assert result.rc != 0
    for word in words:
        assert word in result.output, str(result)
    assert (web.live(), web.journal()) == (live, {})
    assert not [line for line in web.history()[lines:] if line["release"]]


def test_a_candidate_that_exits_is_told_within_two_seconds_whatever_the_timeout(web: App) -> None:
    web.await_rest()
    events = (
        f"docker events --since {{0}} --until $(date +%s) --filter event=die --filter label=davit.app={web.name}"
        " --format '{{{{.TimeNano}}}}'"
    )
    begin = int(time.time())
    with web.load() as load:
        result = web.deploy(environment={"EXITS_AFTER": "3"}, compose_release_gate={**GATE, "timeout": 120})
        # The candidate's is the first death: its removal comes later.
        died = int(web.host.shell(events.format(begin)).split()[0]) / 1e9
    assert result.rc != 0
    assert "exited with code 7" in result.output, str(result)
    told = datetime.fromisoformat(web.history()[-1]["at"]).timestamp()
    assert told - died < 2, told - died
    assert load.lost == {}
