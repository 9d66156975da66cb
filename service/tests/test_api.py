"""The HTTP interface, without a network."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from restaurant_search.api import Service, create_app
from restaurant_search.engine import Engine, Filters, Found, Hit
from restaurant_search.settings import Settings

from tests.conftest import wait_ready


def test_version_names_release_and_model(client: TestClient) -> None:
    """A deploy compares these with what it rolled out."""
    answer = client.get("/version").json()
    assert answer["version"] == "v7"
    assert answer["commit"] == "abc123"
    assert answer["deploy_label"] == "staging"
    assert answer["model_id"] == "tfidf-1-2"
    assert len(answer["model_version"]) == 12
    assert "synthetic" in answer["catalogue"]


def test_probes(client: TestClient) -> None:
    """Alive, and ready with the release's name."""
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "version": "v7"}


def test_post_and_get_agree(client: TestClient) -> None:
    """Two ways to ask the same."""
    posted = client.post("/search", json={"query": "green curry", "cuisine": "Thai", "limit": 3})
    got = client.get("/search", params={"q": "green curry", "cuisine": "thai", "limit": 3})
    assert posted.status_code == got.status_code == 200
    assert posted.json() == got.json()
    answer = posted.json()
    assert answer["count"] == len(answer["results"]) == 3
    assert {result["cuisine"] for result in answer["results"]} == {"Thai"}
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)


def test_filters(client: TestClient) -> None:
    """Every filter holds for every result."""
    body = {"query": "dinner with curry", "max_price": 2, "min_rating": 4.0, "features": ["vegan"], "limit": 50}
    results = client.post("/search", json=body).json()["results"]
    assert results
    assert all(r["price"] <= 2 and r["rating"] >= 4.0 and "vegan" in r["features"] for r in results)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "query"),
        ({"query": "   "}, "query"),
        ({"query": "x" * 501}, "query"),
        ({"query": 7}, "query"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "max_price": 9}, "max_price"),
        ({"query": "x", "cuisin": "Thai"}, "cuisin"),
        ({"query": "x", "cuisine": "Klingon"}, "cuisine"),
        ({"query": "x", "features": ["secret-wish"]}, "features"),
    ],
)
def test_invalid_searches(client: TestClient, body: dict[str, object], place: str) -> None:
    """422 names the place and the reason, and does not repeat the input as a value."""
    answer = client.post("/search", json=body)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert place in detail["loc"]
    assert detail["msg"]
    assert "input" not in detail


def test_not_a_number_is_refused(client: TestClient) -> None:
    """JSON as Python writes it may hold NaN."""
    answer = client.post(
        "/search", content='{"query": "x", "min_rating": NaN}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_unknown_value_lists_the_known(client: TestClient) -> None:
    """A person can correct the request from the answer alone."""
    (detail,) = client.get("/search", params={"q": "x", "cuisine": "Klingon"}).json()["detail"]
    assert "Klingon" in detail["msg"]
    assert "Thai" in detail["msg"]


def test_request_id(client: TestClient) -> None:
    """Given ids come back, unusable ones are replaced."""
    assert client.get("/healthz", headers={"X-Request-ID": "a-1.b"}).headers["x-request-id"] == "a-1.b"
    made = client.get("/healthz", headers={"X-Request-ID": 'x" bad'}).headers["x-request-id"]
    assert len(made) == 32


def test_body_limit(client: TestClient) -> None:
    """Both the declared and the real length count."""
    headers = {"content-type": "application/json"}
    assert client.post("/search", content=b"x" * 20_000, headers=headers).status_code == 413
    chunks = (b"x" * 1000 for _ in range(20))
    assert client.post("/search", content=chunks, headers=headers).status_code == 413


def test_metrics(client: TestClient) -> None:
    """Requests by path and status, the model, and buckets up to 10 s; unknown paths share a label."""
    client.get("/search", params={"q": "pho"})
    client.get("/no/such/path")
    text = client.get("/metrics").text
    assert 'http_requests_total{method="GET",path="/search",status="200"} 1.0' in text
    assert 'http_requests_total{method="GET",path="other",status="404"} 1.0' in text
    assert 'http_request_duration_seconds_bucket{le="10.0",method="GET",path="/search"} 1.0' in text
    assert 'model_info{id="tfidf-1-2"' in text
    assert "service_ready 1.0" in text


def test_logs_hide_the_query(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A prediction's line has length and hash, never the text."""
    caplog.set_level(logging.INFO)
    client.post("/search", json={"query": "my secret craving for ramen"})
    (record,) = [r for r in caplog.records if r.getMessage() == "prediction"]
    fields = record.__dict__["fields"]
    assert fields["query_length"] == 27
    assert len(fields["query_hash"]) == 16
    assert "secret" not in json.dumps([r.__dict__ for r in caplog.records], default=str)


def test_logs_have_the_query_when_asked(model_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For the gate that compares two models on live traffic."""
    caplog.set_level(logging.INFO)
    settings = Settings(model_dir=model_dir, log_queries=Settings.from_env({"LOG_QUERIES": "true"}).log_queries)
    with TestClient(create_app(Service(settings))) as client:
        wait_ready(client)
        client.post("/search", json={"query": "ramen"})
    (record,) = [r for r in caplog.records if r.getMessage() == "prediction"]
    assert record.__dict__["fields"]["query"] == "ramen"


def test_requests_predictions_and_errors_are_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each; an error's has the traceback."""
    caplog.set_level(logging.INFO)

    def ask(client: TestClient) -> dict[str, logging.LogRecord]:
        caplog.clear()
        client.get("/search", params={"q": "pho"})
        return {r.getMessage(): r for r in caplog.records if r.name.startswith("restaurant_search")}

    with TestClient(create_app(service)) as client:
        wait_ready(client)
        good = ask(client)
        monkeypatch.setattr(service.lifecycle.engine, "find", lambda *_: 1 / 0)
        bad = ask(client)
    assert {"request", "prediction"} <= set(good)
    assert good["request"].__dict__["fields"]["status"] == 200
    assert {"request", "request failed"} <= set(bad)
    assert bad["request"].__dict__["fields"]["status"] == 500
    failed = bad["request failed"]
    assert failed.levelno == logging.ERROR
    assert failed.exc_info is not None
    assert failed.exc_info[0] is ZeroDivisionError


def test_errors_become_json(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception inside is answered with 500 and the request's id, and counted."""

    def explode(*_: object) -> list[Hit]:
        raise RuntimeError("boom")

    with TestClient(create_app(service)) as client:
        wait_ready(client)
        monkeypatch.setattr(service.lifecycle.engine, "find", explode)
        answer = client.get("/search", params={"q": "x"})
        assert answer.status_code == 500
        assert "request id" in answer.json()["detail"]
        assert answer.headers["x-request-id"]
        assert 'path="/search",status="500"' in client.get("/metrics").text


def test_loading_is_not_ready(model_dir: Path) -> None:
    """While the model loads: alive, not ready, searches are asked to come again."""
    gate = threading.Event()

    def slow() -> Engine:
        gate.wait(10)
        return Engine.load(model_dir)

    with TestClient(create_app(Service(Settings(), slow))) as client:
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "loading")
        assert client.get("/version").json()["model_id"] is None
        search = client.get("/search", params={"q": "x"})
        assert (search.status_code, search.headers["retry-after"]) == (503, "1")
        gate.set()
        wait_ready(client)
        assert client.get("/search", params={"q": "pho"}).status_code == 200


def test_the_model_is_loaded_once(model_dir: Path) -> None:
    """Not per request, and not per thread that asks."""
    loads = []

    def load() -> Engine:
        loads.append(threading.current_thread().name)
        return Engine.load(model_dir)

    with TestClient(create_app(Service(Settings(), load))) as client:
        wait_ready(client)
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda _: client.get("/search", params={"q": "pho"}).status_code, range(8))
        assert set(answers) == {200}
    assert len(loads) == 1


def test_a_model_that_does_not_load_ends_the_service() -> None:
    """It says so and asks to be stopped; it never is ready."""
    failed = threading.Event()

    def broken() -> Engine:
        raise OSError("no such model")

    with TestClient(create_app(Service(Settings(), broken, failed.set))) as client:
        assert failed.wait(5)
        assert client.get("/readyz").json()["status"] == "failed"


def test_draining(client: TestClient, service: Service) -> None:
    """Not ready, still answering, and connections are closed."""
    assert "connection" not in client.get("/search", params={"q": "pho"}).headers
    service.lifecycle.drain()
    assert client.get("/readyz").status_code == 503
    answer = client.get("/search", params={"q": "pho"})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_too_many_searches(model_dir: Path) -> None:
    """Beyond the limit: 503 with Retry-After, at once; the rest end well."""
    service = Service(Settings(model_dir=model_dir, max_concurrency=2, search_threads=1))
    gate, engine = threading.Event(), Engine.load(model_dir)

    class Slow(Engine):
        """Waits for the gate."""

        def __init__(self) -> None:
            self.about = engine.about

        def find(self, query: str, filters: Filters, limit: int) -> Found:
            gate.wait(10)
            return engine.find(query, filters, limit)

    with TestClient(create_app(service)) as client, ThreadPoolExecutor(2) as pool:
        wait_ready(client)
        service.lifecycle.engine = Slow()
        waiting = [pool.submit(client.get, "/search", params={"q": "pho"}) for _ in range(2)]
        while service.searching < 2:
            client.get("/healthz")
        refused = client.get("/search", params={"q": "pho"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        gate.set()
        assert [future.result().status_code for future in waiting] == [200, 200]
