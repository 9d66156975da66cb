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

from ansible_collections.davit.ec2.plugins.module_utils.journal import REVERT
from ansible_collections.davit.ec2.plugins.module_utils.plan import DEPLOY, FAILED, ROLLBACK, ROLLED_BACK, SUCCEEDED

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

_OPENING = ("release_secrets", "release_preflight")
_JUDGED_IN = {"release_switch": "soak"}
UNCHANGED = "unchanged"
_GOOD = (UNCHANGED, SUCCEEDED)
_WORSE = (*_GOOD, ROLLED_BACK, FAILED)
MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
NOT_COMPARED = "Nothing but what is not compared, such as the gate."


@dataclass(frozen=True)
class Step:
    """One step on one host, with what it returned; times in seconds since 1970.

    ``app``, ``by``, ``commit`` and ``drill`` are what it was given, '' where it was not.
    """

    host: str
    action: str
    began: float
    ended: float
    failed: bool
    result: Mapping[str, Any]
    app: str = ""
    by: str = ""
    commit: str = ""
    drill: str = ""

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
    what the load probe saw second by second, with ``began`` by this machine's clock. ``live`` and ``can_return_to`` are
    None as long as no step told them: such a host is as it was before. ``stopped`` is the deploy that a rollback undid.
    """

    host: str
    result: str = UNCHANGED
    phases: dict[str, float] = field(default_factory=dict)
    timeline: list[Phase] = field(default_factory=list)
    failed_in: str = ""
    cause: str = ""
    release: str = ""
    live: str | None = None
    can_return_to: list[str] | None = None
    stopped: str = ""
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
        return self.result in _GOOD

    @property
    def what(self) -> str:
        return " ".join(filter(None, (self.app, self.version))) or "the release"

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def runs(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps by deploy or rollback, in the order in which they ended. Those of drills are left out: that they fail
    is what was wanted, and they have a table of their own."""
    found: list[list[Step]] = []
    for step in steps:
        if not found or _begins(step, found[-1]):
            found.append([])
        found[-1].append(step)
    return [run for run in found if not any(step.drill for step in run)]


def _begins(step: Step, run: Sequence[Step]) -> bool:
    """Whether a step is not of this run: of another app, or one that begins a deploy and was there already."""
    app = _first("app", run)
    again = step.name in _OPENING and any((one.host, one.name) == (step.host, step.name) for one in run)
    return again or bool(app and step.app and step.app != app)


def _first(name: str, steps: Sequence[Step]) -> str:
    return next((str(value) for step in steps if (value := getattr(step, name))), "")


def make(steps: Sequence[Step]) -> Report | None:
    """The report of these steps, in the order in which they ended; None when none of them is a step of a release."""
    known = [step for step in steps if step.name in PHASES]
    if not known:
        return None
    hosts: dict[str, HostReport] = {}
    version = ""
    deploys = any(step.name in _OPENING for step in known)
    for step in known:
        report = hosts.setdefault(step.host, HostReport(step.host))
        version = str(step.result.get("version") or version)
        _add(report, step, deploys=deploys)
    return Report(
        app=_first("app", known),
        action=DEPLOY if deploys else ROLLBACK,
        version=version,
        began=min(step.began for step in known),
        ended=max(step.ended for step in known),
        result=max((host.result for host in hosts.values()), key=_WORSE.index),
        hosts=list(hosts.values()),
        by=_first("by", known),
        commit=_first("commit", known),
    )


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


def _add(report: HostReport, step: Step, *, deploys: bool) -> None:
    result = step.result
    phases = passed(step, reverting=deploys)
    report.timeline += phases
    for one in phases:
        report.phases[one.phase] = round(report.phases.get(one.phase, 0.0) + one.seconds, 2)
    report.release = str(result.get("release") or report.release)
    report.stopped = str(result.get("stopped") or report.stopped)
    report.images = {str(k): str(v) for k, v in (result.get("images") or {}).items()} or report.images
    report.changes = dict(result.get("changes") or {}) or report.changes
    verdict = result.get("verdict") or {}
    judged = _JUDGED_IN.get(step.name, "gate")
    report.checks += [{"phase": judged, **check} for check in verdict.get("checks") or []]
    _add_standing(report, result)
    _add_end(report, step, result.get("ended") or {})
    report.result = _result(report.result, step, deploys=deploys)
    if step.failed and not report.cause:
        report.failed_in = next((one.phase for one in phases if one.failed), phases[-1].phase)
        report.cause = str(result.get("msg", "it cannot be reached")).strip()
        report.logs = {str(k): [str(line) for line in v] for k, v in (result.get("logs") or {}).items()}


def _result(so_far: str, step: Step, *, deploys: bool) -> str:
    """What it has come to with this step, which may have ended in a way of which nothing is known here."""
    if step.name == "rollback" and not deploys:
        # Its "ended" may be that of the deploy that it has stopped, whose failure was wanted.
        moved = step.result.get("changed") or step.result.get("stopped")
        return FAILED if step.failed else SUCCEEDED if moved else UNCHANGED
    told = str((step.result.get("ended") or {}).get("result") or so_far)
    known = told if told in _WORSE else FAILED
    return FAILED if step.failed and known in _GOOD else known


def _add_standing(report: HostReport, told: Mapping[str, Any]) -> None:
    if "live" in told:
        report.live = str(told["live"] or "")
    if "can_return_to" in told:
        report.can_return_to = [str(one) for one in told["can_return_to"] or []]


def _add_end(report: HostReport, step: Step, ended: Mapping[str, Any]) -> None:
    if not ended:
        return
    _add_standing(report, ended)
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
    took = report.ended - report.began
    return f"{report.action} of {report.what}: {report.result} on {len(report.hosts)} host(s) in {took:.0f} s"


def live_on(host: HostReport) -> str:
    return "as before" if host.live is None else host.live or "nothing"


def same_changes(report: Report) -> list[tuple[list[str], dict[str, Any]]]:
    """What changed, each with the hosts on which it did: in a fleet it is mostly one and the same, but for the id of
    the release before, which each host gives itself."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for host in report.hosts:
        if host.changes:
            key = json.dumps({k: v for k, v in host.changes.items() if k != "against"}, sort_keys=True)
            found.setdefault(key, ([], host.changes))[0].append(host.host)
    return list(found.values())


def version_step(changes: Mapping[str, Any]) -> str:
    """``v1 → v2``; '' where the version is the same, or not known."""
    versions = [str(version) for version in changes.get("version") or []]
    return " → ".join(versions) if len(versions) == 2 and versions[0] != versions[1] else ""


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
