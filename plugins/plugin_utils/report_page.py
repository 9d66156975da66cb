# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The report of a deploy or rollback as one page of HTML that needs nothing else, neither script nor network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.plan import FAILED, ROLLBACK, ROLLED_BACK, SUCCEEDED
from ansible_collections.davit.ec2.plugins.plugin_utils.report import (
    MARKS,
    NOT_COMPARED,
    UNCHANGED,
    HostReport,
    Report,
    change_lines,
    headline,
    live_on,
    same_changes,
    version_step,
)
from ansible_collections.davit.ec2.plugins.plugin_utils.report_chart import chart

WIDE, NARROW = 900, 340

_STYLE = """
:root { color-scheme: light dark; --ink: #16202e; --soft: #5b6777; --line: #dde2e9; --card: #fff; --ground: #f3f5f8;
  --good: #14783a; --good-bg: #e3f4e8; --bad: #b3261e; --bad-bg: #fce8e6; --data: #1d5fd1; --pale: #bcd3f7;
  --p1: #64748b; --p2: #4b6cb7; --p3: #7a5bb5; --p4: #b86a00; --p5: #0f7f74; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf4; --soft: #9aa7b8; --line: #2b3542; --card: #1a212b;
  --ground: #11161d; --good: #6ee09a; --good-bg: #14351f; --bad: #ff9b8f; --bad-bg: #44201d; --data: #7fb0ff;
  --pale: #2d4874; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; margin: 0; background: var(--ground);
  color: var(--ink); }
main { max-width: 1000px; margin: 0 auto; padding: 28px 16px 40px; }
h1 { font-size: 26px; line-height: 1.25; margin: 8px 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 10px; overflow-wrap: anywhere; }
h3 { font-size: 14px; margin: 18px 0 6px; color: var(--soft); font-weight: 600; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.pill { display: inline-block; padding: 3px 11px; border-radius: 99px; font-size: 13px; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .tile.good, .tile.bad { color: inherit; }
.tile.good b { color: var(--good); } .tile.bad b { color: var(--bad); }
.pill.good { background: var(--good-bg); } .pill.bad { background: var(--bad-bg); }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 10px 14px; flex: 1 1 160px; } .tile.id { flex-basis: 250px; }
.tile b { display: block; font-size: 21px; line-height: 1.3; overflow-wrap: anywhere; }
.tile.id b { font: 600 14px/2 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.tile span { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
section { padding: 16px 18px; margin: 14px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; font-weight: 400; }
tr:last-child > * { border-bottom: 0; } th { color: var(--soft); }
table.facts th { width: 210px; }
td.mark { width: 22px; font-weight: 700; } td.phase { width: 70px; color: var(--soft); }
pre { overflow: auto; background: var(--ground); padding: 10px 12px; border-radius: 8px; font-size: 13px; margin: 6px 0;
  max-height: 440px; white-space: pre-wrap; overflow-wrap: anywhere; }
pre .add { color: var(--good); } pre .del { color: var(--bad); } pre .at { color: var(--soft); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 13px; }
svg { width: 100%; height: auto; display: block; } .narrow { display: none; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); } svg .l { fill: #fff; font-weight: 600; }
svg .n { fill: var(--bad); font-weight: 700; } svg .g { stroke: var(--line); } svg .m { fill: var(--pale); }
svg polyline.d { fill: none; stroke: var(--data); stroke-width: 2; stroke-linejoin: round; }
svg circle.d { fill: var(--data); } svg .f { fill: var(--bad); opacity: .22; }
svg .s { stroke: var(--p4); stroke-width: 1.5; stroke-dasharray: 4 3; }
.p { fill: var(--p1); background: var(--p1); } .p-fetch { fill: var(--p1); background: var(--p1); }
.p-start { fill: var(--p2); background: var(--p2); } .p-gate { fill: var(--p3); background: var(--p3); }
.p-startandgate { fill: var(--p3); background: var(--p3); } .p-switch { fill: var(--p4); background: var(--p4); }
.p-soak, .p-switchandsoak { fill: var(--p5); background: var(--p5); } .p.bad { fill: #b3261e; background: #b3261e; }
.p-revert, .p-rollback { fill: var(--p4); background: var(--p4); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; list-style: none; padding: 0; margin: 10px 0 4px;
  font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.legend .i-max { background: var(--pale); } .legend .i-p95 { background: var(--data); height: 3px; margin-bottom: 3px; }
.legend .i-lost { background: var(--bad); }
@media (max-width: 640px) { .wide { display: none; } .narrow { display: block; } h1 { font-size: 21px; }
  main { padding: 16px 10px 28px; } section { padding: 14px 12px; } .tile { flex-basis: 40%; }
  .tile b { font-size: 17px; } table.facts th { width: 110px; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def as_html(report: Report) -> str:
    """The page."""
    parts = [_head(report), _tiles(report)]
    parts += [_failure(host) for host in report.hosts if host.cause]
    parts += [_host(host) for host in report.hosts]
    parts += [_changes(hosts, changes) for hosts, changes in same_changes(report)]
    parts += [_checks(host) for host in report.hosts if host.checks]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'><link rel='icon' href='data:,'>"
        f"<title>{_text(headline(report))}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def title(report: Report) -> str:
    """What came of it, as a sentence."""
    if report.action == ROLLBACK and report.result == SUCCEEDED:
        live = next((host.live for host in report.hosts if host.live), "")
        return f"{report.app} is back at {live}" if live else f"{report.app}: no release is live"
    return {
        SUCCEEDED: f"{report.what} is live",
        UNCHANGED: f"{report.what}: nothing changed",
        ROLLED_BACK: f"{report.what} was rolled back",
        FAILED: f"The {report.action} of {report.what} failed",
    }[report.result]


def _head(report: Report) -> str:
    began = datetime.fromtimestamp(report.began, tz=UTC)
    facts = [f"{report.action}, {began:%d %B %Y, %H:%M:%S} UTC"]
    facts += [f"by {report.by}"] if report.by else []
    facts += [f"commit {report.commit[:12]}"] if report.commit else []
    kind = "good" if report.good else "bad"
    return (
        f"<header><span class='pill {kind}'>{_text(report.result)}</span><h1>{_text(title(report))}</h1>"
        f"<p class='soft'>{_text(' · '.join(facts))}</p></header>"
    )


def _tiles(report: Report) -> str:
    probes = [host.probe for host in report.hosts if host.probe.get("requests")]
    asked, lost = (sum(int(p.get(key) or 0) for p in probes) for key in ("requests", "failures"))
    slow = max((float(p.get("p95_ms") or 0) for p in probes), default=0.0)
    gap = max((float(p.get("longest_gap_ms") or 0) for p in probes if p.get("failures")), default=0.0)
    took = f"{len(report.hosts)} host{'s' if len(report.hosts) != 1 else ''}, from the first step to the last"
    tiles = [("", f"{report.ended - report.began:.0f} s", took)]
    if probes:
        said = f"of {asked} requests through the edge" + (f", longest gap {gap:.0f} ms" if lost else "")
        tiles.append(("bad" if lost else "good", f"{lost} lost", said))
        tiles.append(("", f"{slow:.0f} ms", "within which 95 % of the answers came"))
    told = [host.can_return_to for host in report.hosts if host.can_return_to is not None]
    if told:
        back = next(filter(None, told), [])
        more = f", and {len(back) - 1} older" if len(back) > 1 else ""
        tiles.append(("id", back[0] if back else "nothing yet", f"to roll back to{more}"))
    made = "".join(f"<div class='tile {k}'><b>{_text(b)}</b><span>{_text(s)}</span></div>" for k, b, s in tiles)
    return f"<div class='tiles'>{made}</div>"


def _failure(host: HostReport) -> str:
    logs = "".join(
        f"<h3>Last words of {_text(service)}</h3><pre>{_text(chr(10).join(words))}</pre>"
        for service, words in host.logs.items()
    )
    return (
        f"<section><h2 class='bad'>{_text(host.host)} failed in {_text(host.failed_in)}</h2>"
        f"<pre>{_text(host.cause)}</pre>{logs}</section>"
    )


def _host(host: HostReport) -> str:
    drawn = "".join(f"<div class='{k}'>{chart(host, width)}</div>" for k, width in (("wide", WIDE), ("narrow", NARROW)))
    facts = {
        "live": live_on(host),
        "release": host.release if host.release != host.live else "",
        "stopped and undone": host.stopped,
        "can roll back to": "" if host.can_return_to is None else ", ".join(host.can_return_to) or "nothing yet",
        **{f"image of {service}": image for service, image in host.images.items()},
    }
    kind = "good" if host.result in (SUCCEEDED, UNCHANGED) else "bad"
    return (
        f"<section><h2>{_text(host.host)}: <span class='{kind}'>{_text(host.result)}</span></h2>"
        f"{drawn}{_legend(host)}{_facts(facts)}</section>"
    )


def _legend(host: HostReport) -> str:
    failed = {phase.phase for phase in host.timeline if phase.failed}
    entries = [
        (f"p {'bad' if name in failed else 'p-' + ''.join(filter(str.isalpha, name))}", f"{name} {seconds:.1f} s")
        for name, seconds in host.phases.items()
    ]
    if host.series:
        entries += [("i-p95", "95 % of the answers"), ("i-max", "the slowest answer")]
        entries += [("i-lost", "lost requests")] if any(host.series.get("failures") or []) else []
    made = "".join(f"<li><i class='{kind}'></i>{_text(said)}</li>" for kind, said in entries)
    return f"<ul class='legend'>{made}</ul>"


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{_text(k)}</th><td><code>{_text(v)}</code></td></tr>" for k, v in facts.items() if v)
    return f"<table class='facts'>{rows}</table>"


def _changes(hosts: Sequence[str], changes: Mapping[str, Any]) -> str:
    parts = [f"<h2>What changed on {_text(', '.join(hosts))}</h2>"]
    against = ": ".join(filter(None, (str(changes.get("against")), version_step(changes))))
    parts.append(f"<p class='soft'>against {_text(against)}; names only, never values</p>")
    rows = change_lines(changes)
    if rows:
        parts.append(_facts(dict(rows)))
    compose = changes.get("compose") or []
    if compose:
        parts.append(f"<h3>Compose file</h3><pre><code>{_diff(compose)}</code></pre>")
    if not rows and not compose:
        parts.append(f"<p>{NOT_COMPARED}</p>")
    return f"<section>{''.join(parts)}</section>"


def _diff(lines: Iterable[object]) -> str:
    made = []
    for line in map(str, lines):
        kind = "at" if line.startswith(("---", "+++", "@@")) else {"+": "add", "-": "del"}.get(line[:1], "")
        made.append(f"<span class='{kind}'>{_text(line)}</span>" if kind else _text(line))
    return "\n".join(made)


def _checks(host: HostReport) -> str:
    rows = "".join(
        f"<tr><td class='mark {'good' if c.get('verdict') == 'pass' else 'bad'}'>{MARKS.get(str(c.get('verdict')), '')}"
        f"</td><td class='phase'>{_text(c.get('phase'))}</td><td>{_text(c.get('name'))}</td>"
        f"<td>{_text(c.get('observed'))}</td></tr>"
        for c in host.checks
    )
    passed = sum(1 for c in host.checks if c.get("verdict") == "pass")
    return (
        f"<section><h2>Gate on {_text(host.host)}: {passed} of {len(host.checks)} checks passed</h2>"
        f"<table>{rows}</table></section>"
    )
