"""The servers that the tests of the fake AWS share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.servers import Aws, serve


@pytest.fixture(scope="session")
def patched() -> Iterator[Aws]:
    """moto as the lab runs it."""
    yield from serve("patched")


@pytest.fixture(scope="session")
def plain() -> Iterator[Aws]:
    """moto as it comes, with our seeds."""
    yield from serve("plain")
