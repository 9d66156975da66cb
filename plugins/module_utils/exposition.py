# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Prometheus' text format as a service's ``/metrics`` gives it: samples, and what can be said of several. No I/O here.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/. Exemplars and timestamps are
passed over.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import shorten

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:[^\"}}]|{_TEXT})*)\}})?\s+(\S+)")
_LABEL = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*{_TEXT}\s*(?:,|$)")
_MATCHER = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*{_TEXT}\s*(?:,|$)")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class Sample:
    """One series and its value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Selector:
    """A metric's name and what its labels have to be, written as in PromQL: ``name{path="/search",status=~"5.."}``."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises DavitError for what is no selector."""
        name, brace, rest = text.strip().partition("{")
        if not re.fullmatch(_NAME, name.strip()) or (brace and not rest.endswith("}")):
            raise DavitError(f'{text!r} is no metric: write name, or name{{label="value"}}.')
        found, at = [], 0
        labels = rest[:-1] if brace else ""
        while at < len(labels):
            match = _MATCHER.match(labels, at)
            if match is None:
                raise DavitError(f'{text!r} has labels that are not understood: write {{label="value"}}.')
            key, how, value = match.groups()
            if "~" in how:
                _compile(text, value)
            found.append((key, how, _unescape(value)))
            at = match.end()
        return cls(name.strip(), tuple(found))

    def named(self, suffix: str) -> Selector:
        """The same labels of another metric of the family, as ``_bucket`` of a histogram."""
        return Selector(self.name + suffix, self.matchers)

    def matches(self, sample: Sample) -> bool:
        return sample.name == self.name and all(_holds(sample.labels.get(k, ""), how, v) for k, how, v in self.matchers)

    def of(self, samples: Iterable[Sample]) -> list[Sample]:
        return [sample for sample in samples if self.matches(sample)]


def _compile(text: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DavitError(f"{text!r}: the pattern {pattern!r} cannot be read: {error}.") from error


def _holds(value: str, how: str, wanted: str) -> bool:
    if "~" in how:
        return (re.fullmatch(wanted, value) is not None) == (how == "=~")
    return (value == wanted) == (how == "=")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text)


def parse(text: str) -> list[Sample]:
    """Every sample of a page. Raises DavitError with the first line that is none."""
    samples = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _SAMPLE.match(stripped)
        try:
            value = float(match[4]) if match else None
        except ValueError:
            value = None
        if match is None or value is None:
            raise DavitError(f"line {number} of the metrics is no sample: {shorten(stripped, 80)!r}")
        labels = {key: _unescape(told) for key, told in _LABEL.findall(match[2] or "")}
        samples.append(Sample(match[1], labels, value))
    return samples


def since(before: Sequence[Sample], after: Sequence[Sample]) -> list[Sample]:
    """What counters have grown by. A series that is new began at 0, and so did one that is smaller than it was."""
    earlier = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in before}
    grown = []
    for sample in after:
        was = earlier.get((sample.name, tuple(sorted(sample.labels.items()))), 0.0)
        grown.append(Sample(sample.name, sample.labels, sample.value - was if sample.value >= was else sample.value))
    return grown


def quantile(wanted: float, buckets: Iterable[Sample]) -> float | None:
    """A quantile (0 to 1) out of a histogram's ``_bucket`` samples, interpolated as PromQL's histogram_quantile does.

    In the metric's own unit. Samples of several series are added up. None when nothing was observed; the highest
    finite bound when the quantile lies above it.
    """
    counted: dict[float, float] = defaultdict(float)
    for sample in buckets:
        counted[float(sample.labels.get("le", "nan"))] += sample.value
    bounds = sorted(bound for bound in counted if not math.isnan(bound))
    if not bounds or counted[bounds[-1]] <= 0:
        return None
    rank = wanted * counted[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if counted[bound] >= rank:
            if math.isinf(bound):
                return lower
            inside = counted[bound] - below
            return lower + (bound - lower) * ((rank - below) / inside if inside > 0 else 1.0)
        lower, below = bound, counted[bound]
    return lower
