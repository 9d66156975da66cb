"""Drills of the reference service with its own gate: each fault is caught, and a gate that sees too little is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.support.host import Host
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import ROOT, Result

KINDS = ["crash", "never_ready", "wrong_answers", "slow", "dies_in_soak"]
DECLARED = yaml.safe_load((ROOT / "service/deploy.yml").read_text())["compose_release_gate"]
# The service's own checks, with less patience than for a person's deploys, and enough for a busy machine.
GATE = {**DECLARED, "timeout": 20, "request_timeout": 3}
BLIND = {"http": [check for check in DECLARED["http"] if check.get("readiness")], "timeout": 20}


def drill(host: Host, *arguments: str, **variables: Any) -> Result:
    given = {"compose_release_gate": GATE, "compose_release_soak_seconds": 20, **variables}
    return host.fleet.run("drill", *arguments, **given)


def projects(host: Host) -> set[str]:
    listed = "docker ps --all --filter label=davit.app=restaurant-search --format '{{.Label \"davit.project\"}}'"
    return set(host.shell(listed).split())


def leftovers(host: Host) -> str:
    """What a drill could have left on the host; empty when there is nothing."""
    return host.shell(
        "grep -l '\"kind\"' /opt/davit/apps/*/releases/*/release.json;"
        "systemctl list-units --all --plain --no-legend 'davit-drill-*';"
        "ls /opt/davit/apps/*/deploy.json 2>/dev/null; true"
    )


@pytest.fixture(scope="module", autouse=True)
def live(host: Host) -> Iterator[str]:
    """A live release with the gate that is drilled."""
    result = host.deploy(compose_release_version="v1", compose_release_gate=GATE, compose_release_force=True)
    assert result.rc == 0, str(result)
    yield host.live()
    assert leftovers(host) == ""


def test_each_fault_is_caught_and_no_request_is_lost(host: Host, live: str) -> None:
    before, told = projects(host), len(host.history())
    with Load(host.address, limit=600) as load:
        result = drill(host)
    assert result.rc == 0, str(result)
    assert "Every drill was caught, and the live release is as before" in result.output, str(result)
    lines = host.history()[told:]
    assert [line["drill"] for line in lines] == KINDS
    assert [line["result"] for line in lines] == ["failed"] * 4 + ["rolled back"]
    assert load.lost == {}
    # Only what died in its soak had traffic.
    assert set(load.releases) == {live, lines[-1]["release"]}
    assert host.live() == live
    assert host.ask("/search?q=pizza&limit=1").release == live
    assert projects(host) <= before
    assert leftovers(host) == ""


def test_a_drill_can_be_repeated_and_leaves_the_next_deploy_alone(host: Host) -> None:
    result = drill(host, drill_kinds="[crash]")
    assert result.rc == 0, str(result)
    result = host.deploy(compose_release_version="v2", compose_release_gate=GATE)
    assert result.rc == 0, str(result)
    result = host.deploy(compose_release_version="v1", compose_release_gate=GATE)
    assert result.rc == 0, str(result)


def test_a_gate_that_sees_too_little_is_told_and_gets_no_traffic(host: Host) -> None:
    result = host.deploy(compose_release_gate=BLIND)
    assert result.rc == 0, str(result)
    live = host.live()
    with Load(host.address) as load:
        result = drill(host, compose_release_gate=BLIND, drill_kinds=["wrong_answers"])
    assert result.rc != 0, str(result)
    for words in ("NOT CAUGHT", "the release passed its gate", "stopped before any traffic"):
        assert words in result.output, str(result)
    assert load.lost == {}
    assert set(load.releases) == {live}
    assert host.live() == live
    assert leftovers(host) == ""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"drill_kinds": "[crash, flood]"}, "one or more of crash, never_ready"),
        ({"drill_kinds": []}, "one or more of crash, never_ready"),
        ({"drill_confirm": ""}, "-e drill_confirm=restaurant-search"),
        ({"compose_release_version": "v2"}, "leave compose_release_version out"),
        ({"drill_kinds": ["dies_in_soak"], "compose_release_soak_seconds": 0}, "needs a soak"),
        (
            {"compose_release_environment": {"DEPLOY_LABEL": "not yet live"}},
            "before there was a candidate: restaurant-search: What the inventory describes",
        ),
    ],
    ids=["kind", "no-kind", "confirm", "version", "soak", "content"],
)
def test_what_is_asked_for_is_checked_first(host: Host, variables: dict[str, Any], words: str) -> None:
    live, told = host.live(), len(host.history())
    result = drill(host, **{"compose_release_gate": BLIND, "drill_kinds": ["crash"], **variables})
    assert result.rc != 0, str(result)
    assert words in result.output, str(result)
    assert (host.live(), len(host.history())) == (live, told)


def test_a_check_says_what_would_be_drilled(host: Host) -> None:
    told = len(host.history())
    result = drill(host, "--check", compose_release_gate=BLIND)
    assert (result.rc, result.changed) == (0, {}), str(result)
    for kind in KINDS:
        assert f"with the fault {kind}, and has to be" in result.output, str(result)
    assert len(host.history()) == told
