# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What the callback timeline says: lines for steps, roles, changes and what runs right now. Text alone, no terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.plugin_utils.report import Phase, Step, digest_of, passed, probe_line
from ansible_collections.davit.ec2.plugins.plugin_utils.report_chart import clock

GOOD, BAD, PLAIN, CHANGED, HEAD = "good", "bad", "plain", "changed", "head"
_WIDEST_HOST = 24
_LONGEST_LABEL = 60
# What a terminal would obey, and what would end a line where it does not end.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Line:
    """A line to show, and of which kind it is."""

    text: str
    kind: str = PLAIN


@dataclass(frozen=True)
class Running:
    """A task that runs: what it does in a few words, since when, and the seconds that it may take if that is known.

    ``exact``: it takes just that long, as a soak does, unless it fails.
    """

    what: str
    host: str
    began: float
    bound: float | None = None
    exact: bool = False


def clean(text: object) -> str:
    """A text without anything that a terminal would obey, line breaks and tabs apart."""
    return _CONTROL.sub("�", str(text).replace("\r\n", "\n"))


def one_line(text: object, longest: int = 400) -> str:
    said = " ".join(clean(text).split())
    return said if len(said) <= longest else said[: longest - 1] + "…"


def head(at: float, host: str, width: int) -> str:
    """The first columns of a line: since when the run goes, and where."""
    return f"{clock(at):>7}  {one_line(host):<{min(width, _WIDEST_HOST)}}"


def step_lines(step: Step, since: float, width: int, *, reverting: bool = False) -> list[Line]:
    """A line for each phase that a step of a release has passed; the message of one that failed is under it."""
    phases = passed(step, reverting=reverting)
    told = _told(step)
    lines = []
    for number, phase in enumerate(phases):
        last = number == len(phases) - 1
        said = told.get(phase.phase, told.get("", "") if last else "")
        lines.append(_phase_line(phase, said, since, step.host, width))
        if phase.failed:
            lines += _cause(step)
    return lines


def _phase_line(phase: Phase, said: str, since: float, host: str, width: int) -> Line:
    mark = "✗" if phase.failed else "✓"
    what = f"{mark} {one_line(phase.phase, 40):<15} {phase.seconds:>6.1f} s"
    return Line(f"{head(phase.began - since, host, width)}  {what}  {said}".rstrip(), BAD if phase.failed else GOOD)


def _cause(step: Step) -> list[Line]:
    message = clean(step.result.get("msg") or "it cannot be reached").strip()
    return [Line(f"           {line}".rstrip(), BAD) for line in message.splitlines()]


def _told(step: Step) -> dict[str, str]:
    """What a step has to say, by phase; '' is for its last one."""
    result = step.result
    verdict = result.get("verdict") or {}
    gate = _gate(verdict.get("checks") or [])
    ended = result.get("ended") or {}
    told = {"gate": gate, "soak": gate, "start and gate": gate, "switch and soak": gate}
    if step.name == "release_preflight":
        live = f", live is {one_line(result['live'])}" if result.get("live") else ", nothing is live yet"
        same = ", which is live already" if result.get("up_to_date") else live
        told["preflight"] = f"version {one_line(result['version'])}{same}" if result.get("version") else ""
    if step.name == "release_fetch" and not step.failed:
        told["fetch"] = _fetched(result)
    if ended:
        told["finish"] = probe_line(ended.get("probe") or {})
        came = f"{result['stopped']} was stopped" if result.get("stopped") else ended.get("result")
        told["revert"] = f"{one_line(came)}; {one_line(ended.get('live') or 'nothing')} is live"
    return told


def _fetched(result: Mapping[str, Any]) -> str:
    if not result.get("release"):
        return "the same content is live already"
    changes = result.get("changes") or {}
    changed = changes.get("images") or []
    said = "; ".join(
        f"{i.get('service')} {digest_of(i.get('before', ''))} → {digest_of(i.get('after', ''))}" for i in changed
    )
    return one_line(f"{result['release']}{f'; {said}' if said else ''}", 200)


def _gate(checks: Sequence[Mapping[str, Any]]) -> str:
    if not checks:
        return ""
    good = sum(1 for check in checks if check.get("verdict") == "pass")
    bad = [str(check.get("name")) for check in checks if check.get("verdict") != "pass"]
    return f"{good} of {len(checks)} checks passed" + (f", not: {one_line(', '.join(bad), 120)}" if bad else "")


def role_line(name: str, began: float, seconds: float, since: float, changed: int, check: bool) -> Line:
    """What a role came to."""
    done = "would change" if check else "changed"
    said = f"{changed} {done}" if changed else "nothing to change"
    return Line(
        f"{clock(began - since):>7}  {one_line(name):<26} {seconds:>6.1f} s  {said}", CHANGED if changed else GOOD
    )


def change_line(host: str, role: str, task: str, items: Sequence[str], check: bool) -> Line:
    """A task that changed something, with the items that it changed."""
    name = " : ".join(filter(None, (one_line(role), one_line(task, 120))))
    shown = ", ".join(one_line(item, _LONGEST_LABEL) for item in items[:4])
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    verb = "would change" if check else "changed"
    return Line(f"         {verb}  {one_line(host)}  {name}{f' ({shown}{more})' if shown else ''}", CHANGED)


def message_lines(message: Any, host: str, several: bool) -> list[Line] | None:
    """What a play has to say: texts, one line each, after their host if there are several. None for what is no text."""
    texts = message if isinstance(message, list) else [message]
    if not all(isinstance(text, str) for text in texts):
        return None
    before = f"{one_line(host)}: " if several and len(texts) == 1 and "\n" not in texts[0].strip() else ""
    return [Line(f"{before}{line}") for text in texts for line in clean(text).strip("\n").splitlines() or [""]]


def progress(running: Iterable[Running], now: float, since: float, columns: int) -> str:
    """The live line: what runs, for how long, and how long it may take; no longer than the terminal is wide."""
    tasks = sorted(running, key=lambda task: task.began)
    if not tasks:
        return ""
    first = tasks[0]
    same = [task.host for task in tasks if task.what == first.what]
    hosts = one_line(", ".join(same[:3]) + (f" and {len(same) - 3} more" if len(same) > 3 else ""))
    spent = max(now - first.began, 0.0)
    text = f"{clock(now - since):>7}  {hosts}  … {one_line(first.what, _LONGEST_LABEL)}  {bounded(first, spent)}"
    return text[: max(columns - 1, 0)]


def bounded(task: Running, spent: float) -> str:
    """Seconds so far; ``of`` for what takes just so long, until it takes longer, ``at most`` for a limit."""
    if task.bound is None or (task.exact and spent > task.bound):
        return f"{spent:.0f} s"
    if task.exact:
        return f"{spent:.0f} of about {task.bound:.0f} s"
    return f"{spent:.0f} s, at most {task.bound:.0f} s"
