"""A rollback across versions: what the first one deployed is brought back by this one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

APP = "/opt/davit/apps/shop"


@pytest.fixture
def history(default: Machine) -> list[dict[str, Any]]:
    """The lines of the app's history."""
    return [json.loads(line) for line in default.output(f"cat {APP}/history.jsonl").splitlines()]


def test_the_history_goes_on_where_the_first_version_left_it(default: Machine, history: list[dict[str, Any]]) -> None:
    before = [json.loads(line) for line in default.output("cat /srv/before/history.jsonl").splitlines()]
    assert len(before) == 2
    assert history[:2] == before
    assert [(line["action"], line["result"]) for line in history[2:]] == [("rollback", "succeeded")]


def test_the_release_that_was_brought_back_is_the_first_version_s(
    default: Machine, history: list[dict[str, Any]]
) -> None:
    status, headers, _body = default.answer("http://127.0.0.1/ping")
    assert (status, headers["davit-release"]) == (200, history[0]["release"])
    assert default.output(f"basename $(readlink {APP}/live)") == history[0]["release"]


def test_it_runs_with_its_own_environment_and_outlives_a_reboot(default: Machine) -> None:
    project = default.json(f"cat {APP}/live/release.json")["project"]
    name = default.output(f"docker ps --quiet --filter label=com.docker.compose.project={project}")
    (found,) = default.json(f"docker inspect {name}")
    assert "SEASON=spring" in found["Config"]["Env"]
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_what_is_on_the_host_is_no_longer_locked_and_can_be_recovered(default: Machine) -> None:
    assert not default.host.file(f"{APP}/deploy.json").exists
    default.output("python3 /opt/davit/lib/davit.pyz recover /opt/davit")
