"""What else keeps two databases from one volume while a stack is taken over, and brings the stack back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    candidate,
    edge,
    journal,
    leases,
    store,
    takeover,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience
from tests.unit.support.adopting import (
    ADOPTION,
    ADOPTS,
    EDGE,
    OLD,
    Adopting,
    Flow,
    deploy,
    make,
    prepare,
    require_one_of_two,
)
from tests.unit.support.host import APP, Box, release, rid


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopting:
    return make(tmp_path, monkeypatch)


@pytest.mark.parametrize("moment", [(candidate, "judge"), (takeover, "note_gap")], ids=lambda moment: moment[1])
def test_a_unit_that_starts_the_old_stack_again_within_the_deploy_is_noticed(
    host: Adopting, monkeypatch: pytest.MonkeyPatch, moment: tuple[Any, str]
) -> None:
    prepare(host, ADOPTION)
    real = getattr(*moment)

    def restarted(*arguments: Any, **named: Any) -> Any:
        host.boxes[OLD]["db"].status = "running"
        return real(*arguments, **named)

    monkeypatch.setattr(*moment, restarted)
    with pytest.raises(DavitError, match=r"old-db-1.*started again.*systemctl disable --now.*was started again\."):
        deploy(host, ADOPTION)
    require_one_of_two(host, Flow("restarted", bad_before_traffic=True), (moment[1],))


def test_another_that_takes_the_data_within_the_deploy_is_noticed(
    host: Adopting, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.make_private(host.layout.home)
    prepare(host, ADOPTION)
    record = {"state": takeover.TAKEN, "project": OLD, "data": ["/srv/db"]}
    store.write_json(host.layout.adoption, record)
    host.boxes[OLD] = {}
    takeover.require_stopped(host.layout, host)
    monkeypatch.setattr(host, "users", lambda data: {"stranger": {}} if data == "/srv/db" else {})
    with pytest.raises(DavitError, match="The directory /srv/db is in use by the container stranger"):
        takeover.require_stopped(host.layout, host)


def test_data_in_a_directory_makes_an_owner_too(host: Adopting, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(host, ADOPTION)
    mounted = {"Type": "bind", "Source": "/srv/db", "Destination": "/data", "RW": True}
    real = host.stack
    monkeypatch.setattr(
        host, "stack", lambda p: [{**r, "Mounts": [mounted] if r["Id"] == "old/db" else []} for r in real(p)]
    )
    made = release(1, stateful=("db",), adopts={**ADOPTS, "volumes": {}})
    host.publish(made)
    model = {"services": {"db": {"volumes": [{"type": "bind", "source": "/srv/db", "target": "/data"}]}}}
    (host.layout.release(made.id) / store.STATEFUL).write_text(json.dumps(model))
    takeover.take(host.layout, made, host, Patience())
    record = takeover.pending(host.layout)
    assert record["data"] == ["/srv/db"]
    assert {c["service"]: c["owns"] for c in record["containers"]} == {"web": False, "db": True, "cron": False}


def test_a_stop_that_was_given_up_on_is_finished_before_the_stack_is_started_again(
    host: Adopting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine goes on stopping a container when its client is gone, and such a container cannot be started."""
    prepare(host, ADOPTION)
    real, tries = host.stop, 0

    def stop(ids: list[str], *_: Any) -> None:
        nonlocal tries
        if f"{OLD}/db" in ids:
            tries += 1
            if tries <= 2:
                raise DavitError("docker stop did not end")
        real(ids)

    monkeypatch.setattr(host, "stop", stop)
    with pytest.raises(DavitError, match="docker stop did not end"):
        deploy(host, ADOPTION)
    # The way back could not stop it either, so the host's timer is to try again.
    assert journal.read(host.layout) is not None
    assert takeover.pending(host.layout)["stopping"]
    host.now = leases.Moment("boot", 9999.0)
    agent.recover(host.layout)
    assert tries == 3
    require_one_of_two(host, Flow("slow", bad_before_traffic=True), ())


def test_an_edge_that_is_slow_for_a_moment_is_not_taken_for_one_that_waits(
    host: Adopting, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(host, ADOPTION)
    host.boxes[EDGE] = {"traefik": Box("running", "unless-stopped")}
    monkeypatch.setattr(edge, "is_up", lambda: False)
    host.publish(ADOPTION.release)
    takeover.take(host.layout, ADOPTION.release, host, Patience())
    assert takeover.pending(host.layout)["edge"] is False


@pytest.mark.parametrize(("route", "stays"), [("stock.yml", True), ("_edge.yml", False), (f"{APP}.yml", False)])
def test_the_edge_of_other_apps_stays_on_a_way_back(host: Adopting, route: str, stays: bool) -> None:
    prepare(host, ADOPTION)
    host.boxes[EDGE] = {"traefik": Box("running", "unless-stopped")}
    (host.layout.routes / route).write_text("{}")
    record = {"state": takeover.TAKEN, "project": OLD, "release": rid(1), "edge": True, "began": None, "containers": []}
    store.write_json(host.layout.adoption, record)
    told = takeover.give_back(host.layout, host, Patience())
    assert (EDGE in host.boxes) == stays
    assert told == {"project": OLD, "returned": False}, "none of it had run"


def test_a_stack_that_did_not_run_is_not_said_to_be_started_again(host: Adopting) -> None:
    flow = Flow("gate fails", bad_before_traffic=True)
    prepare(host, flow)
    for box in host.boxes[OLD].values():
        box.status = "exited"
    with pytest.raises(DavitError) as failed:
        deploy(host, flow)
    assert "started again" not in str(failed.value)
