"""What preflight makes of a registry's answer: what is kept for the next step, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import (
    distribution,
    fetch,
    plan,
    preflight,
    registry,
    store,
    switching,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release
from ansible_collections.davit.ec2.plugins.module_utils.running_file import Split

TAG = "ghcr.io/you/web:v2"
NEW, LIVE = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
ASKED = {"registry": "ghcr.io", "username": "you", "password": "secret", "lifetime": 60, "force": False}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppLayout:
    """An app whose live release is the tag at the digest LIVE, with the tag staged once more."""
    made = AppLayout("shop", str(tmp_path))
    monkeypatch.setattr(AppLayout, "stage", tmp_path / "stage")
    nothing: dict[str, Any] = {"services": {}}
    split = Split({"services": {"web": {"image": TAG}}}, nothing, nothing, {"web": TAG}, ())
    staged = preflight.Staged("v2", split, (), {"routes": []}, {})
    store.make_private(made.stage)
    store.write_json(made.stage / "stage.json", preflight._to_json(staged, preflight.Request(made, {}, "")))
    content = fetch.pin_stage(replace(staged, known={TAG: LIVE}), made.stage, {}).content_hash
    release = Release.__new__(Release)
    object.__setattr__(release, "content_hash", content)
    monkeypatch.setattr(fetch, "live_release", lambda _: release)
    monkeypatch.setattr(switching, "works", lambda *_: True)
    return made


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The logins that exist now."""
    there: list[str] = []

    def login(**_: Any) -> str:
        there.append("/run/login")
        return there[-1]

    monkeypatch.setattr(registry, "login", login)
    monkeypatch.setattr(registry, "logout", there.remove)
    return there


def answers(digest: str) -> Callable[..., dict[str, str]]:
    return lambda references, _login: dict.fromkeys(references, digest)


def test_a_new_digest_is_kept_for_the_pull_with_the_login(
    layout: AppLayout, logins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "resolve", answers(NEW))
    told = fetch.ask_registry(layout, [TAG], ASKED)
    assert told == {"unresolved": [], "up_to_date": False, "docker_config": "/run/login"}
    assert logins == ["/run/login"]
    staged, _names = preflight.load_stage(layout.stage)
    assert (staged.known, staged.unresolved) == ({TAG: NEW}, ())


def test_what_is_live_already_leaves_neither_stage_nor_login(
    layout: AppLayout, logins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "resolve", answers(LIVE))
    assert fetch.ask_registry(layout, [TAG], ASKED) == {"unresolved": [], "up_to_date": True, "docker_config": ""}
    assert (logins, layout.stage.exists()) == ([], False)


def test_what_is_live_and_does_not_work_or_is_to_be_deployed_anew_is_not_done(
    layout: AppLayout, logins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody has removed its containers, or its route."""
    monkeypatch.setattr(distribution, "resolve", answers(LIVE))
    told = fetch.ask_registry(layout, [TAG], {**ASKED, "force": True})
    assert (told["up_to_date"], logins) == (False, ["/run/login"])
    monkeypatch.setattr(switching, "works", lambda *_: False)
    assert fetch.ask_registry(layout, [TAG], ASKED)["up_to_date"] is False


def test_a_registry_that_does_not_answer_leaves_neither_stage_nor_login(
    layout: AppLayout, logins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> dict[str, str]:
        raise DavitError("gone")

    monkeypatch.setattr(distribution, "resolve", fail)
    with pytest.raises(DavitError, match="gone"):
        fetch.ask_registry(layout, [TAG], ASKED)
    assert (logins, layout.stage.exists()) == ([], False)


def test_public_images_need_no_login(layout: AppLayout, logins: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "resolve", answers(NEW))
    assert fetch.ask_registry(layout, [TAG], {**ASKED, "username": ""})["docker_config"] == ""
    assert logins == []


def test_jobs_are_run_in_their_order_whatever_the_disk_makes_of_it(tmp_path: Path) -> None:
    layout, image = AppLayout("shop", str(tmp_path)), f"web@{NEW}"
    job: dict[str, Any] = {"image": image}
    jobs = {"migrate": job, "backfill": {**job, "depends_on": {"migrate": {}}}}
    nothing: dict[str, Any] = {"services": {}}
    split = Split({"services": {"web": job}}, nothing, {"services": jobs}, dict.fromkeys(["web", *jobs], image))
    declared: dict[str, Any] = {key: {} for key in ("gate", "headers", "model_probe", "metrics")}
    staged = preflight.Staged("v2", split, (), {**declared, "routes": [], "workers": []}, {})
    store.write_json(tmp_path / "stage.json", preflight._to_json(staged, preflight.Request(layout, {}, "")))
    read, _names = preflight.load_stage(tmp_path)
    pinned = fetch.pin_stage(read, tmp_path, {})
    state = plan.HostState(None, None, (), ())
    made = fetch._describe(layout, state, read, pinned, fetch.FetchOptions({}), ())
    assert Release.from_json(made.to_json()).jobs == ("migrate", "backfill")
