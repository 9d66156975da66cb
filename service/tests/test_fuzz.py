"""Everything that the interface's own description allows, and much that it does not, asked at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from restaurant_search.api import Service, create_app
from restaurant_search.settings import Settings
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.conftest import wait_ready

CASES = 60


def test_no_request_breaks_it_and_each_answer_is_as_described(model_dir: Path) -> None:
    """No 5xx, and no answer that the description does not know, for valid and for invalid input."""
    asked = set()
    app = create_app(Service(Settings(model_dir=model_dir)))
    with TestClient(app) as client:
        # The model is loaded by this client's start; the cases take a way of their own into the application.
        wait_ready(client)
        described = schemathesis.openapi.from_asgi("/openapi.json", app)
        for found in described.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.NEGATIVE and operation.path != "/search":
                    continue  # what takes no input has no invalid one

                @settings(max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case: Any) -> None:
                    # Which cuisines there are is up to the catalogue, and not in the description.
                    case.call_and_validate(excluded_checks=[positive_data_acceptance])

                ask()
                asked.add(f"{operation.method.upper()} {operation.path}")
    assert asked >= {"POST /search", "GET /search", "GET /healthz", "GET /readyz", "GET /version", "GET /metrics"}
