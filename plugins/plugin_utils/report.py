# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a deploy or rollback came to: one record out of what its steps returned.

Only fields that are known to hold nothing secret are taken out of a step's result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
"""Step to phase, for one that does not tell itself which phases it has passed."""

REVERT = "revert"
_JUDGED_IN = {"release_switch": "soak"}
UNCHANGED, SUCCEEDED, FAILED, ROLLED_BACK = "unchanged", "succeeded", "failed", "rolled back"
MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}


@dataclass(frozen=True)
class Step:
    """One step on one host, with what it returned; times in seconds since 1970."""

    host: str
    action: str
    began: float
    ended: float
    failed: bool
    result: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.action.removeprefix(PREFIX)


@dataclass(frozen=True)
class Phase:
    """A part of the run on one host, by this machine's clock."""

    phase: str
    began: float
    seconds: float
    failed: bool = False


@dataclass
class HostReport:
    """How it went on one host. Seconds by phase; ``checks`` are those of every gate, with what was seen.

    ``changes`` says what the release changes against the one that was live (see the module release_fetch), ``series``
    what the load probe saw second by second, with ``began`` by this machine's clock.
    """

    host: str
    result: str = UNCHANGED
    phases: dict[str, float] = field(default_factory=dict)
    timeline: list[Phase] = field(default_factory=list)
    failed_in: str = ""
    cause: str = ""
    release: str = ""
    live: str = ""
    can_return_to: list[str] = field(default_factory=list)
    probe: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
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
    by: str = ""
    commit: str = ""

    @property
    def good(self) -> bool:
        return self.result in (SUCCEEDED, UNCHANGED)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def make(app: str, steps: Sequence[Step], *, by: str = "", commit: str = "") -> Report | None:
    """The report of these steps, in the order in which they ended; None when none of them is a step of a release."""
    known = [step for step in steps if step.name in PHASES]
    if not known:
        return None
    hosts: dict[str, HostReport] = {}
    version = ""
    deploys = any(step.name in ("release_secrets", "release_preflight") for step in known)
    for step in known:
        report = hosts.setdefault(step.host, HostReport(step.host))
        version = str(step.result.get("version") or version)
        _add(report, step, reverting=deploys)
    worst = max((h.result for h in hosts.values()), key=[UNCHANGED, SUCCEEDED, ROLLED_BACK, FAILED].index)
    action = "deploy" if deploys else "rollback"
    began, ended = min(s.began for s in known), max(s.ended for s in known)
    return Report(app, action, version, began, ended, worst, list(hosts.values()), by, commit)


def passed(step: Step, *, reverting: bool = False) -> list[Phase]:
    """The phases of a step, end to end. ``reverting``: whether a rollback takes a deploy back."""
    laps = [] if step.name == "release_preflight" else _laps(step.result.get("timings"))
    if step.name == "rollback" and reverting:
        laps = []
    if not laps:
        name = REVERT if step.name == "rollback" and reverting else PHASES[step.name]
        return [Phase(name, step.began, round(step.ended - step.began, 2), step.failed)]
    ahead = _ahead(step, laps)
    inner = [min(max(began - ahead, step.began), step.ended) for _name, began, _seconds in laps[1:]]
    bounds = [step.began, *inner, step.ended]
    names = [name for name, _began, _seconds in laps]
    bad = next((n for n in reversed(names) if n != REVERT), REVERT) if step.failed else ""
    return [
        Phase(name, began, round(max(ended - began, 0.0), 2), name == bad)
        for name, began, ended in zip(names, bounds, bounds[1:], strict=False)
    ]


def _laps(told: Any) -> list[tuple[str, float, float]]:
    found = []
    for lap in told if isinstance(told, list) else []:
        try:
            found.append((str(lap["phase"]), float(lap["began"]), float(lap["seconds"])))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _ahead(step: Step, laps: Sequence[tuple[str, float, float]]) -> float:
    """Seconds by which the host's clock is ahead of this one: what the host did lies in the middle of the step."""
    _name, last, seconds = laps[-1]
    return (laps[0][1] + last + seconds) / 2 - (step.began + step.ended) / 2


def _add(report: HostReport, step: Step, *, reverting: bool) -> None:
    result = step.result
    phases = passed(step, reverting=reverting)
    report.timeline += phases
    for one in phases:
        report.phases[one.phase] = round(report.phases.get(one.phase, 0.0) + one.seconds, 2)
    report.release = str(result.get("release") or report.release)
    report.live = str(result.get("live") or report.live)
    report.images = {str(k): str(v) for k, v in (result.get("images") or {}).items()} or report.images
    report.changes = dict(result.get("changes") or {}) or report.changes
    verdict = result.get("verdict") or {}
    judged = _JUDGED_IN.get(step.name, "gate")
    report.checks += [{"phase": judged, **check} for check in verdict.get("checks") or []]
    _add_end(report, step, result.get("ended") or {})
    if step.failed and not report.cause:
        report.failed_in = next((one.phase for one in phases if one.failed), phases[-1].phase)
        report.cause = str(result.get("msg", "it cannot be reached")).strip()
        report.logs = {str(k): [str(line) for line in v] for k, v in (result.get("logs") or {}).items()}
        if report.result in (UNCHANGED, SUCCEEDED):
            report.result = FAILED


def _add_end(report: HostReport, step: Step, ended: Mapping[str, Any]) -> None:
    if not ended:
        return
    report.live = str(ended.get("live") or "")
    report.result = str(ended.get("result") or report.result)
    report.can_return_to = [str(one) for one in ended.get("can_return_to") or []]
    report.probe = dict(ended.get("probe") or {})
    series = report.probe.pop("series", None)
    if isinstance(series, dict) and series.get("requests"):
        laps = _laps(step.result.get("timings"))
        ahead = _ahead(step, laps) if laps else 0.0
        report.series = {**series, "began": round(float(series.get("began", 0.0)) - ahead, 2)}


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


def same_changes(report: Report) -> list[tuple[list[str], dict[str, Any]]]:
    """What changed, each with the hosts on which it did: in a fleet it is mostly one and the same, but for the id of
    the release before, which each host gives itself."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for host in report.hosts:
        if host.changes:
            key = json.dumps({k: v for k, v in host.changes.items() if k != "against"}, sort_keys=True)
            found.setdefault(key, ([], host.changes))[0].append(host.host)
    return list(found.values())


def change_lines(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What changed but for the Compose file: what kind of thing, and what became of it."""
    lines = []
    for image in changes.get("images") or []:
        before, after = (digest_of(image.get(key, "")) for key in ("before", "after"))
        lines.append((f"image of {image.get('service')}", f"{before} → {after}"))
    for kind, label in (("environment", "environment"), ("secrets", "secrets and configs")):
        for how, named in (changes.get(kind) or {}).items():
            if named:
                lines.append((f"{label}, {how}", ", ".join(map(str, named))))
    for secret in changes.get("origins") or []:
        before, after = (secret.get(key) or "none" for key in ("before", "after"))
        lines.append((f"secret {secret.get('name')}", f"{before} → {after}"))
    return [*lines, *(("not known", str(what)) for what in changes.get("unknown") or [])]


def digest_of(pinned: str) -> str:
    """Tag and the first letters of the digest, as people compare them."""
    name, _at, digest = str(pinned).partition("@")
    tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
    return " ".join(filter(None, (tag, digest[: len("sha256:") + 12]))) or "none"
