# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The golden set: questions whose right answers are known, and the judgement over how a model answers them. No I/O.

A question is a request and what its answer has to hold: either values in the answer (``json``, as in an HTTP check,
right or wrong), or a list of ``results`` of which the first ``k`` are ``relevant`` or not (precision at k).
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import FAIL, INCONCLUSIVE, PASS, Answer, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.metric_checks import Finding

MOST = 2000
"""Questions; they are part of a release's record, and each is asked of two releases."""
ALL = "all"
_EXPECTED = frozenset({"json", "relevant", "results", "k", "key"})
_KEYS = frozenset({"questions", "file", "min_score", "max_drop", "max_p95_ms", "name", "service"})


@dataclass(frozen=True)
class Question:
    """A request, the group that its score counts for, and what a right answer is."""

    request: HttpCheck
    group: str
    results: str = ""
    k: int = 10
    relevant: Mapping[str, Any] | tuple[str, ...] = field(default_factory=dict)
    key: str = "id"


@dataclass(frozen=True)
class GoldenSet:
    """The questions with their floors.

    ``floors`` maps a group, or ``all``, to the lowest score (0 to 1); ``max_drop`` is by how much any group's score
    may be lower than the live release's.
    """

    questions: tuple[Question, ...]
    floors: Mapping[str, float]
    max_drop: float | None = None
    max_p95_ms: float | None = None


@dataclass(frozen=True)
class Reply:
    """A scored answer. ``error`` says what was wrong with it below its content; ``answered``, whether the service
    took the question at all, which one that is busy or has no such path does not."""

    score: float
    ms: float
    error: str = ""
    answered: bool = True


def parse(declared: Mapping[str, Any], base_url: str) -> GoldenSet:
    """The golden set of a gate. Raises DavitError with what is wrong with it."""
    unknown = sorted(set(declared) - _KEYS)
    if unknown:
        raise DavitError(f"The golden set has the unknown key '{unknown[0]}'; known: {', '.join(sorted(_KEYS))}.")
    entries = declared.get("questions") or []
    if not entries:
        raise DavitError("The golden set has no questions; name a file of them in 'golden.file'.")
    if len(entries) > MOST:
        raise DavitError(f"The golden set has {len(entries)} questions; at most {MOST} are asked.")
    questions = tuple(_question(number, entry, base_url) for number, entry in enumerate(entries, start=1))
    floor = declared.get("min_score")
    by_group = floor if isinstance(floor, Mapping) else {} if floor is None else {ALL: floor}
    floors = {group: float(value) for group, value in by_group.items()}
    groups = {q.group for q in questions} | {ALL}
    stray = sorted(set(floors) - groups)
    if stray:
        raise DavitError(f"The golden set has a floor for '{stray[0]}'; its groups are {', '.join(sorted(groups))}.")
    drop, p95 = declared.get("max_drop"), declared.get("max_p95_ms")
    if not floors and drop is None and p95 is None:
        raise DavitError("The golden set decides nothing: give it 'min_score', 'max_drop' or 'max_p95_ms'.")
    return GoldenSet(questions, floors, None if drop is None else float(drop), None if p95 is None else float(p95))


def _question(number: int, entry: Mapping[str, Any], base_url: str) -> Question:
    expected = entry.get("expected") or {}
    relevant = expected.get("relevant")
    if not isinstance(entry.get("request"), Mapping) or (not expected.get("json") and not relevant):
        raise DavitError(
            f"Question {number} of the golden set needs a 'request' (path, body) and 'expected' with 'json' or"
            " 'relevant'."
        )
    unknown = sorted(set(expected) - _EXPECTED)
    if unknown:
        raise DavitError(
            f"Question {number} of the golden set has the unknown key '{unknown[0]}' in 'expected'; known:"
            f" {', '.join(sorted(_EXPECTED))}."
        )
    request = {**entry["request"], "name": f"question {number}", "json": expected.get("json")}
    gates.refuse_unknown(request)
    return Question(
        request=gates.parse_http(request, base_url),
        group=str(entry.get("group", ALL)),
        results=str(expected.get("results", "results")) if relevant else "",
        k=int(expected.get("k", 10)),
        relevant=relevant if isinstance(relevant, Mapping) else tuple(str(one) for one in relevant or ()),
        key=str(expected.get("key", "id")),
    )


def score(question: Question, answer: Answer) -> Reply:
    """1 and 0 for right and wrong, or the share of the first k results that are relevant.

    Of k as far as there can be as many: with a list of three relevant ids, three hits are 1. No answer, or one that is
    not understood, scores 0.
    """
    ms = answer.seconds * 1000
    look = gates.judge_answer(question.request, answer)
    if answer.error or answer.status not in question.request.status:
        return Reply(0.0, ms, look.observed, answered=False)
    if not question.results:
        return Reply(1.0 if look.holds else 0.0, ms)
    if not look.holds:
        return Reply(0.0, ms, look.observed)
    try:
        found = gates.value_at(json.loads(answer.body), question.results)
    except ValueError:
        return Reply(0.0, ms, "the answer is not JSON")
    if not isinstance(found, list):
        return Reply(0.0, ms, f"there is no list '{question.results}' in the answer")
    first = found[: question.k]
    if isinstance(question.relevant, tuple):
        there_are = min(question.k, len(question.relevant))
        hits = len({_id(one, question.key) for one in first} & set(question.relevant))
    else:
        there_are = question.k
        hits = sum(_fits(one, question.relevant) for one in first)
    return Reply(hits / there_are, ms)


def _id(item: Any, key: str) -> str:
    return str(item.get(key) if isinstance(item, Mapping) else item)


def _fits(item: Any, relevant: Mapping[str, Any]) -> bool:
    return isinstance(item, Mapping) and all(_holds(gates.value_at(item, f), wanted) for f, wanted in relevant.items())


def _holds(seen: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return str(wanted.get("contains", "")).casefold() in str(seen).casefold()
    return wanted in seen if isinstance(seen, list) else bool(seen == wanted)


def scores(questions: Sequence[Question], replies: Sequence[Reply]) -> dict[str, float]:
    """Mean score by group, and of all."""
    by_group: dict[str, list[float]] = defaultdict(list)
    for question, reply in zip(questions, replies):
        by_group[question.group].append(reply.score)
        if question.group != ALL:
            by_group[ALL].append(reply.score)
    return {group: round(sum(some) / len(some), 4) for group, some in sorted(by_group.items())}


def percentile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of them do not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share - 1e-9) - 1)]


def judge(
    golden: GoldenSet, replies: Sequence[Reply], live: Sequence[Reply] | None, live_error: str = ""
) -> list[Finding]:
    """A finding for the scores, one for the latency if it is bounded, one for the drop if it is.

    ``live`` are the live release's replies; None when there is none to compare with, for the reason ``live_error``.
    """
    if len(replies) < len(golden.questions):
        said = replies[-1].error if replies else "not asked"
        return [Finding("golden set", "model", FAIL, f"given up at question {len(replies)}: {said}")]
    own = scores(golden.questions, replies)
    evidence: dict[str, Any] = {"scores": own, "questions": len(replies)}
    errors = [reply.error for reply in replies if reply.error]
    if errors:
        evidence["errors"] = {"count": len(errors), "first": errors[0]}
    low = [group for group, floor in golden.floors.items() if own[group] < floor]
    told = ", ".join(f"{group} {value:g}" for group, value in own.items())
    seen = [f"{group} {own[group]:g} instead of at least {golden.floors[group]:g}" for group in low]
    findings = [Finding("golden set", "model", FAIL if low else PASS, "; ".join(seen) or told, evidence)]
    if golden.max_p95_ms is not None:
        findings.append(_latency(golden.max_p95_ms, replies))
    if golden.max_drop is not None:
        findings.append(_drop(golden, golden.max_drop, replies, live, live_error))
    return findings


def _latency(limit: float, replies: Sequence[Reply]) -> Finding:
    p95 = percentile([reply.ms for reply in replies], 0.95)
    evidence = {"p50_ms": round(percentile([r.ms for r in replies], 0.5), 1), "p95_ms": round(p95, 1)}
    name = "golden set, latency"
    if p95 > limit:
        return Finding(name, "system", FAIL, f"p95 {p95:.0f} ms instead of at most {limit:g} ms", evidence)
    return Finding(name, "system", PASS, f"p95 {p95:.0f} ms, at most {limit:g} ms", evidence)


def _drop(
    golden: GoldenSet, limit: float, own: Sequence[Reply], live: Sequence[Reply] | None, live_error: str
) -> Finding:
    """Of both releases only what the live one answered is compared: what it was too busy for would else be a zero of
    its own, and allow the candidate one."""
    name = "golden set, against the live release"
    both = [(q, ours, theirs) for q, ours, theirs in zip(golden.questions, own, live or ()) if theirs.answered]
    if live is None or len(live) < len(golden.questions) or not both:
        # A live release that does not answer must not keep out what repairs it.
        why = live_error or (live[-1].error if live else "it was not asked")
        return Finding(name, "model", PASS, f"nothing to compare with: {why}")
    asked = [q for q, _ours, _theirs in both]
    ours, theirs = scores(asked, [o for _q, o, _t in both]), scores(asked, [t for _q, _o, t in both])
    drops = {group: round(theirs[group] - ours[group], 4) for group in ours}
    worst = max(drops, key=lambda group: drops[group])
    evidence: dict[str, Any] = {"live_scores": theirs, "drops": drops}
    if len(both) < len(golden.questions):
        evidence["compared"] = {"questions": len(both), "scores": ours}
    if drops[worst] > limit:
        said = f"{worst} fell from {theirs[worst]:g} to {ours[worst]:g}, by more than {limit:g}"
        return Finding(name, "model", FAIL, said, evidence)
    return Finding(
        name, "model", PASS, f"no group fell by more than {limit:g} (worst: {worst}, {drops[worst]:g})", evidence
    )


def verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    """One verdict over all, with everything that caused it: fail before inconclusive before pass."""
    for wanted in (FAIL, INCONCLUSIVE):
        causes = [f"{f.level} gate, {f.name}: {f.observed}" for f in findings if f.verdict == wanted]
        if causes:
            return wanted, "; ".join(causes)
    return PASS, ""
