"""A small model directory, made once, and applications on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from model_build.__main__ import main as build_model
from restaurant_search.api import Service, create_app
from restaurant_search.settings import Settings


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TF-IDF model of 300 synthetic restaurants."""
    directory = tmp_path_factory.mktemp("model")
    golden = Path(__file__).parents[1] / "golden.jsonl"
    assert build_model(["--model", "tfidf", "--count", "300", "--golden", str(golden), "--out", str(directory)]) == 0
    return directory


@pytest.fixture
def service(model_dir: Path) -> Service:
    """A service on that model."""
    return Service(Settings(model_dir=model_dir, version="v7", commit="abc123", deploy_label="staging"))


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    """A client of the started and ready application."""
    with TestClient(create_app(service)) as running:
        wait_ready(running)
        yield running


def wait_ready(client: TestClient) -> None:
    """Ask until the model is loaded; it takes some milliseconds."""
    for _ in range(2000):
        if client.get("/readyz").status_code == 200:
            return
    pytest.fail("never ready")
