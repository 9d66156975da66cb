"""The service's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

# Up to 10 s: the alert on a slow search is about 10 s instead of 1.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        """Register the metrics."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter("http_requests", "Requests answered.", ["method", "path", "status"], registry=registry)
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request.",
            ["method", "path"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests being answered.", registry=registry)
        self.rejected = Counter("search_rejected", "Searches refused with 503.", ["reason"], registry=registry)
        self.ready = Gauge("service_ready", "1 when ready for traffic.", registry=registry)
        self.model = Info("model", "The model that answers.", registry=registry)
        self.build = Info("build", "The release that answers.", registry=registry)

    def render(self) -> bytes:
        """Return the exposition in Prometheus' text format."""
        return generate_latest(self.registry)
