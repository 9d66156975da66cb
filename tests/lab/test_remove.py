"""What is taken away with the lab, also while something else is at it."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import APIError, NotFound

from lab import remove


class Container:
    """One whose removal ends as it is told."""

    name = "davit-lab-i-1"

    def __init__(self, error: APIError | None) -> None:
        self._error = error
        self.awaited: list[dict[str, Any]] = []

    def remove(self, **_options: Any) -> None:
        if self._error is not None:
            raise self._error

    def wait(self, **options: Any) -> None:
        self.awaited.append(options)


class Client:
    """An engine with one container."""

    def __init__(self, container: Container) -> None:
        self.containers = self
        self._container = container

    def list(self, **_options: Any) -> list[Container]:
        return [self._container]


BUSY = APIError("conflict", explanation="removal of container 38 is already in progress")


@pytest.mark.parametrize(
    ("error", "removed", "waits"),
    [
        (None, ["container davit-lab-i-1"], 0),
        (NotFound("gone", explanation="No such container"), [], 0),
        (BUSY, ["container davit-lab-i-1"], 1),
    ],
)
def test_a_container_is_gone_whoever_removes_it(error: APIError | None, removed: list[str], waits: int) -> None:
    container = Container(error)
    assert list(remove._containers(Client(container))) == removed
    assert len(container.awaited) == waits


def test_an_engine_that_refuses_is_told() -> None:
    with pytest.raises(APIError, match="denied"):
        list(remove._containers(Client(Container(APIError("denied", explanation="denied by policy")))))
