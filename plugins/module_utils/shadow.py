# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Shadow traffic: what users asked the live release lately is asked of both, and the answers are compared. No I/O.

The requests come from the live release's own log, if it writes them there (JSON lines, of which a field holds the
query). What gates have asked it stands there too, and is left out. As long as users asked too little, the golden set's
questions fill up. How much two lists of results have in common is measured as the overlap of their first k.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

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


def parse(declared: Mapping[str, Any], base_url: str) -> Shadow:
    """The shadow of a gate. Raises DavitError with what is wrong with it."""
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


def asked_by(gate: Mapping[str, Any]) -> frozenset[str]:
    """Every text in the requests of a release's ``gate``: what stands in a log because a gate asked it, not a user."""
    golden = (gate.get("golden") or {}).get("questions") or ()
    own = [*(gate.get("http") or ()), *(question.get("request") or {} for question in golden)]
    return frozenset(text for one in own for text in (*_texts(one.get("body")), *_asked_for(str(one.get("path", "")))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _texts(entry)


def _asked_for(path: str) -> Iterator[str]:
    return (value for _name, value in parse_qsl(urlsplit(path).query))


def requests(shadow: Shadow, lines: Iterable[str], apart: Collection[str] = ()) -> list[HttpCheck]:
    """The last requests that these log lines tell of, each once, oldest first, but for the texts ``apart``."""
    asked: dict[str, None] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        text = gates.value_at(record, shadow.holder)
        if not isinstance(text, str) or text in apart:
            continue
        if any(gates.value_at(record, k) != v for k, v in shadow.where.items()):
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
    if isinstance(value, (list, tuple)):
        return [_filled(entry, text) for entry in value]
    return value


def at(other: Shadow, asked: Sequence[HttpCheck]) -> list[HttpCheck]:
    """The same requests at another release's address."""
    return [replace(one, url=other.base_url + "/" + one.url.split("/", 3)[3]) for one in asked]


def judge(shadow: Shadow, pairs: Sequence[tuple[Answer, Answer]], users: int, nobody: str = "") -> Finding:
    """The finding over answers of the candidate and the live release. What the latter cannot answer is left out.

    The first ``users`` of the pairs are what users asked, and the rest golden questions. A candidate that does not
    answer has nothing in common with the live release. With ``nobody`` to compare with, the reason, it passes.
    """
    if nobody:
        return Finding(NAME, "model", PASS, f"nothing to compare with: {nobody}")
    overlaps, of_users = [], 0
    for number, (own, theirs) in enumerate(pairs):
        expected = _results(shadow, theirs)
        if expected is not None:
            found = _results(shadow, own)
            overlaps.append(0.0 if found is None else _overlap(found, expected))
            of_users += number < users
    if len(overlaps) < shadow.min_samples:
        said = f"{len(overlaps)} logged requests, and no verdict below {shadow.min_samples}"
        if len(overlaps) < len(pairs):
            said += (
                f"; {len(pairs) - len(overlaps)} more had no answer of the live release with a list"
                f" '{shadow.results}' whose entries have '{shadow.key}'"
            )
        return Finding(NAME, "model", INCONCLUSIVE, said)
    mean = sum(overlaps) / len(overlaps)
    evidence = {
        "overlap": round(mean, 4),
        "requests": len(overlaps),
        "of_users": of_users,
        "lowest": round(min(overlaps), 4),
    }
    over = f"over {of_users} requests of users"
    if of_users < len(overlaps):
        over += f" and {len(overlaps) - of_users} golden questions"
    if mean < shadow.min_overlap:
        said = f"overlap {mean:.3g} instead of at least {shadow.min_overlap:g}, {over}"
        return Finding(NAME, "model", FAIL, said, evidence)
    return Finding(NAME, "model", PASS, f"overlap {mean:.3g}, at least {shadow.min_overlap:g}, {over}", evidence)


def _results(shadow: Shadow, answer: Answer) -> list[str] | None:
    """The first k results, known by ``key``; None when there is no answer that has them."""
    if answer.error or answer.status != 200:
        return None
    try:
        found = gates.value_at(json.loads(answer.body), shadow.results)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    first = [one.get(shadow.key) if isinstance(one, Mapping) else one for one in found[: shadow.k]]
    # Without their key all entries would be alike.
    return None if None in first else [str(one) for one in first]


def _overlap(own: Sequence[str], expected: Sequence[str]) -> float:
    """The share of the first k that both have; two empty answers agree."""
    if not expected:
        return 0.0 if own else 1.0
    return len(set(own) & set(expected)) / max(len(set(own)), len(set(expected)))
