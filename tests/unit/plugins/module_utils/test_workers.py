"""Which services are moved at the switch, and which start beside their predecessors."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.workers import workers_of


def model(**needs: list[str]) -> dict[str, Any]:
    """A release whose services depend on what is listed."""
    return {
        "services": {
            name: {"image": name, "depends_on": {other: {"condition": "service_started"} for other in others}}
            for name, others in needs.items()
        }
    }


@pytest.mark.parametrize(
    ("needs", "routed", "parallel", "workers"),
    [
        pytest.param({"web": []}, ["web"], [], (), id="only a routed one"),
        pytest.param({"web": [], "worker": []}, ["web"], [], ("worker",), id="a worker"),
        pytest.param({"web": [], "worker": []}, ["web"], ["worker"], (), id="declared parallel"),
        pytest.param({"web": ["cache"], "cache": []}, ["web"], [], (), id="needed by a routed one"),
        pytest.param({"web": ["a"], "a": ["b"], "b": [], "w": []}, ["web"], [], ("w",), id="needed through another"),
        pytest.param({"web": [], "p": ["a"], "a": []}, ["web"], ["p"], (), id="needed by a parallel one"),
        pytest.param({"web": [], "w": ["a"], "a": []}, ["web"], [], ("w", "a"), id="needed by a worker alone"),
        pytest.param({"web": ["a"], "w": ["a"], "a": []}, ["web"], [], ("w",), id="needed by both"),
        pytest.param({"web": [], "exporter": ["web"]}, ["web"], [], ("exporter",), id="one that needs a routed one"),
        pytest.param({"a": ["b"], "b": ["a"], "w": []}, ["a"], [], ("w",), id="a circle ends"),
        pytest.param({"z": [], "a": []}, [], [], ("z", "a"), id="in the order of the file"),
        pytest.param({}, [], [], (), id="nothing"),
        pytest.param({"web": ["gone"]}, ["web"], [], (), id="a dependency outside of the release"),
    ],
)
def test_workers(needs: dict[str, list[str]], routed: list[str], parallel: list[str], workers: tuple[str, ...]) -> None:
    assert workers_of(model(**needs), routed, parallel) == workers


def test_a_service_without_dependencies_may_say_nothing() -> None:
    services = {"web": {"depends_on": None}, "worker": None}
    assert workers_of({"services": services}, {"web"}, frozenset()) == ("worker",)
    assert workers_of({"services": None}, (), ()) == ()


def test_a_parallel_service_has_to_exist() -> None:
    with pytest.raises(DavitError, match=r"compose_release_parallel names 'wroker'.*those are web, worker"):
        workers_of(model(web=[], worker=[]), ["web"], ["wroker"])
