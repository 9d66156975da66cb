"""What is said of an app during an outage, and that nothing is said when all is well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import edge, status, store, switching
from ansible_collections.davit.ec2.plugins.module_utils.gates import Container
from tests.unit.support.host import Box, Host, install, release, rid

LIVE = release(1, services=("mail", "web"), stateful=("db",))
Harm = Callable[[Host], object]


class Watched(Host):
    """A host that also knows the health of its containers."""

    health = "healthy"

    def containers(self, project: str) -> list[Container]:
        return [Container(c.id, c.name, c.service, c.status, health=self.health) for c in super().containers(project)]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """One on which an app with a database is live."""
    made = Watched(tmp_path)
    install(made, monkeypatch)
    monkeypatch.setattr(edge, "is_up", lambda: True)
    for directory in (made.layout.routes, made.layout.route_stage):
        directory.mkdir(parents=True)
    made.publish(LIVE)
    made.run_release(LIVE)
    made.boxes[made.layout.stateful_project] = {"db": Box("running")}
    edge.put_route(made.layout, switching.document(LIVE))
    store.point(made.layout.live, made.layout.release(LIVE.id))
    return made


def put(project: Callable[[Host], str], service: str, status: str) -> Harm:
    return lambda host: host.boxes[project(host)].update({service: Box(status)})


def own(_: Host) -> str:
    return LIVE.project


def data(host: Host) -> str:
    return host.layout.stateful_project


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda _: None, []),
        (put(own, "web", "exited"), ["not all of it runs: web exited with code 0"]),
        (put(own, "web", "paused"), ["not all of it runs: web paused"]),
        (put(data, "db", "exited"), ["not all of it runs: db exited with code 0"]),
        (lambda host: host.boxes.pop(data(host)), ["not all of it runs: db there is no container"]),
        (
            lambda host: setattr(host, "health", "unhealthy"),
            ["not all of it runs: mail running, unhealthy; web running, unhealthy; db running, unhealthy"],
        ),
        (lambda host: setattr(host, "health", "starting"), []),
        (lambda host: edge.put_route(host.layout, None), [f"the edge serves '' but the record says '{rid(1)}'"]),
    ],
)
def test_what_does_not_run_or_is_not_served_is_a_problem(host: Watched, harm: Harm, said: list[str]) -> None:
    harm(host)
    assert status.describe(host.layout, host)["problems"] == said


def test_an_edge_that_does_not_answer_is_a_problem_of_what_is_live(
    host: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route on the disk serves nobody."""
    monkeypatch.setattr(edge, "is_up", lambda: False)
    assert status.describe(host.layout, host)["problems"] == [
        "the edge does not answer, so no app of this host is served"
    ]
    edge.put_route(host.layout, None)
    store.point(host.layout.live, None)
    assert status.describe(host.layout, host)["problems"] == []


def test_programs_see_the_services_that_own_data_as_well(host: Watched) -> None:
    host.boxes.pop(data(host))
    told = status.describe(host.layout, host)
    assert (told["running"], told["containers"]["db"]) == (False, "there is no container")
