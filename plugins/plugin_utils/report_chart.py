# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The chart of a deploy on one host, as SVG: its phases in time, and under them how the edge answered meanwhile."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.plugin_utils.report import HostReport, Phase

LEFT, RIGHT = 52, 10
_BAND, _PLOT, _HEIGHT = (20, 30), (66, 150), 246
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_LETTER = 6.6
"""Width of a letter of the labels, in the chart's own units."""


@dataclass(frozen=True)
class Scale:
    """Seconds since ``began`` to places between ``left`` and ``right``."""

    began: float
    seconds: float
    left: float
    right: float

    def at(self, when: float) -> float:
        share = (when - self.began) / self.seconds
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 1)


def chart(host: HostReport, width: int) -> str:
    """The chart, ``width`` units wide; '' when there is nothing to draw."""
    if not host.timeline:
        return ""
    series = host.series if _drawable(host.series) else {}
    began = min(phase.began for phase in host.timeline)
    ended = max(phase.began + phase.seconds for phase in host.timeline)
    scale = Scale(began, max(ended - began, 0.1), LEFT, width - RIGHT)
    top = _nice(max((ms for ms in series.get("max_ms", []) if ms is not None), default=0.0)) if series else 0
    height = _HEIGHT if series else 88
    bottom = _PLOT[0] + _PLOT[1] if series else 62
    parts = [*_grid(scale, top, bottom), *_phases(host.timeline, scale, bottom)]
    if series:
        parts += [*_area(series, scale, top), *_line(series, scale, top), *_failures(series, scale)]
    told = html.escape(f"Phases of the deploy on {host.host}, and how the edge answered meanwhile")
    return (
        f"<svg viewBox='0 0 {width} {height}' role='img' aria-label='{told}' xmlns='http://www.w3.org/2000/svg'>"
        f"{''.join(parts)}</svg>"
    )


def _drawable(series: Mapping[str, Any]) -> bool:
    """Whether the columns are there and of one length: a report must not fail for the sake of its chart."""
    columns = [series.get(key) for key in ("requests", "failures", "p95_ms", "max_ms")]
    return all(isinstance(c, list) and c and len(c) == len(columns[0] or []) for c in columns)


def _nice(value: float) -> float:
    """The smallest round number that is no smaller than ``value``, and of which the half is round as well."""
    unit = 1.0
    while unit * 10 < value:
        unit *= 10
    return next((unit * step for step in (1, 2, 3, 4, 6, 8) if unit * step >= value), unit * 10)


def _label(ms: float) -> str:
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"


def _height(ms: float, top: float) -> float:
    return round(_PLOT[0] + _PLOT[1] * (1 - min(ms / top, 1.0)), 1)


def ticks(seconds: float, room: float) -> list[int]:
    """Whole seconds to write under the axis, so that each has ``room`` for its label."""
    most = max(int(room // 62), 1)
    step = next((s for s in _STEPS if seconds / s <= most), _STEPS[-1])
    return [n * step for n in range(int(seconds // step) + 1)]


def clock(seconds: float) -> str:
    """``0:07``, ``12:30`` or ``1:02:03``."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _grid(scale: Scale, top: float, bottom: float) -> Iterator[str]:
    for second in ticks(scale.seconds, scale.right - scale.left):
        x = scale.at(scale.began + second)
        yield f"<line class='g' x1='{x}' x2='{x}' y1='{_BAND[0] + _BAND[1]}' y2='{bottom}'/>"
        yield f"<text class='t' x='{x}' y='{bottom + 17}' text-anchor='middle'>{clock(second)}</text>"
    if not top:
        return
    for share in (0.0, 0.5, 1.0):
        y = _height(top * share, top)
        yield f"<line class='g' x1='{scale.left}' x2='{scale.right}' y1='{y}' y2='{y}'/>"
        yield f"<text class='t' x='{scale.left - 7}' y='{y + 4}' text-anchor='end'>{_label(top * share)}</text>"


def _phases(timeline: Sequence[Phase], scale: Scale, bottom: float) -> Iterator[str]:
    y, height = _BAND
    for phase in timeline:
        left, right = scale.at(phase.began), scale.at(phase.began + phase.seconds)
        wide = max(right - left - 1, 1.5)
        name = html.escape(phase.phase)
        kind = "bad" if phase.failed else f"p-{''.join(c for c in phase.phase if c.isalpha())}"
        yield (
            f"<rect class='p {kind}' x='{left}' y='{y}' width='{round(wide, 1)}' height='{height}' rx='3'>"
            f"<title>{name}: {phase.seconds:.1f} s</title></rect>"
        )
        for text in (f"{phase.phase} {phase.seconds:.1f} s", phase.phase):
            if len(text) * _LETTER + 8 <= wide:
                middle = round(left + wide / 2, 1)
                yield f"<text class='l' x='{middle}' y='{y + 20}' text-anchor='middle'>{html.escape(text)}</text>"
                break
    for phase in timeline:
        if phase.phase in ("switch", "switch and soak"):
            x = scale.at(phase.began)
            yield f"<line class='s' x1='{x}' x2='{x}' y1='{y - 5}' y2='{bottom}'/>"
            near_end = x > scale.right - 90
            side, place = ("end", x - 5) if near_end else ("start", x + 5)
            yield f"<text class='t' x='{place}' y='13' text-anchor='{side}'>traffic moves</text>"


def _spans(series: Mapping[str, Any], column: str, scale: Scale) -> Iterator[tuple[float, float, Any]]:
    """Left and right end and value of each point that lies within the run."""
    began, width = float(series.get("began", 0.0)), float(series.get("width", 1))
    for number, value in enumerate(series[column]):
        left = began + number * width
        if left >= scale.began + scale.seconds:
            return
        yield scale.at(left), scale.at(left + width), value


def _line(series: Mapping[str, Any], scale: Scale, top: float) -> Iterator[str]:
    """The 95th percentile, interrupted where nothing was answered well; one point alone is a dot."""
    run: list[str] = []
    runs = [run]
    for left, right, ms in _spans(series, "p95_ms", scale):
        if ms is None:
            run = []
            runs.append(run)
        else:
            run.append(f"{round((left + right) / 2, 1)},{_height(ms, top)}")
    for points in filter(None, runs):
        if len(points) == 1:
            x, _comma, y = points[0].partition(",")
            yield f"<circle class='d' cx='{x}' cy='{y}' r='2.5'/>"
        else:
            yield f"<polyline class='d' points='{' '.join(points)}'/>"


def _area(series: Mapping[str, Any], scale: Scale, top: float) -> Iterator[str]:
    """The slowest answer of each point, as a pale bar."""
    base = _PLOT[0] + _PLOT[1]
    for left, right, ms in _spans(series, "max_ms", scale):
        if ms is not None and right > left:
            y = _height(ms, top)
            wide, high = round(max(right - left - 0.5, 0.5), 1), round(base - y, 1)
            yield f"<rect class='m' x='{left}' y='{y}' width='{wide}' height='{high}'/>"


def _failures(series: Mapping[str, Any], scale: Scale) -> Iterator[str]:
    """A red bar over the whole height, since one lost request must not be overlooked."""
    for left, right, lost in _spans(series, "failures", scale):
        if lost:
            wide = round(max(right - left, 4.0), 1)
            yield (
                f"<rect class='f' x='{left}' y='{_PLOT[0]}' width='{wide}' height='{_PLOT[1]}'>"
                f"<title>{int(lost)} failed</title></rect>"
            )
            yield (
                f"<text class='n' x='{round(left + wide / 2, 1)}' y='{_PLOT[0] + 12}' text-anchor='middle'>"
                f"{int(lost)}</text>"
            )
