"""Everything that the interface's own description allows, and much that it does not, asked at random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from restaurant_search.api import Service, create_app
from restaurant_search.settings import Settings

from tests.conftest import wait_ready

_running: dict[str, TestClient] = {}


@pytest.fixture(scope="module", autouse=True)
def running(model_dir: Path) -> Iterator[None]:
    """One application for all cases."""
    with TestClient(create_app(Service(Settings(model_dir=model_dir))), raise_server_exceptions=False) as client:
        wait_ready(client)
        _running["client"] = client
        yield


@pytest.fixture(scope="module")
def described(running: None, model_dir: Path) -> schemathesis.BaseSchema:  # noqa: ARG001
    """The interface as it describes itself."""
    return schemathesis.openapi.from_dict(_running["client"].get("/openapi.json").json())


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_it_and_each_answer_is_as_described(case: schemathesis.Case) -> None:
    """No 5xx, no answer that the description does not know."""
    case.call_and_validate(session=_running["client"])
