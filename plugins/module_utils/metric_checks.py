# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Bounds on what a service, or a Prometheus, tells of itself. No I/O here.

A check is about one of: a gauge (each series of it), a share (one counter of another one), or a quantile of a
histogram; or it is a query to Prometheus. Counters and histograms are looked at since the gate began, so that what
happened while the service loaded is not held against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import exposition
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.exposition import Sample, Selector
from ansible_collections.davit.ec2.plugins.module_utils.gates import FAIL, INCONCLUSIVE, PASS

GATE, SOAK = "gate", "soak"
LEVELS = ("system", "data", "model")
_KEYS = frozenset(
    {"name", "level", "at", "metric", "of", "quantile", "promql", "min", "max", "samples", "min_samples", "service"}
)


@dataclass(frozen=True)
class MetricCheck:
    """One bound. ``least`` and ``most`` are in the metric's own unit; ``at`` says when it is looked at."""

    name: str
    level: str
    at: tuple[str, ...]
    metric: Selector | None = None
    of: Selector | None = None
    quantile: float | None = None
    promql: str = ""
    least: float | None = None
    most: float | None = None
    samples: Selector | None = None
    min_samples: float | None = None

    @property
    def enough(self) -> float:
        """The number of samples below which there is no verdict."""
        return 1.0 if self.min_samples is None else self.min_samples


@dataclass(frozen=True)
class Finding:
    """What one check came to."""

    name: str
    level: str
    verdict: str
    observed: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        told = {"name": self.name, "level": self.level, "verdict": self.verdict, "observed": self.observed}
        return {**told, **self.evidence}


def parse(entry: Mapping[str, Any]) -> MetricCheck:
    """A check as declared in variables. Raises DavitError with what is wrong with it."""
    name = str(entry.get("name") or entry.get("metric") or entry.get("promql") or "")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise DavitError(
            f"The metric gate '{name}' has the unknown key '{unknown[0]}'; known: {', '.join(sorted(_KEYS))}."
        )
    if bool(entry.get("metric")) == bool(entry.get("promql")):
        raise DavitError(f"The metric gate '{name}' needs either 'metric' or 'promql'.")
    if entry.get("min") is None and entry.get("max") is None:
        raise DavitError(f"The metric gate '{name}' needs 'min', 'max' or both.")
    level, at = str(entry.get("level", "system")), entry.get("at") or [GATE]
    at = (at,) if isinstance(at, str) else tuple(at)
    if level not in LEVELS or not set(at) <= {GATE, SOAK}:
        raise DavitError(
            f"The metric gate '{name}': 'level' is one of {', '.join(LEVELS)}; 'at' is gate, soak or both."
        )
    wanted = entry.get("quantile")
    if wanted is not None and not 0 < float(wanted) < 1:
        raise DavitError(f"The metric gate '{name}': 'quantile' lies between 0 and 1, as in 0.95.")
    if entry.get("promql") and any(entry.get(key) for key in ("of", "quantile", "samples")):
        raise DavitError(
            f"The metric gate '{name}': 'of', 'quantile' and 'samples' go with 'metric'; say it in the query."
        )
    return MetricCheck(
        name=name,
        level=level,
        at=at,
        metric=_selector(entry.get("metric")),
        of=_selector(entry.get("of")),
        quantile=None if wanted is None else float(wanted),
        promql=str(entry.get("promql") or ""),
        least=_number(entry.get("min")),
        most=_number(entry.get("max")),
        samples=_selector(entry.get("samples")),
        min_samples=_number(entry.get("min_samples")),
    )


def _selector(text: Any) -> Selector | None:
    return Selector.parse(str(text)) if text else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def judge(check: MetricCheck, before: Sequence[Sample], after: Sequence[Sample]) -> Finding:
    """Whether the metrics are within the bounds. Series that are not there, or too few samples, are inconclusive."""
    if check.metric is None:
        raise ValueError("a query is judged by judge_query")
    if check.quantile is not None:
        return _quantile(check, check.metric, check.quantile, exposition.since(before, after))
    if check.of is not None:
        return _share(check, check.metric, check.of, exposition.since(before, after))
    found = check.metric.of(after)
    if not found:
        return _unknown(check, f"the service tells no {check.metric.name}")
    if check.samples is not None:
        seen = sum(sample.value for sample in check.samples.of(after))
        if seen < check.enough:
            return _too_few(check, seen)
    return _bounds(check, [(_labels(sample.labels), sample.value) for sample in found])


def judge_query(check: MetricCheck, answer: Mapping[str, Any]) -> Finding:
    """The same for what Prometheus answered to ``/api/v1/query`` (an instant vector or a scalar)."""
    if answer.get("status") != "success":
        return _unknown(check, f"Prometheus: {answer.get('error', 'no answer')}")
    data = answer.get("data") or {}
    result = data.get("result") or []
    if data.get("resultType") == "scalar":
        return _bounds(check, [("", float(result[1]))])
    if not result:
        return _unknown(check, "the query has no result")
    values = [(_labels(series.get("metric") or {}), float(series["value"][1])) for series in result]
    if all(math.isnan(value) for _label, value in values):
        # What a share of nothing comes to: no traffic is no evidence, for or against.
        return _unknown(check, "the query has no result but NaN")
    return _bounds(check, values)


def _quantile(check: MetricCheck, metric: Selector, wanted: float, grown: Sequence[Sample]) -> Finding:
    seen = sum(sample.value for sample in metric.named("_count").of(grown))
    if seen < check.enough:
        return _too_few(check, seen)
    value = exposition.quantile(wanted, metric.named("_bucket").of(grown))
    if value is None:
        return _unknown(check, f"{metric.name} has no buckets")
    return _bounds(check, [("", value)], seen)


def _share(check: MetricCheck, part: Selector, whole: Selector, grown: Sequence[Sample]) -> Finding:
    total = sum(sample.value for sample in whole.of(grown))
    if total < max(check.enough, 1):
        return _too_few(check, total)
    counted = sum(sample.value for sample in part.of(grown))
    if check.min_samples is None and check.most and 0 < counted <= 1 and counted / total > check.most:
        # A first failure is a rate of 100 %, also of a release that keeps its bound.
        return _unknown(check, f"1 of {total:g}, which is no rate below {1 / check.most:.0f} samples")
    return _bounds(check, [("", counted / total)], total)


def _bounds(check: MetricCheck, values: Sequence[tuple[str, float]], samples: float | None = None) -> Finding:
    # Written so that NaN, which is less and more than nothing, is within no bounds.
    wrong = [
        (label, value)
        for label, value in values
        if not ((check.least is None or value >= check.least) and (check.most is None or value <= check.most))
    ]
    label, value = (wrong or list(values))[0]
    told = f"{value:.4g}{f' ({label})' if label else ''}"
    limits = [f"at least {check.least:g}"] if check.least is not None else []
    limits += [f"at most {check.most:g}"] if check.most is not None else []
    evidence: dict[str, Any] = {"values": {name or "value": round(number, 6) for name, number in values[:20]}}
    if samples is not None:
        evidence["samples"] = samples
    if wrong:
        return Finding(check.name, check.level, FAIL, f"{told} instead of {' and '.join(limits)}", evidence)
    return Finding(check.name, check.level, PASS, f"{told}, within {' and '.join(limits)}", evidence)


def _too_few(check: MetricCheck, seen: float) -> Finding:
    return _unknown(check, f"{seen:g} samples, and no verdict below {check.enough:g}")


def _unknown(check: MetricCheck, why: str) -> Finding:
    return Finding(check.name, check.level, INCONCLUSIVE, why)


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key != "__name__")
