"""Releases that run and answer, and are refused for their model, their data or their speed before anyone sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from lab.images import build_and_push
from tests.e2e.support.host import Host
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import ROOT, Result

SERVICE = "ghcr.io/davit-ec2/restaurant-search"
BAD = ROOT / "tests/e2e/images/model"
DECLARED = yaml.safe_load((ROOT / "service/deploy.yml").read_text())["compose_release_gate"]
RAISED = {**DECLARED, "golden": {**DECLARED["golden"], "max_drop": 1}}


def evidence(host: Host, name: str) -> dict[str, Any]:
    """What the history keeps of a check that was not passed; the release itself is gone."""
    return next(check for check in host.history()[-1]["evidence"] if check["name"] == name)


@pytest.fixture(scope="module", autouse=True)
def live(host: Host) -> str:
    """The good release that each of these wants to replace, and that is live at the end again."""
    for tag in ("shuffled", "slow"):
        build_and_push(f"{SERVICE}:{tag}", BAD, [f"SERVICE={SERVICE}:v1", f"VERSION={tag}"], tag)
    # Fewer, since each costs a while to encode, and enough for a verdict.
    options = "MODEL_OPTIONS=--count 600 --unseen 0.6 --cuisine-mix 0.6"
    build_and_push(f"{SERVICE}:drifted", ROOT / "service", ["VERSION=drifted", options])
    build_and_push(f"{SERVICE}:tfidf", ROOT / "service", ["VERSION=tfidf", "MODEL=tfidf"])
    result = host.deploy(compose_release_version="v1", compose_release_force=True)
    assert result.rc == 0, str(result)
    return host.live()


def deploy(host: Host, version: str, **more: Any) -> tuple[Result, Load]:
    with Load(host.address, limit=300) as load:
        return host.deploy(compose_release_version=version, compose_release_force=True, **more), load


# As deploys outside of these tests have it.
BOUND = {"restaurant_search_slowest_ms": 250}


@pytest.mark.parametrize(
    ("version", "level", "check"),
    [
        ("shuffled", "model", "golden set"),
        ("drifted", "data", "drift of the catalogue"),
        ("slow", "system", "golden set, latency"),
        ("tfidf", "model", "golden set, against the live release"),
    ],
)
def test_it_is_refused_before_anyone_sees_it(host: Host, live: str, version: str, level: str, check: str) -> None:
    result, load = deploy(host, version, **(BOUND if version == "slow" else {}))
    assert result.rc != 0, str(result)
    assert f"{level} gate, {check}" in result.output, str(result)
    assert load.lost == {}
    assert set(load.releases) == {live}
    assert (host.live(), host.history()[-1]["result"]) == (live, "failed")
    seen = evidence(host, check)
    assert (seen["level"], seen["verdict"]) == (level, "fail"), seen
    assert len(json.dumps(seen)) > 40, "the figures are kept"


def test_the_other_model_is_taken_when_its_drop_is_allowed_and_the_first_one_comes_back(host: Host, live: str) -> None:
    result, load = deploy(host, "tfidf", compose_release_gate=RAISED)
    assert result.rc == 0, str(result)
    assert load.lost == {}
    assert host.ask("/version").json()["model_id"] == "tfidf-1-2"
    back = host.fleet.run("rollback")
    assert back.rc == 0, str(back)
    assert host.live() == live
    assert host.ask("/version").json()["model_id"] == "minilm-l6-v2-int8"


SHADOW = {
    "field": "query",
    "where": {"message": "prediction"},
    "request": {"path": "/search", "body": {"query": "$QUERY", "limit": 10}},
    "min_overlap": 0.9,
}


def test_what_users_asked_lately_is_asked_of_both_models(host: Host, live: str) -> None:
    """The live release logs what it is asked, since its deploy says so; another model finds other things."""
    gate = {**DECLARED, "shadow": SHADOW}
    logging = {"compose_release_environment": {"LOG_QUERIES": "true"}}
    result, _ = deploy(host, "v1", **logging)
    assert result.rc == 0, str(result)
    logs = host.live()
    for number in range(25):
        assert host.ask(f"/search?q=cheap%20noodles%20near%20gate%20{number}&limit=1").status == 200
    same, _ = deploy(host, "v2", compose_release_gate=gate, **logging)
    assert same.rc == 0, str(same)
    assert host.live() not in (logs, live)
    for number in range(25):
        assert host.ask(f"/search?q=somewhere%20to%20dance%20{number}&limit=1").status == 200
    alone = {**gate, "golden": {**DECLARED["golden"], "max_drop": 1}}
    other, load = deploy(host, "tfidf", compose_release_gate=alone, **logging)
    assert other.rc != 0
    assert "model gate, shadow of the live traffic: overlap" in other.output, str(other)
    assert load.lost == {}
    assert evidence(host, "shadow of the live traffic")["of_users"] >= 20
    assert host.ask("/version").json()["version"] == "v2"
