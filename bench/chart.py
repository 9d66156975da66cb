"""The chart of failed requests over time: a panel for each way, all on one scale. Pure: figures in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.figures import Way, middle

WIDTH, LEFT, RIGHT = 760.0, 64.0, 24.0
HEAD, PANEL, GAP, FOOT = 64.0, 72.0, 34.0, 46.0
INK, FAINT, GRID, BAND, BAR = "#1f2328", "#59636e", "#d8dee4", "#eef1f4", "#c4432b"
TICK_SECONDS = 2


@dataclass(frozen=True)
class Axis:
    """Time in seconds around the start of a change, along the width of the chart."""

    before: float
    after: float
    step: float

    def x(self, seconds: float) -> float:
        """Where this second is; what lies beyond the end is at the end."""
        return LEFT + (min(seconds, self.after) + self.before) * (WIDTH - LEFT - RIGHT) / (self.before + self.after)


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 12, fill: str = FAINT) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{fill}">{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def _panel(way: Way, top: float, rate: int, axis: Axis) -> list[str]:
    """One way: its name and total, the band of its median change, and a bar for each stretch of time."""
    bottom, scale = top + PANEL, PANEL / rate
    changes = f"{len(way.walls)} change{'s' if len(way.walls) > 1 else ''}"
    total = f"{way.failed:,} failed of {way.requests:,} in {changes}"
    parts = [
        _text(LEFT, top - 8, way.title.replace("`", ""), size=13, fill=INK),
        _text(WIDTH - RIGHT, top - 8, total, "end"),
        _rect(axis.x(0), top, axis.x(middle(way.walls) or 0) - axis.x(0), PANEL, BAND),
        _line(LEFT, top, WIDTH - RIGHT, top, GRID),
        _text(LEFT - 8, top + 4, str(rate), "end", 11),
        _text(LEFT - 8, bottom + 4, "0", "end", 11),
    ]
    width = axis.x(axis.step) - axis.x(0)
    for number, failed in enumerate(way.failures_per_second):
        # The generator catches up after a stall, for a moment above its rate.
        height = min(failed * scale, PANEL)
        if height:
            x = axis.x(number * axis.step - axis.before)
            parts.append(_rect(x, bottom - height, width - 1, height, BAR))
    watched = axis.x(len(way.failures_per_second) * axis.step - axis.before)
    return [*parts, _line(LEFT, bottom, watched, bottom, FAINT)]


def chart(ways: Sequence[Way], rate: int, axis: Axis) -> str:
    """The whole image, with its title."""
    foot = HEAD + len(ways) * (PANEL + GAP)
    height = foot + FOOT
    parts = [
        _rect(0, 0, WIDTH, height, "#ffffff"),
        _text(LEFT, 24, f"Failed requests per second around a change, of {rate} sent", size=15, fill=INK),
        _text(
            LEFT,
            44,
            "Mean over the changes of each way. Grey: the median change. The base line ends where watching ended.",
        ),
    ]
    for number, way in enumerate(ways):
        parts += _panel(way, HEAD + GAP + number * (PANEL + GAP), rate, axis)
    for second in range(-int(axis.before), int(axis.after) + 1, TICK_SECONDS):
        parts.append(_text(axis.x(second), foot + 18, str(second), "middle", 11))
    parts.append(_text(axis.x(axis.after), foot + 36, "seconds since the change began", "end"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" width="{WIDTH:.0f}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, sans-serif">\n'
        f"<title>Failed requests over time for each way of changing the release</title>\n{body}\n</svg>\n"
    )
