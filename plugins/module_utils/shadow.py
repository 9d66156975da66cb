# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Shadow traffic: what users asked the live release lately is asked of both, and the answers are compared. No I/O.

The requests come from the live release's own log, if it writes them there (JSON lines, of which a field holds the
query). As long as it has too few, the golden set's take their place. How much two lists of results have in common is
measured as the overlap of their first k.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ansible_collections.davit.ec2.plugins.module_utils import gates
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import FAIL, INCONCLUSIVE, PASS, Answer, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.metric_checks import Finding

NAME = "shadow of the live traffic"
_KEYS = frozenset(
    {"field", "where", "request", "last", "min_overlap", "min_samples", "results", "k", "key", "lines", "service"}
)
_PLACE = "$QUERY"


@dataclass(frozen=True)
class Shadow:
    """The field ``holder`` of a log line is put where ``request`` says ``$QUERY``; ``min_overlap`` is from 0 to 1."""

    base_url: str
    holder: str
    min_overlap: float
    request: Mapping[str, Any]
    where: Mapping[str, Any] = field(default_factory=dict)
    last: int = 100
    lines: int = 5000
    min_samples: int = 20
    results: str = "results"
    k: int = 10
    key: str = "id"


def parse(declared: Mapping[str, Any], base_url: str) -> Shadow | None:
    """The shadow of a gate; None when there is none. Raises DavitError with what is wrong with it."""
    if not declared:
        return None
    unknown = sorted(set(declared) - _KEYS)
    if unknown:
        raise DavitError(f"The shadow has the unknown key '{unknown[0]}'; known: {', '.join(sorted(_KEYS))}.")
    if not all(declared.get(key) for key in ("field", "request", "min_overlap")):
        raise DavitError("The shadow needs 'field', 'request' and 'min_overlap'.")
    if _PLACE not in json.dumps(declared["request"]):
        raise DavitError(f"The shadow's 'request' has to say {_PLACE} where what was asked belongs.")
    gates.parse_http(declared["request"], base_url)
    return Shadow(
        base_url=base_url,
        holder=str(declared["field"]),
        min_overlap=float(declared["min_overlap"]),
        request=dict(declared["request"]),
        where=dict(declared.get("where") or {}),
        last=int(declared.get("last", Shadow.last)),
        lines=int(declared.get("lines", Shadow.lines)),
        min_samples=int(declared.get("min_samples", Shadow.min_samples)),
        results=str(declared.get("results", Shadow.results)),
        k=int(declared.get("k", Shadow.k)),
        key=str(declared.get("key", Shadow.key)),
    )


def requests(shadow: Shadow, lines: Iterable[str]) -> list[HttpCheck]:
    """The last requests that these log lines tell of, each once, oldest first."""
    asked: dict[str, None] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        text = gates.value_at(record, shadow.holder)
        if not isinstance(text, str) or any(gates.value_at(record, k) != v for k, v in shadow.where.items()):
            continue
        asked.pop(text, None)
        asked[text] = None
    return [_request(shadow, text) for text in list(asked)[-shadow.last :]]


def _request(shadow: Shadow, text: str) -> HttpCheck:
    filled = {
        key: _filled(entry, quote(text, safe="") if key == "path" else text) for key, entry in shadow.request.items()
    }
    return gates.parse_http({"name": "shadow", **filled}, shadow.base_url)


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(_PLACE, text)
    if isinstance(value, Mapping):
        return {key: _filled(entry, text) for key, entry in value.items()}
    return value


def at(other: Shadow, asked: Sequence[HttpCheck]) -> list[HttpCheck]:
    """The same requests at another release's address."""
    return [replace(one, url=other.base_url + "/" + one.url.split("/", 3)[3]) for one in asked]


def judge(shadow: Shadow, pairs: Sequence[tuple[Answer, Answer]], nobody: str = "") -> Finding:
    """The finding over answers of the candidate and the live release. What the latter cannot answer is left out."""
    if nobody:
        return Finding(NAME, "model", PASS, f"nothing to compare with: {nobody}")
    overlaps = []
    for own, theirs in pairs:
        expected = _results(shadow, theirs)
        if expected is not None:
            overlaps.append(_overlap(_results(shadow, own) or [], expected))
    if len(overlaps) < shadow.min_samples:
        said = f"{len(overlaps)} logged requests, and no verdict below {shadow.min_samples}"
        return Finding(NAME, "model", INCONCLUSIVE, said)
    mean = sum(overlaps) / len(overlaps)
    evidence = {"overlap": round(mean, 4), "requests": len(overlaps), "lowest": round(min(overlaps), 4)}
    if mean < shadow.min_overlap:
        return Finding(NAME, "model", FAIL, f"overlap {mean:.3g} instead of at least {shadow.min_overlap:g}", evidence)
    return Finding(NAME, "model", PASS, f"overlap {mean:.3g}, at least {shadow.min_overlap:g}", evidence)


def _results(shadow: Shadow, answer: Answer) -> list[str] | None:
    if answer.error or answer.status != 200:
        return None
    try:
        found = gates.value_at(json.loads(answer.body), shadow.results)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    return [str(one.get(shadow.key) if isinstance(one, Mapping) else one) for one in found[: shadow.k]]


def _overlap(own: Sequence[str], expected: Sequence[str]) -> float:
    """The share of the first k that both have; two empty answers agree."""
    if not expected:
        return 0.0 if own else 1.0
    return len(set(own) & set(expected)) / max(len(set(own)), len(set(expected)))
