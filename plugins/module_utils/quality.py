# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Judges data and model of a candidate: asks the golden set, reads metrics, compares with the live release.

What the gate proper (see gate_run.py) has found to run and answer is looked into here, still before any traffic. The
golden questions come first: they are the traffic that gives the metrics something to tell.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.davit.ec2.plugins.module_utils import exposition, gates, golden_set, metric_checks, shadow
from ansible_collections.davit.ec2.plugins.module_utils.command import GiveUp
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.exposition import Sample
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, HttpCheck, Look
from ansible_collections.davit.ec2.plugins.module_utils.golden_set import GoldenSet, Question, Reply
from ansible_collections.davit.ec2.plugins.module_utils.metric_checks import Finding, MetricCheck
from ansible_collections.davit.ec2.plugins.module_utils.release import PATIENCE
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint
from ansible_collections.davit.ec2.plugins.module_utils.shadow import Shadow

HOPELESS = 3
"""Questions in a row without an answer, after which the rest is not asked."""
PROMETHEUS = "http://127.0.0.1:9090/davit"
"""As the role monitoring runs it."""
KEYS = frozenset({"golden", "metrics", "shadow", "prometheus"})

Ask = Callable[[HttpCheck], Answer]


@dataclass(frozen=True)
class Quality:
    """What a release is judged by beyond that it runs and answers."""

    golden: GoldenSet | None = None
    metrics: tuple[MetricCheck, ...] = ()
    pages: Mapping[str, HttpCheck] | None = None
    """Where each check's service tells its metrics, by the name of the check."""
    shadow: Shadow | None = None
    prometheus: str = PROMETHEUS

    def at(self, when: str) -> Quality:
        """The part of it that is for the gate, or for the soak."""
        metrics = tuple(check for check in self.metrics if when in check.at)
        whole = when == metric_checks.GATE
        return Quality(
            self.golden if whole else None, metrics, self.pages, self.shadow if whole else None, self.prometheus
        )

    @property
    def empty(self) -> bool:
        return self.golden is None and self.shadow is None and not self.metrics


@dataclass(frozen=True)
class Way:
    """How to reach what is asked. ``logs`` are the live release's last log lines, for a shadow of its traffic, in
    which the texts ``apart`` are those of gates."""

    ask: Ask
    interrupted: GiveUp = lambda: None
    logs: Callable[[int], Sequence[str]] = lambda _lines: ()
    apart: Collection[str] = ()
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def parse(declared: Mapping[str, Any], endpoints: Sequence[Endpoint], metrics: Mapping[str, Any]) -> Quality:
    """What a release's ``gate`` and ``metrics`` say. Raises DavitError with what is wrong with it."""
    unknown = sorted(set(declared) - KEYS - {"http", *PATIENCE})
    if unknown:
        known = ", ".join(sorted(KEYS | {"http", *PATIENCE}))
        raise DavitError(f"compose_release_gate has the unknown key '{unknown[0]}'; known: {known}.")
    for entry in declared.get("http") or ():
        gates.refuse_unknown(entry)
    checks = tuple(metric_checks.parse(entry) for entry in declared.get("metrics") or ())
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        raise DavitError("Two metric gates have the same name; give each its own 'name'.")
    pages = {}
    for check, entry in zip(checks, declared.get("metrics") or ()):
        base = _base(f"metric gate '{check.name}'", entry.get("service") or metrics.get("service"), endpoints)
        pages[check.name] = HttpCheck(name="metrics", url=base + str(metrics.get("path") or "/metrics"))
    golden, shadowed = declared.get("golden") or {}, declared.get("shadow") or {}
    return Quality(
        golden=golden_set.parse(golden, _base("golden set", golden.get("service"), endpoints)) if golden else None,
        metrics=checks,
        pages=pages,
        shadow=shadow.parse(shadowed, _base("shadow", shadowed.get("service"), endpoints)) if shadowed else None,
        prometheus=str(declared.get("prometheus") or PROMETHEUS).rstrip("/"),
    )


def _base(what: str, service: str | None, endpoints: Sequence[Endpoint]) -> str:
    """Where ``service`` answers, or the first routed one when none is named."""
    for endpoint in endpoints:
        if service in (None, "", endpoint.route.service):
            return endpoint.url
    raise DavitError(f"The {what} names the service '{service or ''}', which has no route.")


def judge(quality: Quality, way: Way, live: Quality | str, seconds: float) -> list[Finding]:
    """The findings on data and model of a release that runs, within ``seconds`` and the time that the questions take.

    ``live`` is the same quality at the live release's address, or why there is nothing to compare with. Raises
    DavitError when it is interrupted.
    """
    nobody = live if isinstance(live, str) else ""
    beside = Quality() if isinstance(live, str) else live
    # Before the questions, which the live release would log as the newest of what it was asked.
    logged = way.logs(quality.shadow.lines) if quality.shadow is not None and beside.shadow is not None else ()
    before = _read_pages(quality, way) if quality.golden is not None else {}
    findings: list[Finding] = []
    if quality.golden is not None:
        replies = _ask_all(quality.golden.questions, way)
        theirs = None
        if quality.golden.max_drop is not None and beside.golden is not None:
            theirs = _ask_all(beside.golden.questions, way)
        findings += golden_set.judge(quality.golden, replies, theirs, nobody)
    if quality.shadow is not None:
        spare = quality.golden.questions if quality.golden is not None else ()
        asked = shadow.requests(quality.shadow, logged, way.apart)
        findings.append(_shadow(quality.shadow, beside.shadow, nobody, asked, [one.request for one in spare], way))
    return findings + _settled(quality, way, before, seconds)


def looks(quality: Quality, way: Way) -> Callable[[], list[Look]]:
    """For the soak: a function that looks at the metrics, as they have grown since now."""
    before = _read_pages(quality, way)

    def look() -> list[Look]:
        found = _metrics(quality, way, before)
        return [
            Look(
                f"{f.level} gate, {f.name}",
                f.verdict == gates.PASS,
                f.observed,
                pending=f.verdict == gates.INCONCLUSIVE,
            )
            for f in found
        ]

    return look


def _ask_all(questions: Sequence[Question], way: Way) -> list[Reply]:
    replies: list[Reply] = []
    silent = 0
    for question in questions:
        stopped = way.interrupted()
        if stopped:
            raise DavitError(stopped)
        answer = way.ask(question.request)
        replies.append(golden_set.score(question, answer))
        silent = silent + 1 if answer.error else 0
        if silent >= HOPELESS:
            break
    return replies


def _settled(quality: Quality, way: Way, before: Mapping[str, Sequence[Sample]], seconds: float) -> list[Finding]:
    """The findings of the metrics, once none is inconclusive any more, or time is up: some are told late."""
    end = way.clock() + seconds
    while True:
        found = _metrics(quality, way, before)
        if all(f.verdict != gates.INCONCLUSIVE for f in found) or way.clock() >= end:
            return found
        stopped = way.interrupted()
        if stopped:
            raise DavitError(stopped)
        way.pause(0.5)


def _metrics(quality: Quality, way: Way, before: Mapping[str, Sequence[Sample]]) -> list[Finding]:
    pages: dict[str, list[Sample] | str] = {}
    found = []
    for check in quality.metrics:
        if check.metric is None:
            url = f"{quality.prometheus}/api/v1/query?query={quote(check.promql)}"
            found.append(metric_checks.judge_query(check, _json(way.ask(HttpCheck(name=check.name, url=url)))))
            continue
        page = _page(quality, check)
        if page.url not in pages:
            pages[page.url] = _read(page, way)
        told = pages[page.url]
        if isinstance(told, str):
            found.append(Finding(check.name, check.level, gates.INCONCLUSIVE, told))
        else:
            found.append(metric_checks.judge(check, before.get(page.url, ()), told))
    return found


def _page(quality: Quality, check: MetricCheck) -> HttpCheck:
    return (quality.pages or {})[check.name]


def _read_pages(quality: Quality, way: Way) -> dict[str, Sequence[Sample]]:
    pages = {page.url: page for check in quality.metrics if check.metric for page in [_page(quality, check)]}
    read = {url: _read(page, way) for url, page in pages.items()}
    return {url: told for url, told in read.items() if not isinstance(told, str)}


def _read(page: HttpCheck, way: Way) -> list[Sample] | str:
    """The samples of a page, or what was wrong with it."""
    answer = way.ask(page)
    if answer.error or answer.status != 200:
        return f"{page.url}: {answer.error or f'status {answer.status}'}"
    try:
        return exposition.parse(answer.body.decode("utf-8", "replace"))
    except DavitError as error:
        return str(error)


def _json(answer: Answer) -> Mapping[str, Any]:
    if answer.error:
        return {"error": answer.error}
    try:
        told = json.loads(answer.body)
    except ValueError:
        return {"error": f"status {answer.status}, and no JSON"}
    return told if isinstance(told, Mapping) else {"error": "an answer that is no object"}


def _shadow(
    wanted: Shadow,
    live: Shadow | None,
    nobody: str,
    asked: Sequence[HttpCheck],
    spare: Sequence[HttpCheck],
    way: Way,
) -> Finding:
    if live is None:
        return shadow.judge(wanted, [], 0, nobody)
    requests = [*asked, *(spare if len(asked) < wanted.min_samples else ())]
    pairs = []
    for own, theirs in zip(requests, shadow.at(live, requests)):
        stopped = way.interrupted()
        if stopped:
            raise DavitError(stopped)
        pairs.append((way.ask(own), way.ask(theirs)))
    return shadow.judge(wanted, pairs, len(asked))
