# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What a drill breaks, and whether what followed is what should have. No I/O here.

A drill tries the live release's own content with a fault that the host adds from outside, so it
works for any image and with the app's own gate. Faults of HTTP come from a proxy that takes the
candidate's loopback port, dying comes from a signal to the container's process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.davit.ec2.plugins.module_utils import plan
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Gate
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint

CRASH, NEVER_READY, WRONG, SLOW, DIES = "crash", "never_ready", "wrong_answers", "slow", "dies_in_soak"
KINDS = (CRASH, NEVER_READY, WRONG, SLOW, DIES)
BY_PROXY = frozenset({NEVER_READY, WRONG, SLOW})

DEATH_DELAY = 2.0
"""Seconds between the switch and the death in the soak: long enough to have served traffic."""

NOT_CAUGHT = "The drill was not caught"


@dataclass(frozen=True)
class Drill:
    """The fault of one release, as its record holds it.

    ``fronts`` maps the loopback port that gate and edge use to the one that the container
    publishes instead; ``spared`` are the requests ("GET /readyz") that the fault leaves alone.
    """

    kind: str
    services: tuple[str, ...] = ()
    fronts: Mapping[int, int] = field(default_factory=dict)
    spared: tuple[str, ...] = ()
    delay_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "services": list(self.services),
            "fronts": {str(front): back for front, back in self.fronts.items()},
            "spared": list(self.spared),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Drill:
        """Raises DavitError for a record that is no drill's."""
        try:
            return cls(
                kind=str(record["kind"]),
                services=tuple(record["services"]),
                fronts={int(front): int(back) for front, back in record["fronts"].items()},
                spared=tuple(record["spared"]),
                delay_seconds=float(record["delay_seconds"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DavitError(f"The record of this drill is damaged: {error!r}.") from error


def ports_wanted(kind: str, routed: int) -> int:
    """How many loopback ports a release with ``routed`` ones needs when it is drilled this way."""
    return 2 * routed if kind in BY_PROXY else routed


def plan_drill(kind: str, endpoints: Sequence[Endpoint], gate: Gate, spare_ports: Iterable[int]) -> Drill:
    """The fault of ``kind`` for a release with these endpoints and this gate.

    ``spare_ports`` are for the containers behind the proxies. Raises DavitError for an unknown kind.
    """
    if kind not in KINDS:
        raise DavitError(f"There is no drill '{kind}'; there are {', '.join(KINDS)}.")
    services = tuple(sorted({e.route.service for e in endpoints}))
    if kind not in BY_PROXY:
        return Drill(kind, services)
    fronts = dict(zip(sorted({e.host_port for e in endpoints}), spare_ports))
    if kind == NEVER_READY:
        return Drill(kind, services, fronts)
    spared = _readiness(gate)
    if kind == WRONG:
        return Drill(kind, services, fronts, spared)
    return Drill(kind, services, fronts, spared if _others(gate) else (), _too_long(gate))


def _readiness(gate: Gate) -> tuple[str, ...]:
    return tuple(sorted({request_key(c.method, c.url) for c in gate.http if c.readiness}))


def _others(gate: Gate) -> bool:
    spared = _readiness(gate)
    return any(request_key(c.method, c.url) not in spared for c in gate.http)


def request_key(method: str, url: str) -> str:
    """A request as ``spared`` names it, from a whole URL or just the target."""
    parts = urlsplit(url)
    return f"{method} {parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")


def _too_long(gate: Gate) -> float:
    """Seconds that break the tightest limit of ``gate`` clearly, and no more than needed: its lowest
    latency limit twice, else its patience for one request and a second."""
    watched = [c for c in gate.http if not c.readiness] if _others(gate) else list(gate.http)
    limits = [c.max_latency_ms for c in watched if c.max_latency_ms is not None]
    return 2 * min(limits) / 1000 if limits else gate.request_timeout + 1.0


def published(endpoints: Iterable[Endpoint], record: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """The endpoints as the container publishes them: behind the proxies where there are any."""
    fronts = Drill.from_json(record).fronts if record else {}
    return tuple(replace(e, host_port=fronts.get(e.host_port, e.host_port)) for e in endpoints)


def ports_taken(record: Mapping[str, Any]) -> frozenset[int]:
    """The ports of a release's drill that its endpoints do not show."""
    return frozenset(Drill.from_json(record).fronts.values()) if record else frozenset()


def must_end_in(kind: str) -> str:
    """What the history has to say of a drill that was caught."""
    return plan.ROLLED_BACK if kind == DIES else plan.FAILED


def refuse_pass(record: Mapping[str, Any], *, soaked: bool) -> None:
    """Raise DavitError when a drill has passed what should have stopped it.

    Called after the gate and after the soak, so that a fault that nothing saw is not let through to
    users, or leaves again. ``record`` is empty for a real release, which may pass.
    """
    if not record:
        return
    kind = Drill.from_json(record).kind
    if soaked:
        raise DavitError(
            f"{NOT_CAUGHT}: with the fault '{kind}' the release passed its gate and its soak.{_hint(kind)}"
        )
    if kind != DIES:
        raise DavitError(
            f"{NOT_CAUGHT}: with the fault '{kind}' the release passed its gate."
            f" It was stopped before any traffic.{_hint(kind)}"
        )


def _hint(kind: str) -> str:
    hints = {
        WRONG: " Let a check of compose_release_gate other than the readiness one say what an answer holds ('json').",
        SLOW: " Give a check of compose_release_gate a 'max_latency_ms'.",
        DIES: " Lengthen compose_release_soak_seconds.",
    }
    return hints.get(kind, "")


@dataclass(frozen=True)
class Marks:
    """When things happened on the host, in seconds of its clock; None for what did not happen.

    ``visible``: the first request or look that the fault spoiled. ``verdict``: the gate's decision.
    ``returned``: the edge's route led to the live release again. ``gone``: the candidate was removed.
    """

    visible: float | None = None
    verdict: float | None = None
    switched: float | None = None
    returned: float | None = None
    gone: float | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Marks:
        return cls(**{key: record.get(key) for key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Outcome:
    """One line of a drill's report. Times in seconds; None when it cannot be said.

    ``reached`` is whether the fault showed at all: in a fleet the first host stops the others.
    """

    kind: str
    reached: bool
    unharmed: bool
    caught: bool
    why: str
    expected: str
    result: str
    seconds_to_detect: float | None = None
    seconds_to_recover: float | None = None
    requests: int | None = None
    lost: int | None = None
    longest_gap_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    kind: str,
    line: Mapping[str, Any] | None,
    marks: Marks,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    told: str = "",
) -> Outcome:
    """Whether a drill went as it should.

    ``line`` is the drill's entry in the history, and ``told`` what its deploy ended with; ``before`` and ``after`` say
    how the live release stood (see drill_run.look). Caught means that the fault was seen, that the deploy ended as it
    has to, and that the live release is exactly what it was.
    """
    expected = must_end_in(kind)
    result = str(line["result"]) if line else "not recorded"
    probe: Mapping[str, Any] = (line or {}).get("probe") or {}
    reached = line is not None and (marks.visible is not None or NOT_CAUGHT in str(line.get("cause", "")))
    harm = _harm(before, after)
    wrong = harm or _what_is_wrong(expected, line, marks, told)
    back = marks.returned if kind == DIES else marks.gone
    return Outcome(
        kind=kind,
        reached=reached,
        unharmed=not harm,
        caught=not wrong,
        why=wrong or str((line or {}).get("cause", "")),
        expected=expected,
        result=result,
        seconds_to_detect=_between(marks.visible, marks.verdict),
        seconds_to_recover=_between(marks.verdict, back),
        requests=probe.get("requests"),
        lost=probe.get("failures"),
        longest_gap_ms=probe.get("longest_gap_ms"),
    )


def _harm(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if not changed:
        return ""
    key = changed[0]
    return f"the live release is not as before: {key} was {before.get(key)} and is {after.get(key)}"


def _what_is_wrong(expected: str, line: Mapping[str, Any] | None, marks: Marks, told: str) -> str:
    if line is None:
        return ": ".join(filter(None, ("the deploy ended before there was a candidate", told)))
    cause = str(line.get("cause", ""))
    if NOT_CAUGHT in cause:
        return cause
    if marks.visible is None:
        return f"the deploy failed before the fault showed: {cause}"
    if line["result"] != expected:
        return f"it ended as '{line['result']}' and not as '{expected}': {cause}"
    return ""


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 2)
