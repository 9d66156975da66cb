# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The report of a deploy or rollback as Markdown, for the summary of a job."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.plugin_utils.report import (
    MARKS,
    NOT_COMPARED,
    HostReport,
    Report,
    change_lines,
    headline,
    live_on,
    probe_line,
    same_changes,
    version_step,
)

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 60
_LINE, _CAUSE = 500, 4000
"""Characters of a line of a log, and of a cause."""
SUMMARY_BYTES = 1_000_000
"""GitHub shows nothing at all of a summary that has more than 1 MiB."""
_CUT = "*Too long for a summary: this is its beginning, and the report's files have the whole.*\n\n"


def fitted(text: str, room: int) -> str:
    """The text, or as many of its lines as there is room for (in bytes), and that it was cut."""
    content = text.encode()
    if len(content) <= room:
        return text
    kept = content[: max(room - len(_CUT), 0)].decode(errors="ignore").rpartition("\n")[0]
    return f"{_CUT}{kept}\n" if kept else ""


def markdown(report: Report) -> str:
    """The whole report, what matters most first."""
    lines = [f"## {_cell(headline(report))}", ""]
    head = ("host", "result", "live", "phases", "through the edge", "can return to")
    lines += _table(head, (_row(host) for host in report.hosts))
    for host in report.hosts:
        lines += ["", f"Stopped and undone on {_cell(host.host)}: {_cell(host.stopped)}"] if host.stopped else []
    for host in report.hosts:
        if host.cause:
            lines += [
                "",
                f"**{_cell(host.host)} failed in {_cell(host.failed_in)}**",
                "",
                *_fenced(_short(host.cause, _CAUSE).splitlines()),
            ]
    for host in report.hosts:
        lines += _latency(host)
    for hosts, changes in same_changes(report):
        lines += _changes(hosts, changes)
    for host in report.hosts:
        lines += _checks(host)
        for service, words in host.logs.items():
            lines += [
                "",
                f"Last words of `{_cell(service)}`:",
                "",
                *_fenced(_short(line, _LINE) for line in words[-20:]),
            ]
    return "\n".join(lines) + "\n"


def _row(host: HostReport) -> tuple[str, ...]:
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in host.phases.items())
    back = "not known" if host.can_return_to is None else next(iter(host.can_return_to), "nothing yet")
    return (host.host, host.result, live_on(host), phases, probe_line(host.probe), back)


def _latency(host: HostReport) -> list[str]:
    seen = host.series
    if not seen:
        return []
    times = [ms for ms in seen.get("p95_ms") or [] if ms is not None]
    if not times:
        return []
    bad = sum(1 for failures in seen.get("failures") or [] if failures)
    lost = f"failures in {bad} of them" if bad else "no failures"
    said = f"95 % of the answers in {min(times):.0f} to {max(times):.0f} ms, {lost}"
    return ["", f"{_cell(host.host)}, every {seen.get('width', 1)} s: `{sparkline(seen['p95_ms'])}` {said}"]


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, or for the largest of several when there are many; a blank where there is none."""
    each = -(-len(values) // _WIDEST) or 1
    groups = [[v for v in values[n : n + each] if v is not None] for n in range(0, len(values), each)]
    top = max((max(group) for group in groups if group), default=0.0) or 1.0
    return "".join(_BARS[round(max(group) / top * (len(_BARS) - 1))] if group else " " for group in groups)


def _changes(hosts: Sequence[str], changes: Mapping[str, Any]) -> list[str]:
    against = ", ".join(filter(None, (str(changes.get("against")), version_step(changes))))
    lines = ["", f"### Changes on {_cell(', '.join(hosts))}, against {_cell(against)}", ""]
    rows = change_lines(changes)
    compose = changes.get("compose") or []
    lines += _table(("what", "change"), rows) if rows else []
    if compose:
        lines += ["", "<details><summary>Compose file</summary>", "", *_fenced(compose, "diff"), "", "</details>"]
    return lines if rows or compose else [*lines, NOT_COMPARED]


def _checks(host: HostReport) -> list[str]:
    shown = [check for check in host.checks if check.get("verdict") != "pass"] or host.checks
    if not shown:
        return []
    rows = (
        (MARKS.get(str(c.get("verdict")), ""), str(c.get("phase")), str(c.get("name")), str(c.get("observed")))
        for c in shown
    )
    # In a block of HTML nothing is Markdown.
    head = ["", f"<details><summary>Checks on {html.escape(' '.join(host.host.split()))}</summary>", ""]
    return [*head, *_table(("", "phase", "check", "seen"), rows), "", "</details>"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]


def _cell(text: object) -> str:
    """A text that cannot leave its cell, nor be markup."""
    escaped = html.escape(str(text), quote=False).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
    for mark in "[]*_~":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most} characters more)"


def _fenced(lines: Iterable[str], language: str = "text") -> list[str]:
    return [f"~~~{language}", *(part.replace("~~~", "~ ~ ~") for line in lines for part in _parts(line)), "~~~"]


def _parts(line: object) -> list[str]:
    """A line of a log may hold further line breaks."""
    return str(line).splitlines() or [""]
