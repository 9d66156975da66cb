# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a deploy or rollback came to, for people: one record out of what its steps returned, as JSON, Markdown and HTML.

Only fields that are known to hold nothing secret are taken out of a step's result.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PREFIX = "davit.ec2."
PHASES = {
    "release_secrets": "preflight",
    "release_preflight": "preflight",
    "release_resolve": "fetch",
    "release_fetch": "fetch",
    "release_start": "start and gate",
    "release_switch": "switch and soak",
    "release_finish": "finish",
    "rollback": "rollback",
}
UNCHANGED, SUCCEEDED, FAILED, ROLLED_BACK = "unchanged", "succeeded", "failed", "rolled back"
_MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}


@dataclass(frozen=True)
class Step:
    """One step on one host, with what it returned; times in seconds since 1970."""

    host: str
    action: str
    began: float
    ended: float
    failed: bool
    result: Mapping[str, Any]


@dataclass
class HostReport:
    """How it went on one host. Seconds by phase; ``checks`` are those of every gate, with what was seen."""

    host: str
    result: str = UNCHANGED
    phases: dict[str, float] = field(default_factory=dict)
    failed_in: str = ""
    cause: str = ""
    release: str = ""
    live: str = ""
    can_return_to: list[str] = field(default_factory=list)
    probe: dict[str, Any] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Report:
    """The whole run. ``result`` is the worst of its hosts."""

    app: str
    action: str
    version: str
    began: float
    ended: float
    result: str
    hosts: list[HostReport]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def make(app: str, steps: Sequence[Step]) -> Report | None:
    """The report of these steps, in the order in which they ended; None when none of them is a step of a release."""
    known = [step for step in steps if step.action.removeprefix(PREFIX) in PHASES]
    if not known:
        return None
    hosts: dict[str, HostReport] = {}
    version = ""
    deploys = any(step.action.removeprefix(PREFIX) in ("release_secrets", "release_preflight") for step in known)
    for step in known:
        report = hosts.setdefault(step.host, HostReport(step.host))
        version = str(step.result.get("version") or version)
        _add(report, step, reverting=deploys)
    worst = max((h.result for h in hosts.values()), key=[UNCHANGED, SUCCEEDED, ROLLED_BACK, FAILED].index)
    action = "deploy" if deploys else "rollback"
    began, ended = min(s.began for s in known), max(s.ended for s in known)
    return Report(app, action, version, began, ended, worst, list(hosts.values()))


def _add(report: HostReport, step: Step, *, reverting: bool) -> None:
    name = step.action.removeprefix(PREFIX)
    phase = "revert" if name == "rollback" and reverting else PHASES[name]
    result = step.result
    report.phases[phase] = round(report.phases.get(phase, 0.0) + step.ended - step.began, 2)
    report.release = str(result.get("release") or report.release)
    report.live = str(result.get("live") or report.live)
    report.images = {str(k): str(v) for k, v in (result.get("images") or {}).items()} or report.images
    verdict = result.get("verdict") or {}
    report.checks += [{"phase": phase, **check} for check in verdict.get("checks") or []]
    ended = result.get("ended") or {}
    if ended:
        report.live = str(ended.get("live") or "")
        report.result = str(ended.get("result") or report.result)
        report.can_return_to = [str(one) for one in ended.get("can_return_to") or []]
        report.probe = dict(ended.get("probe") or {})
    if step.failed and not report.cause:
        report.failed_in = phase
        report.cause = str(result.get("msg", "it cannot be reached")).strip()
        report.logs = {str(k): [str(line) for line in v] for k, v in (result.get("logs") or {}).items()}
        if report.result in (UNCHANGED, SUCCEEDED):
            report.result = FAILED


def probe_line(seen: Mapping[str, Any]) -> str:
    """What the load probe saw, in one line."""
    if not seen or not seen.get("requests"):
        return "not measured"
    times = "/".join(f"{seen.get(key) or 0:.0f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
    gap = f", longest gap {seen.get('longest_gap_ms') or 0:.0f} ms" if seen.get("failures") else ""
    return f"{seen['requests']} requests, {seen.get('failures', 0)} failed{gap}, p50/p95/p99 {times} ms"


def headline(report: Report) -> str:
    """One line that says it all."""
    what = f"{report.action} of {report.app}{f' {report.version}' if report.version else ''}"
    return f"{what}: {report.result} on {len(report.hosts)} host(s) in {report.ended - report.began:.0f} s"


def markdown(report: Report) -> str:
    """For a job's summary."""
    lines = [f"## {_cell(headline(report))}", ""]
    head = ("host", "result", "live", "phases", "through the edge", "can return to")
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for host in report.hosts:
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in host.phases.items())
        back = host.can_return_to[0] if host.can_return_to else "nothing yet"
        row = (host.host, host.result, host.live or "nothing", phases, probe_line(host.probe), back)
        lines.append(f"| {' | '.join(map(_cell, row))} |")
    for host in report.hosts:
        if host.cause:
            lines += ["", f"**{_cell(host.host)} failed in {host.failed_in}**", "", *_fenced(host.cause.splitlines())]
        shown = [check for check in host.checks if check.get("verdict") != "pass"] or host.checks
        if shown:
            lines += [
                "",
                f"<details><summary>Checks on {_cell(host.host)}</summary>",
                "",
                "| | check | seen |",
                "|---|---|---|",
            ]
            lines += [
                f"| {_MARKS.get(str(c.get('verdict')), '')} | {_cell(c.get('name'))} | {_cell(c.get('observed'))} |"
                for c in shown
            ]
            lines += ["", "</details>"]
        for service, words in host.logs.items():
            lines += ["", f"Last words of `{_cell(service)}`:", "", *_fenced(words[-20:])]
    return "\n".join(lines) + "\n"


def _cell(text: object) -> str:
    """A text that cannot leave its cell, nor be markup."""
    return " ".join(html.escape(str(text), quote=False).replace("|", "\\|").replace("`", "'").split())


def _fenced(lines: Iterable[str]) -> list[str]:
    return ["~~~text", *(line.replace("~~~", "~ ~ ~") for line in lines), "~~~"]


_STYLE = """
:root { color-scheme: light dark; --line: #d7dbe2; --good: #16803c; --bad: #c4320a; --bar: #2563eb; --card: #fff;
  --ground: #f4f5f7; }
@media (prefers-color-scheme: dark) { :root { --line: #2c3542; --good: #4ade80; --bad: #fb7a50; --bar: #3b5bbf;
  --card: #1b212b; --ground: #12161d; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; background: var(--ground); }
main { max-width: 1000px; margin: 0 auto; padding: 24px 16px; }
h1 { font-size: 22px; } h2 { font-size: 16px; margin: 10px 0 8px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px;
  margin: 14px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); }
pre { overflow: auto; background: var(--ground); padding: 10px; border-radius: 6px; font-size: 13px; }
.bar { display: flex; height: 24px; border-radius: 4px; overflow: hidden; margin: 8px 0; }
.bar div { background: var(--bar); border-right: 2px solid var(--card); color: #fff; font-size: 12px; padding: 3px 6px;
  white-space: nowrap; overflow: hidden; }
.bar .broken { background: var(--bad); }
"""


def as_html(report: Report) -> str:
    """One self-contained page."""
    good = report.result in (SUCCEEDED, UNCHANGED)
    parts = [f"<h1 class='{'good' if good else 'bad'}'>{html.escape(headline(report))}</h1>"]
    parts += [_host_html(host) for host in report.hosts]
    title = html.escape(headline(report))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _host_html(host: HostReport) -> str:
    text = html.escape
    total = sum(host.phases.values()) or 1.0
    bars = "".join(
        f"<div class='{'broken' if name == host.failed_in else ''}' style='flex:{max(seconds / total, 0.02):.3f}'"
        f" title='{text(name)}: {seconds:.1f} s'>{text(name)} {seconds:.1f} s</div>"
        for name, seconds in host.phases.items()
    )
    facts = {
        "live": host.live or "nothing",
        "release": host.release,
        "through the edge": probe_line(host.probe),
        "a rollback would bring back": ", ".join(host.can_return_to) or "nothing yet",
        **{f"image of {service}": image for service, image in host.images.items()},
    }
    rows = "".join(f"<tr><th>{text(k)}</th><td>{text(str(v))}</td></tr>" for k, v in facts.items() if v)
    parts = [f"<h2>{text(host.host)}: {text(host.result)}</h2><div class='bar'>{bars}</div><table>{rows}</table>"]
    if host.cause:
        parts.append(f"<h2 class='bad'>Failed in {text(host.failed_in)}</h2><pre>{text(host.cause)}</pre>")
    if host.checks:
        checks = "".join(
            f"<tr><td class='{'good' if c.get('verdict') == 'pass' else 'bad'}'>"
            f"{_MARKS.get(str(c.get('verdict')), '')}</td>"
            f"<td>{text(str(c.get('phase')))}</td><td>{text(str(c.get('name')))}</td>"
            f"<td>{text(str(c.get('observed')))}</td></tr>"
            for c in host.checks
        )
        parts.append(f"<h2>Checks</h2><table>{checks}</table>")
    parts += [f"<h2>Last words of {text(s)}</h2><pre>{text(chr(10).join(w))}</pre>" for s, w in host.logs.items()]
    return f"<section>{''.join(parts)}</section>"
