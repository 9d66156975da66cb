"""All apps at rest at once, and the reboot that waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    agent,
    host_lock,
    journal,
    leases,
    plan,
    reboot,
    store,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

UPGRADE = Claim("alice", "upgrade of the engine", "maintenance", 900, {})


@pytest.fixture
def apps(tmp_path: Path) -> list[AppLayout]:
    """Two apps at rest, and what is no app."""
    (tmp_path / "apps" / "lost+found").mkdir(parents=True)
    (tmp_path / "apps" / "a-file").touch()
    made = [AppLayout(name, str(tmp_path)) for name in ("blog", "shop")]
    for layout in made:
        store.make_private(layout.home)
    return made


@pytest.fixture
def installed() -> list[str]:
    return []


def hold(apps: list[AppLayout], installed: list[str]) -> dict[str, str]:
    return host_lock.hold(apps[0].root, UPGRADE, lambda layout: installed.append(layout.app))


def test_whoever_deploys_meanwhile_is_told_what_for(apps: list[AppLayout], installed: list[str]) -> None:
    tokens = hold(apps, installed)
    assert sorted(tokens) == ["blog", "shop"]
    assert installed == ["blog"], "its program frees the locks when nobody comes back"
    deploy = Claim("bob", "deploy v2", plan.DEPLOY, 60, {})
    for layout in apps:
        with (
            pytest.raises(LockedError, match=r"locked by alice \(upgrade of the engine"),
            journal.acquire(layout, deploy),
        ):
            pass
    assert host_lock.free(apps[0].root, tokens) == []
    for layout in apps:
        with journal.acquire(layout, deploy) as (_session, old):
            assert old is None


def test_all_locks_or_none(apps: list[AppLayout], installed: list[str]) -> None:
    with journal.acquire(apps[1], Claim("bob", "deploy v2", plan.DEPLOY, 60, {})):
        pass
    with pytest.raises(LockedError, match=r"'shop' is locked by bob \(deploy v2"):
        hold(apps, installed)
    assert not apps[0].journal.exists()
    assert installed == []


def test_a_deploy_that_was_left_unfinished_counts(apps: list[AppLayout], installed: list[str]) -> None:
    apps[0].journal.write_text("{")
    with pytest.raises(LockedError, match="its journal is damaged"):
        hold(apps, installed)


def test_a_step_at_work_counts_without_any_journal(apps: list[AppLayout], installed: list[str]) -> None:
    with store.locked(apps[1].lock), pytest.raises(LockedError, match="still at work"):
        hold(apps, installed)


def test_a_lock_that_was_taken_over_stays(
    apps: list[AppLayout], installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, bob = hold(apps, installed), Claim("bob", "rollback", plan.ROLLBACK, 60, {})
    with pytest.raises(LockedError, match="locked by alice"), journal.acquire(apps[1], bob, at_once=True):
        pytest.fail("it was let in")
    monkeypatch.setattr(leases, "moment", lambda: leases.Moment("next boot", 1.0))
    with journal.acquire(apps[1], bob):
        pass
    assert host_lock.free(apps[0].root, tokens) == ["shop"]
    assert journal.read(apps[1]) is not None
    assert journal.read(apps[0]) is None


def test_a_host_without_apps_has_nothing_to_hold(tmp_path: Path) -> None:
    assert host_lock.hold(str(tmp_path), UPGRADE, lambda _: None) == {}


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A host that goes down when it is asked to, and what it was asked."""
    asked: list[str] = []
    monkeypatch.setattr(reboot, "ASKED", tmp_path / "reboot-required")
    monkeypatch.setattr(reboot, "run", lambda argv: asked.append(" ".join(argv)))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return lambda: asked


def go_down(monkeypatch: pytest.MonkeyPatch, look: Callable[[], Any]) -> None:
    """End the program when the host would."""

    def run(_argv: list[str]) -> None:
        look()
        raise SystemExit

    monkeypatch.setattr(reboot, "run", run)


def test_a_host_reboots_when_it_is_asked_to_and_with_all_locks_held(
    apps: list[AppLayout], systemd: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = apps[0].root
    assert reboot.reboot(root, 0) == "nothing asks for a reboot"
    reboot.ASKED.touch()
    locked: list[bool] = []
    go_down(monkeypatch, lambda: locked.extend(store.is_locked(layout.lock) for layout in apps))
    with pytest.raises(SystemExit):
        reboot.reboot(root, 0)
    assert locked == [True, True]
    assert systemd() == []


def test_it_waits_for_a_deploy_and_reboots_after_it(
    apps: list[AppLayout], systemd: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    reboot.ASKED.touch()
    with journal.acquire(apps[1], Claim("bob", "deploy v2", plan.DEPLOY, 60, {})):
        pass
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            apps[1].journal.unlink()

    monkeypatch.setattr(time, "sleep", sleep)
    go_down(monkeypatch, lambda: None)
    with pytest.raises(SystemExit):
        reboot.reboot(apps[0].root, 3600)
    assert waited == [reboot.LOOK] * 3
    assert capsys.readouterr().out.count("waiting: 'shop' is locked by bob") == 1
    assert systemd() == []


def test_past_the_window_it_is_left_for_the_next_day(apps: list[AppLayout], systemd: Callable[[], list[str]]) -> None:
    reboot.ASKED.touch()
    apps[0].journal.write_text("{")
    assert "left for the next day: 'blog' is locked" in reboot.reboot(apps[0].root, 0)
    assert systemd() == []


def test_a_host_that_stays_up_is_an_error(apps: list[AppLayout], systemd: Callable[[], list[str]]) -> None:
    reboot.ASKED.touch()
    with pytest.raises(DavitError, match="still up"):
        reboot.reboot(apps[0].root, 0)
    assert systemd() == ["systemctl reboot"]


def test_the_window_is_halved_for_beginning_and_for_waiting() -> None:
    units = reboot.units("/opt/davit", "03:30", 90)
    assert "OnCalendar=*-*-* 03:30:00\nRandomizedDelaySec=45min\nFixedRandomDelay=true\n" in units[reboot.TIMER]
    assert "ExecStart=/usr/bin/python3 /opt/davit/lib/reboot.pyz reboot /opt/davit 2700\n" in units[reboot.SERVICE]
    assert "ConditionPathExists=/run/reboot-required\n" in units[reboot.SERVICE]


@pytest.mark.parametrize(
    ("at", "minutes", "message"),
    [("3:30", 60, "no time of day"), ("24:00", 60, "03:30"), ("03:30\nx", 60, "no time"), ("03:30", 1, "2 or more")],
)
def test_a_wrong_window_is_refused(at: str, minutes: int, message: str) -> None:
    with pytest.raises(DavitError, match=message):
        reboot.units("/opt/davit", at, minutes)


def test_the_host_frees_the_locks_of_an_upgrade_whose_controller_is_gone(
    apps: list[AppLayout], installed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(apps, installed)
    monkeypatch.setattr(tidy, "rest", lambda _: None)
    for layout in apps:
        left = json.loads(layout.journal.read_text())
        layout.journal.write_text(json.dumps({**left, "boot": "an earlier one"}))
    assert agent.recover_all(apps[0].root) == 0
    assert [layout.journal.exists() for layout in apps] == [False, False]
