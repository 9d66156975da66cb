# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a candidate has to show, and the judgement over what was seen. No I/O here.

A check waits while it may still come true, and fails for good when it cannot: a container that
exited, or an answer that stays wrong after the service said that it is ready.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"

_SHOWN = 120
"""Characters of a value in an answer that are shown of it."""
_EXCERPT = 200
"""Bytes of an answer that are shown of it."""
_HTTP_KEYS = frozenset(
    {"name", "service", "path", "method", "headers", "body", "status", "json", "max_latency_ms", "readiness"}
)


@dataclass(frozen=True)
class HttpCheck:
    """One request and what its answer must be.

    ``json`` maps a dotted path into the answer ("checks.0.state") to the value expected there, or
    to ``{min: ..., max: ...}``. A ``readiness`` check may fail until the deadline; any other fails
    the gate after ``Gate.failures`` wrong answers in a row once readiness holds.
    """

    name: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    status: tuple[int, ...] = (200,)
    json: Mapping[str, Any] = field(default_factory=dict)
    max_latency_ms: float | None = None
    readiness: bool = False


@dataclass(frozen=True)
class Gate:
    """The whole set of checks with its patience. Times are in seconds."""

    http: tuple[HttpCheck, ...] = ()
    successes: int = 3
    failures: int = 3
    interval: float = 0.5
    timeout: float = 60.0
    request_timeout: float = 5.0
    stable_seconds: float = 3.0


@dataclass(frozen=True)
class Answer:
    """What one request brought. ``error`` is set when there was no HTTP answer at all."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class Container:
    """The parts of ``docker inspect`` that a gate looks at."""

    id: str
    name: str
    service: str
    status: str
    health: str | None = None
    restarts: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    image: str = ""
    policy: str = ""

    @classmethod
    def from_inspect(cls, record: Mapping[str, Any]) -> Container:
        state: Mapping[str, Any] = record.get("State") or {}
        labels: Mapping[str, str] = (record.get("Config") or {}).get("Labels") or {}
        return cls(
            id=str(record["Id"]),
            name=str(record["Name"]).lstrip("/"),
            service=labels.get("com.docker.compose.service", ""),
            status=str(state.get("Status", "unknown")),
            health=(state.get("Health") or {}).get("Status"),
            restarts=int(record.get("RestartCount") or 0),
            exit_code=int(state.get("ExitCode") or 0),
            oom_killed=bool(state.get("OOMKilled")),
            image=str((record.get("Config") or {}).get("Image", "")),
            policy=str(((record.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name", "")),
        )

    @property
    def ended(self) -> str:
        """How its process ended, in words; empty while it has not."""
        if self.status not in ("exited", "dead", "removing"):
            return ""
        return f"exited with code {self.exit_code}{', out of memory' if self.oom_killed else ''}"


@dataclass(frozen=True)
class Look:
    """One look at one subject: did it hold, is it hopeless, and what was seen.

    ``pending`` when it cannot be known yet, as with a health check that was not made yet.
    """

    name: str
    holds: bool
    observed: str
    hopeless: bool = False
    latency_ms: float | None = None
    pending: bool = False


def judge_containers(
    expected: Iterable[str], containers: Sequence[Container], restarts_before: Mapping[str, int]
) -> list[Look]:
    """A look per expected service.

    ``restarts_before`` maps container id to the restart count seen first; a higher one now means
    that the process died in between, even when it is up again.
    """
    looks = []
    for service in expected:
        own = [c for c in containers if c.service == service]
        looks.append(_judge_service(service, own, restarts_before))
    return looks


def _judge_service(service: str, own: Sequence[Container], before: Mapping[str, int]) -> Look:
    name = f"container {service}"
    if not own:
        return Look(name, False, "there is no container", hopeless=True)
    for c in own:
        if c.restarts > before.get(c.id, c.restarts):
            return Look(name, False, f"restarted {c.restarts - before[c.id]} times", hopeless=True)
        if c.ended:
            return Look(name, False, c.ended, hopeless=True)
    for c in own:
        if c.status != "running":
            return Look(name, False, c.status)
        if c.health not in (None, "none", "healthy"):
            return Look(name, False, f"running, {c.health}", pending=c.health == "starting")
    health = " and healthy" if any(c.health == "healthy" for c in own) else ""
    return Look(name, True, f"running{health}")


def judge_answer(check: HttpCheck, answer: Answer) -> Look:
    """Whether one answer is what ``check`` expects, with what was seen instead."""
    latency = round(answer.seconds * 1000, 1)
    wrong = _what_is_wrong(check, answer, latency)
    answered = latency if answer.error is None else None
    return Look(check.name, wrong is None, wrong or f"{answer.status} as expected", latency_ms=answered)


def _what_is_wrong(check: HttpCheck, answer: Answer, latency: float) -> str | None:
    if answer.error is not None:
        return answer.error
    if answer.status not in check.status:
        wanted = " or ".join(str(s) for s in check.status)
        return f"status {answer.status} instead of {wanted}{_excerpt(answer.body)}"
    if check.json:
        try:
            document = json.loads(answer.body)
        except ValueError:
            return f"the answer is not JSON{_excerpt(answer.body)}"
        for path, wanted in check.json.items():
            seen = value_at(document, path)
            if not _matches(seen, wanted):
                return f"{path} is {_show(seen)} instead of {_show(wanted)}"
    if check.max_latency_ms is not None and latency > check.max_latency_ms:
        return f"it took {latency} ms, more than {check.max_latency_ms:g} ms"
    return None


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


def value_at(document: Any, path: str) -> Any:
    """The value at a dotted path, in which a number also indexes a list; MISSING if none."""
    here = document
    for part in path.split("."):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return MISSING
    return here


def _matches(seen: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and wanted and set(wanted) <= {"min", "max"}:
        if isinstance(seen, bool) or not isinstance(seen, (int, float)):
            return False
        low, high = wanted.get("min"), wanted.get("max")
        return (low is None or seen >= low) and (high is None or seen <= high)
    return type(seen) is type(wanted) and bool(seen == wanted)


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, _Missing) else shorten(json.dumps(value), _SHOWN)


def shorten(text: str, longest: int) -> str:
    """``text``, and where it was cut if it was: what is left of a secret there is then found (see masking.py)."""
    return text if len(text) <= longest else text[:longest] + "…"


def _excerpt(body: bytes) -> str:
    # A character that is cut in two is left out, since half of one would hide the secret before it.
    begin = codecs.getincrementaldecoder("utf-8")("replace").decode(body[:_EXCERPT])
    text = " ".join(begin.split()) + ("…" if len(body) > _EXCERPT else "")
    return f": {text}" if text else ""


@dataclass
class Tally:
    """What was seen of one subject over the whole gate: the evidence in a verdict."""

    name: str
    readiness: bool = True
    attempts: int = 0
    in_a_row: int = 0
    wrong_in_a_row: int = 0
    observed: str = "not looked at"
    hopeless: bool = False
    pending: bool = False
    engines: bool = False
    """Whether the engine judges it, which asks often enough itself before it calls a container healthy."""
    latencies: list[float] = field(default_factory=list)

    def add(self, look: Look) -> None:
        self.attempts += 1
        self.in_a_row = self.in_a_row + 1 if look.holds else 0
        self.wrong_in_a_row = 0 if look.holds or look.pending else self.wrong_in_a_row + 1
        self.pending = look.pending
        self.observed = look.observed
        self.hopeless = self.hopeless or look.hopeless
        if look.latency_ms is not None:
            self.latencies.append(look.latency_ms)

    def proven(self, successes: int) -> bool:
        """Whether it has held for long enough."""
        return self.in_a_row >= (1 if self.engines else successes)

    def to_json(self, successes: int) -> dict[str, Any]:
        held = self.proven(successes) and not self.hopeless
        evidence: dict[str, Any] = {
            "name": self.name,
            "verdict": PASS if held else FAIL if self.attempts else INCONCLUSIVE,
            "observed": self.observed,
            "attempts": self.attempts,
            "successes_in_a_row": self.in_a_row,
        }
        if self.latencies:
            ordered = sorted(self.latencies)
            evidence["latency_ms"] = {"p50": ordered[len(ordered) // 2], "max": ordered[-1]}
        return evidence


def decide(tallies: Sequence[Tally], gate: Gate, elapsed: float) -> str | None:
    """PASS or FAIL once it is certain, INCONCLUSIVE when there is nothing to look at, None to look again.

    No subject at all is never a pass. Every answer has to be right ``successes`` times in a row, and the
    gate has to have watched for ``stable_seconds``, so that a process which dies a moment after it
    said *ready* is seen.
    """
    if not tallies:
        return INCONCLUSIVE
    if any(t.hopeless for t in tallies):
        return FAIL
    ready = all(t.in_a_row >= 1 for t in tallies if t.readiness)
    if ready and any(not t.readiness and t.wrong_in_a_row >= gate.failures for t in tallies):
        return FAIL
    if all(t.proven(gate.successes) for t in tallies) and elapsed >= gate.stable_seconds:
        return PASS
    return FAIL if elapsed >= gate.timeout else None


def decide_soak(tallies: Sequence[Tally], gate: Gate, elapsed: float, seconds: float) -> str | None:
    """A verdict over what serves: FAIL at the first breach, else one when ``seconds`` are over.

    What cannot be known by then is waited for as long as a gate would: a worker is started only at the
    switch, and its first health check may come much later.
    """
    if any(t.hopeless or t.wrong_in_a_row >= gate.failures for t in tallies):
        return FAIL
    if elapsed < seconds or (elapsed < gate.timeout and any(t.pending for t in tallies)):
        return None
    return PASS if tallies and all(t.in_a_row >= 1 for t in tallies) else INCONCLUSIVE


def soak_cause(verdict: str, tallies: Sequence[Tally], gate: Gate) -> str:
    """One sentence for a soak that was not passed; '' for one that was."""
    if verdict == PASS:
        return ""
    breached = [t for t in tallies if t.hopeless or t.wrong_in_a_row >= gate.failures]
    unproven = [t for t in tallies if t.in_a_row == 0]
    for tally in breached or unproven:
        return f"in the soak, {tally.name}: {tally.observed}"
    return "in the soak there was nothing to look at, and no evidence is not a pass"


def cause(tallies: Sequence[Tally], gate: Gate, elapsed: float) -> str:
    """One sentence for a failed gate, about the subject that decided it."""
    ready = all(t.in_a_row >= 1 for t in tallies if t.readiness)
    ranked = [
        [t for t in tallies if t.hopeless],
        [t for t in tallies if ready and not t.readiness and t.wrong_in_a_row >= gate.failures],
        # A wrong answer says more than its container, which is "starting" or "unhealthy" for the same reason.
        [t for t in tallies if t.readiness and t.in_a_row == 0 and t.latencies],
        [t for t in tallies if t.readiness and t.in_a_row == 0 and not t.pending],
        [t for t in tallies if t.readiness and t.in_a_row == 0],
        [t for t in tallies if t.in_a_row == 0],
        [t for t in tallies if t.in_a_row < gate.successes],
    ]
    wrong = next((some for some in ranked if some), [])
    if not wrong:
        return "there was nothing to look at, and no evidence is not a pass"
    first = wrong[0]
    timed_out = f" (given up after {elapsed:.0f} s, the gate's 'timeout')" if elapsed >= gate.timeout else ""
    return f"{first.name}: {first.observed}{timed_out}"


def refuse_unknown(entry: Mapping[str, Any]) -> None:
    """Raise DavitError for a key that ``parse_http`` does not know: a misspelt bound would bind nothing.

    Apart from it, since what a kept release was once given must not keep it from coming back.
    """
    unknown = sorted(set(entry) - _HTTP_KEYS)
    if unknown:
        raise DavitError(
            f"The gate '{entry.get('name') or entry.get('path')}' has the unknown key '{unknown[0]}';"
            f" known: {', '.join(sorted(_HTTP_KEYS))}."
        )


def parse_http(entry: Mapping[str, Any], base_url: str) -> HttpCheck:
    """A check as declared in variables. Raises DavitError with what is wrong with it."""
    path = str(entry.get("path", ""))
    name = str(entry.get("name") or path)
    if not path.startswith("/"):
        raise DavitError(f"The gate '{name}' needs a 'path' that starts with '/', not {path!r}.")
    body = entry.get("body")
    headers = {str(k): str(v) for k, v in (entry.get("headers") or {}).items()}
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    latency = entry.get("max_latency_ms")
    status = entry.get("status") or (200,)
    return HttpCheck(
        name=name,
        url=base_url + path,
        method=str(entry.get("method") or ("GET" if body is None else "POST")).upper(),
        headers=headers,
        body=body,
        status=tuple(int(s) for s in (status if isinstance(status, (list, tuple)) else [status])),
        json=dict(entry.get("json") or {}),
        max_latency_ms=None if latency is None else float(latency),
        readiness=bool(entry.get("readiness")),
    )
