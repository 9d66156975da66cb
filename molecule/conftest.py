"""What all verifiers use: the two hosts of a scenario, which print their last words beside a failure."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra

SCENARIO = os.environ.get("MOLECULE_SCENARIO_NAME", "")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Machine:
    """A host of the scenario, asked through testinfra."""

    name: str
    host: Any

    def output(self, command: str) -> str:
        """What the command prints; it must succeed."""
        result = self.host.run(command)
        assert result.rc == 0, f"{self.name}: {command}: {result.stdout}{result.stderr}"
        return str(result.stdout).strip()

    def json(self, command: str) -> Any:
        """The JSON that the command prints."""
        return json.loads(self.output(command))

    def answer(self, url: str, *options: str) -> tuple[int, dict[str, str], str]:
        """Status, headers (names in lower case) and body of the answer to a request from the host itself."""
        words = " ".join(options)
        text = self.output(f"curl --silent --show-error --include --max-time 5 {words} '{url}'")
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        status, *lines = head.splitlines()
        return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines if ": " in line), body

    def last_words(self) -> str:
        """The end of the journal and of each container's log."""
        look = "docker ps --all --quiet | xargs --max-args 1 --verbose --no-run-if-empty docker logs --tail 30"
        return str(self.host.run(f"journalctl --no-pager --lines 40; {{ {look}; }} 2>&1").stdout)


def machine(kind: str) -> Machine:
    name = f"davit-molecule-{SCENARIO.replace('_', '-')}-{kind}"
    return Machine(name, testinfra.get_host(f"docker://{name}"))


@pytest.fixture(scope="session")
def default() -> Machine:
    """The host that got the role without variables, or with those that it cannot do without."""
    return machine("default")


@pytest.fixture(scope="session")
def alternative() -> Machine:
    """The host for which most variables were changed."""
    return machine("alternative")


@pytest.fixture(params=["default", "alternative"])
def either(request: pytest.FixtureRequest) -> Machine:
    """Each of the two in turn, for what holds whatever the variables are."""
    found: Machine = request.getfixturevalue(str(request.param))
    return found


@pytest.fixture(autouse=True)
def last_words(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print a host's journal and logs beside a failure of a test that used it."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for used in {value for value in request.node.funcargs.values() if isinstance(value, Machine)}:
            sys.stdout.write(f"=== {used.name}\n{used.last_words()}\n")


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout's top folder."""
    return ROOT
