"""The service's Prometheus metrics on three levels (system, data, model), in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from restaurant_search.drift import CatalogueDrift, Window
from restaurant_search.golden import Scores
from restaurant_search.manifest import Manifest

# Up to 10 s: the alert on a slow search is about 10 s instead of 1.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
INPUTS = ("valid", "missing", "invalid")


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
        self.inputs = Counter("search_inputs", "Searches by what was asked.", ["outcome"], registry=registry)
        for outcome in INPUTS:
            self.inputs.labels(outcome)
        self.empty = Counter("search_empty_results", "Searches that found nothing.", registry=registry)
        self.created = Gauge(
            "catalogue_created_timestamp_seconds",
            "When the catalogue was exported, or else made into a model. A synthetic one does not age.",
            ["origin"],
            registry=registry,
        )
        self.entries = Gauge("catalogue_entries", "Restaurants in the catalogue.", registry=registry)
        by = ["group"]
        self.precision = Gauge(
            "model_golden_precision_at_10", "Of the golden set's first 10 results.", by, registry=registry
        )
        self.recall = Gauge("model_golden_recall_at_100", "Of the golden set's first 100.", by, registry=registry)
        self.f1 = Gauge("model_golden_f1", "Of that precision and recall.", by, registry=registry)
        self.golden_run: Gauge | None = None
        self.model = Info("model", "The model that answers.", registry=registry)
        self.build = Info("build", "The release that answers.", registry=registry)

    def loaded(
        self, about: Manifest, window: Window | None, catalogue: CatalogueDrift | None, *, questions: bool
    ) -> None:
        """Tell about the model from here on: of drift only with a reference, of answers only with questions."""
        self.model.info({"id": about.model_id, "version": about.model_version})
        # A file may be called so, but not go on like this.
        origin = "synthetic" if about.catalogue.startswith("synthetic (seed ") else "given"
        self.created.labels(origin).set(about.created_at)
        self.entries.set(about.restaurants)
        if questions and self.golden_run is None:
            # From now on and at 0: questions that nobody manages to ask are missed.
            self.golden_run = Gauge(
                "model_golden_last_run_timestamp_seconds", "When the golden set was last asked.", registry=self.registry
            )
        if window is not None and catalogue is not None:
            self.registry.register(_Drift(window, catalogue))

    def golden(self, scores: Mapping[str, Scores], when: float) -> None:
        """Tell how the golden set was answered at `when`, in seconds since 1970."""
        for group, score in scores.items():
            self.precision.labels(group).set(score.precision)
            self.recall.labels(group).set(score.recall)
            self.f1.labels(group).set(score.f1)
        if self.golden_run is not None:
            self.golden_run.set(when)

    def render(self) -> bytes:
        """Return the exposition in Prometheus' text format."""
        return generate_latest(self.registry)


class _Drift(Collector):
    """Measured when it is asked for. What has no verdict yet has no series, so that nothing is read into it."""

    def __init__(self, window: Window, catalogue: CatalogueDrift) -> None:
        self._window = window
        self._catalogue = catalogue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        seen = self._window.drift()
        yield _gauge("data_drift_window_requests", "Searches that the drift of queries is measured over.", seen.size)
        yield _gauges("data_drift_psi", "PSI of a feature of the queries.", seen.psi)
        if seen.unknown_words is not None:
            yield _gauge(
                "data_out_of_vocabulary_ratio", "Share of the queries' words that are unknown.", seen.unknown_words
            )
        if seen.error is not None:
            yield _gauge("model_reconstruction_error", "Mean distance of query embeddings.", seen.error)
        if self._window.usual_error is not None:
            yield _gauge("model_reconstruction_error_reference", "The same without drift.", self._window.usual_error)
        yield _gauges("catalogue_drift_psi", "PSI of a feature of the catalogue.", self._catalogue.psi)
        yield _gauge(
            "catalogue_out_of_vocabulary_ratio",
            "Share of the catalogue's words that are unknown.",
            self._catalogue.unknown_words,
        )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["feature"])
    for feature, value in values.items():
        family.add_metric([feature], value)
    return family
