"""Ways back with a trouble of their own: a full disk, a slow edge, another's lock, a broken live release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    edge,
    host_lock,
    journal,
    plan,
    rollback,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment
from tests.unit.support.crashes import states_of
from tests.unit.support.flows import SETTINGS, SOAK, WORKERS, Flow, deploy, go_back, lose, prepare
from tests.unit.support.host import Host, State, install, number_of, rid


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    install(made, monkeypatch)
    return made


@pytest.mark.parametrize("by", ["the timer", "the rollback"])
@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("flow", [Flow("deploy"), Flow("repair", back=True, lost="web")], ids=lambda flow: flow.name)
def test_a_last_good_release_that_does_not_run_keeps_nobody_from_replacing_it(
    host: Host, flow: Flow, starts: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(host, flow)
    wanted, real = flow.release(flow.target), host.compose
    left = states_of(host, lambda: (go_back if flow.back else deploy)(host, flow))

    def compose(file: Path | str, *argv: str, **more: Any) -> str:
        if argv[0] == "start" and Path(file).parent.name == wanted.id:
            raise DavitError("port is already allocated")
        return real(file, *argv, **more)

    if not starts:
        monkeypatch.setattr(host, "compose", compose)
    tried = 0
    # A repair that the rollback itself completes is what was wanted of a rollback; else it goes on to an earlier one.
    mended = starts and flow.back and by == "the rollback"
    expected = wanted.id if mended else rid(flow.target - 1)
    for what, state in left:
        host.restore(state)
        begun = journal.read(host.layout)
        if begun is None or not begun.release or store.pointed(host.layout.last_good) != wanted.id:
            continue
        tried += 1
        host.boxes[wanted.project].pop("web", None)
        host.now = Moment("another boot", 1.0)
        if by == "the timer":
            assert ("port is already allocated" in agent.recover(host.layout)) is not starts, what
            assert not host.layout.journal.exists(), what
            assert host.runs(wanted) is starts, what
            assert not any(line.get("blamed") for line in store.read_history(host.layout)), what
        told = Claim("bob", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is down"})
        done = rollback.go_back(host.layout, "", told, host, 1)
        assert (done.live, done.changed, host.serving) == (expected, True, expected), what
        assert switching.works(host.layout, flow.release(number_of(expected)), host), what
    assert tried > 1


@pytest.mark.parametrize("wanted", ["", rid(1)])
def test_a_rollback_neither_frees_nor_overtakes_the_lock_of_an_upgrade(host: Host, wanted: str) -> None:
    flow = Flow("rollback", back=True)
    prepare(host, flow)
    upgrade = Claim("carol", "upgrade of the engine", "maintenance", 900, {})
    host_lock.hold(str(host.root), upgrade, lambda _: None)
    before, told = host.state(), Claim("bob", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "it is slow"})
    with pytest.raises(LockedError, match=r"by carol \(upgrade of the engine.*again once carol is done"):
        rollback.go_back(host.layout, wanted, told, host, 1)
    assert host.state() == before
    # Whoever held it did not come back, and the timer has not been yet.
    host.now = Moment("boot", 9999.0)
    done = rollback.go_back(host.layout, wanted, told, host, 1)
    assert (done.live, done.changed, done.stopped, host.serving) == (rid(1), True, "", rid(1))
    assert store.read_history(host.layout)[-1]["result"] == plan.SUCCEEDED
    assert not host.layout.journal.exists()


def test_a_way_back_that_fails_keeps_the_cause_and_the_blame(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow("soak fails", SOAK, bad_in_traffic=True)
    prepare(host, flow)
    slow = {rid(2)}

    def await_release(endpoints: Any, name: str, *_: Any) -> None:
        if name in slow:
            raise DavitError("the edge is slow")
        host.await_release(endpoints, name)

    monkeypatch.setattr(edge, "await_release", await_release)
    with pytest.raises(DavitError, match=r"in the soak.*It was not taken back: the edge is slow"):
        deploy(host, flow)
    left = journal.read(host.layout)
    assert left is not None
    assert "in the soak" in left.failed
    slow.clear()
    # What revert.yml does with the error that it was given.
    done = rollback.undo(host.layout, left.token, "the edge is slow", host, blamed=False)
    assert (done.live, host.serving) == (rid(2), rid(2))
    line = store.read_history(host.layout)[-1]
    assert (line["result"], line["blamed"], "in the soak" in line["cause"]) == (plan.ROLLED_BACK, True, True)


def test_a_disk_that_the_release_has_filled_does_not_keep_its_traffic(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow("soak fails", SOAK, bad_in_traffic=True)
    prepare(host, flow)
    real = store.write

    def write(*arguments: Any) -> None:
        if host.serving == rid(3):
            raise OSError(28, "No space left on device")
        real(*arguments)

    advance = journal.Session.advance

    def advanced(session: journal.Session, phase: str, **more: Any) -> None:
        # All is well until the release has begun to serve.
        monkeypatch.setattr(store, "write", real if phase == journal.SOAK else write)
        advance(session, phase, **more)
        monkeypatch.setattr(store, "write", write)

    opened, policy = Path.open, host.restart_policy

    def open_(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if mode == "w" and host.serving == rid(3):
            raise OSError(28, "No space left on device")
        return opened(path, mode, *arguments, **named)

    def restart_policy(ids: Sequence[str], *wanted: Any) -> None:
        if ids and host.serving == rid(3):
            raise DavitError("The Docker engine refused POST /containers/x/update: no space left on device")
        policy(ids, *wanted)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(host, "restart_policy", restart_policy)
    monkeypatch.setattr(journal.Session, "advance", advanced)
    with pytest.raises(DavitError, match="in the soak"):
        deploy(host, flow)
    assert host.serving == rid(2)
    assert store.pointed(host.layout.live) == rid(2)
    assert list(host.layout.route_stage.glob("*.back")) == []


def phase(host: Host, state: State) -> str:
    host.restore(state)
    begun = journal.read(host.layout)
    return begun.phase if begun is not None else ""


@pytest.mark.parametrize("who", ["its controller", "the timer"])
def test_a_good_release_does_not_stay_on_a_disk_that_has_become_full(
    host: Host, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """What it has filled may be its own containers, so they go at once, and with them what would fill the reserve."""
    flow = Flow("soak", SOAK)
    prepare(host, flow)
    wanted = flow.release(3)
    in_soak = next(state for _, state in states_of(host, lambda: deploy(host, flow)) if phase(host, state) == "soak")
    prepare(host, flow)
    served: list[bool] = []

    def free(_: Any) -> int:
        served.append(host.serving == rid(3))
        return 0 if any(served) and host.boxes.get(wanted.project) else 1 << 40

    monkeypatch.setattr(store, "_free", free)
    if who == "its controller":
        with pytest.raises(DavitError, match="disk has become full"):
            deploy(host, flow)
    else:
        host.restore(in_soak)
        host.now = Moment("another boot", 1.0)
        assert "disk has become full" in agent.recover(host.layout)
    line = store.read_history(host.layout)[-1]
    assert (line["result"], host.serving, store.pointed(host.layout.live)) == (plan.ROLLED_BACK, rid(2), rid(2))
    assert "disk has become full" in line["cause"]
    assert not host.boxes.get(wanted.project)
    assert not host.layout.journal.exists()


def test_a_release_that_has_filled_the_disk_can_be_left(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow("rollback", back=True)
    prepare(host, flow)
    host.layout.reserve.touch()
    monkeypatch.setattr(store, "_free", lambda _: store.RESERVE)
    claim = Claim("bob", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "the disk is full"})
    done = rollback.go_back(host.layout, "", claim, host, 1)
    assert (done.live, host.serving, store.pointed(host.layout.last_good)) == (rid(1), rid(1), rid(1))
    assert store.read_history(host.layout)[-1]["result"] == plan.SUCCEEDED
    assert not host.layout.reserve.exists()


@pytest.mark.parametrize("lost", ["containers", "mail", "one that runs", "route"])
def test_a_rollback_to_what_is_live_mends_what_it_has_lost(host: Host, lost: str) -> None:
    flow = Flow("live", **WORKERS)
    prepare(host, flow)
    wanted, claim = flow.release(2), Claim("alice", "rollback", plan.ROLLBACK, 60, {**SETTINGS, "cause": "gone"})
    assert switching.works(host.layout, wanted, host)
    assert rollback.go_back(host.layout, rid(2), claim, host, 1).changed is False
    if lost == "one that runs":
        host.boxes[wanted.project]["mail"].status = "exited"
    else:
        lose(host, wanted, lost)
    assert not switching.works(host.layout, wanted, host)
    did: list[str] = []
    host.seen = did.append
    assert rollback.go_back(host.layout, rid(2), claim, host, 1).changed is True
    assert not [what for what in did if what.startswith(("policy no", "stop"))], "what runs is left running"
    assert switching.works(host.layout, wanted, host)
    assert {box.policy for box in host.boxes[wanted.project].values()} == {"unless-stopped"}
    assert store.pointed(host.layout.last_good) == rid(2)
