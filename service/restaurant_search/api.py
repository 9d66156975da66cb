"""The HTTP interface."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from restaurant_search.drift import CatalogueDrift, Window
from restaurant_search.engine import Engine, Filters, Hit, UnknownValueError
from restaurant_search.lifecycle import Lifecycle, State
from restaurant_search.logs import QueryHasher
from restaurant_search.metrics import Metrics
from restaurant_search.middleware import Envelope
from restaurant_search.schemas import (
    Health,
    Problem,
    Readiness,
    Result,
    SearchAnswer,
    SearchBody,
    SearchParameters,
    Version,
)
from restaurant_search.settings import Settings

_log = logging.getLogger("restaurant_search.api")
_BUSY = {"Retry-After": "1"}


class Service:
    """The parts of one running application."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Engine] | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; `load` replaces reading `settings.model_dir`, `on_failure` ends the process."""
        self.settings = settings
        self.metrics = Metrics()
        self.lifecycle = Lifecycle(lambda s: self.metrics.ready.set(s is State.READY))
        self.hasher = QueryHasher(settings.log_hash_key)
        self.pool = ThreadPoolExecutor(settings.search_threads, thread_name_prefix="search")
        self.searching = 0
        self.window: Window | None = None
        self._load = load or (lambda: Engine.load(settings.model_dir))
        self._on_failure = on_failure
        self.metrics.build.info({"version": settings.version, "commit": settings.commit})

    async def load(self) -> None:
        """Load the model, once; the service answers `/healthz` and `/readyz` meanwhile."""
        try:
            engine = await asyncio.get_running_loop().run_in_executor(self.pool, self._load)
        except Exception:
            _log.exception("the model cannot be loaded")
            self.lifecycle.fail()
            self._on_failure()
            return
        about = engine.about
        catalogue = None
        if engine.reference is not None:
            self.window = Window(engine.reference)
            catalogue = CatalogueDrift.of(engine.reference, engine.entries)
        self.metrics.loaded(about, self.window, catalogue, questions=bool(engine.questions))
        self.lifecycle.loaded(engine)
        fields = {
            "model_id": about.model_id,
            "model_version": about.model_version,
            "catalogue": about.catalogue,
            "version": self.settings.version,
        }
        _log.info("model loaded", extra={"fields": fields})

    async def search(self, query: str, filters: Filters, limit: int, *, counts: bool) -> SearchAnswer:
        """Run one search on the pool; refuse with 503 when too many wait already.

        `counts` says whether it is part of what is told about users' searches.
        """
        engine = self.lifecycle.engine
        if engine is None:
            self.metrics.rejected.labels("loading").inc()
            raise HTTPException(503, "the model is being loaded", _BUSY)
        if self.searching >= self.settings.max_concurrency:
            self.metrics.rejected.labels("busy").inc()
            raise HTTPException(503, "too many searches at once, try again", _BUSY)
        self.searching += 1
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self.pool, engine.find, query, filters, limit)
        except UnknownValueError as error:
            problem = {"type": "unknown_value", "loc": [error.field], "msg": str(error)}
            raise RequestValidationError([problem]) from error
        finally:
            self.searching -= 1
        hits = found.hits
        if counts:
            self._count(query, hits, found.error)
        self._log_prediction(query, hits, engine)
        about = engine.about
        return SearchAnswer(
            results=[Result(**_as_fields(hit)) for hit in hits],
            count=len(hits),
            model_id=about.model_id,
            model_version=about.model_version,
        )

    def _count(self, query: str, hits: list[Hit], error: float | None) -> None:
        self.metrics.inputs.labels("valid").inc()
        if not hits:
            self.metrics.empty.inc()
        if self.window is not None:
            self.window.add(query, hits[0].restaurant.cuisine if hits else None, error)

    async def watch_model(self) -> None:
        """Ask the golden set after the load and every hour; what that tells is in the metrics."""
        while (engine := self.lifecycle.engine) is not None and engine.questions:
            try:
                scores = await asyncio.get_running_loop().run_in_executor(None, engine.run_golden)
            except Exception:
                # The service goes on; that nobody asks any more is seen by the time of the last run.
                _log.exception("the golden set cannot be asked")
            else:
                self.metrics.golden(scores, time.time())
                fields = {group: score.precision for group, score in scores.items()}
                _log.info("golden set asked", extra={"fields": fields})
            await asyncio.sleep(self.settings.golden_seconds)

    def invalid(self, errors: Sequence[Mapping[str, Any]]) -> None:
        """Count a search that was refused for its input: no query at all, or something wrong."""
        self.metrics.inputs.labels("missing" if all(map(_lacks_query, errors)) else "invalid").inc()

    def _log_prediction(self, query: str, hits: list[Hit], engine: Engine) -> None:
        fields: dict[str, Any] = {
            "query_length": len(query),
            "query_hash": self.hasher(query),
            "results": len(hits),
            "top_ids": [hit.restaurant.id for hit in hits[:3]],
            "top_score": hits[0].score if hits else None,
            "model_version": engine.about.model_version,
        }
        if self.settings.log_queries:
            fields["query"] = query
        _log.info("prediction", extra={"fields": fields})


def _lacks_query(error: Mapping[str, Any]) -> bool:
    """Whether an error is that there is no query: none, an empty one, or null, which is how many clients send none."""
    if tuple(error["loc"])[1:] not in ((), ("query",), ("q",)):
        return False
    return error["type"] in ("missing", "string_too_short") or error.get("input", "") is None


def _by_user(request: Request) -> bool:
    """Whether a user asks, and not Davit's gate or load probe."""
    return not request.headers.get("user-agent", "").startswith("davit-")


def _as_fields(hit: Hit) -> dict[str, Any]:
    return {**hit.restaurant.as_dict(), "score": hit.score}


def create_app(service: Service) -> FastAPI:
    """Return the application of `service`; the model is loaded when it starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def work() -> None:
            await service.load()
            await service.watch_model()

        working = asyncio.create_task(work())
        yield
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        service.pool.shutdown()

    app = FastAPI(
        title="Restaurant search",
        version=service.settings.version,
        description="Finds restaurants by meaning. The built-in catalogue is synthetic.",
        lifespan=lifespan,
    )
    _add_probes(app, service)
    _add_search(app, service)

    async def unprocessable(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, RequestValidationError) and request.url.path == "/search" and _by_user(request):
            service.invalid(error.errors())
        return await _unprocessable(request, error)

    app.add_exception_handler(RequestValidationError, unprocessable)
    paths = frozenset(str(getattr(route, "path", "")) for route in app.routes)
    app.add_middleware(
        Envelope,
        lifecycle=service.lifecycle,
        metrics=service.metrics,
        max_body_bytes=service.settings.max_body_bytes,
        known_paths=paths | {"/healthz", "/readyz", "/version", "/metrics", "/search"},
    )
    return app


def _add_probes(app: FastAPI, service: Service) -> None:
    settings, lifecycle = service.settings, service.lifecycle

    @app.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        return Health(status="ok")

    @app.get("/readyz", summary="May traffic come?", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        if lifecycle.state is not State.READY:
            response.status_code = 503
        return Readiness(status=lifecycle.state, version=settings.version)

    @app.get("/version", summary="Which release and model answer?")
    async def version() -> Version:
        about = lifecycle.engine.about if lifecycle.engine else None
        return Version(
            version=settings.version,
            commit=settings.commit,
            deploy_label=settings.deploy_label,
            model_id=about.model_id if about else None,
            model_version=about.model_version if about else None,
            catalogue=about.catalogue if about else None,
        )

    @app.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _add_search(app: FastAPI, service: Service) -> None:
    errors: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (400, 413, 503)}

    @app.post("/search", summary="Search restaurants", responses=errors)
    async def search_post(body: SearchBody, request: Request) -> SearchAnswer:
        return await service.search(body.query, body.filters(), body.limit, counts=_by_user(request))

    @app.get("/search", summary="Search restaurants", responses=errors)
    async def search_get(parameters: Annotated[SearchParameters, Query()], request: Request) -> SearchAnswer:
        return await service.search(parameters.q, parameters.filters(), parameters.limit, counts=_by_user(request))


async def _unprocessable(_: Request, error: Exception) -> JSONResponse:
    """Answer 422 with place, message and type of each error, without echoing the input."""
    if not isinstance(error, RequestValidationError):
        raise error
    kept = ("type", "loc", "msg")
    detail = [{key: item[key] for key in kept if key in item} for item in error.errors()]
    return JSONResponse({"detail": detail}, 422)
