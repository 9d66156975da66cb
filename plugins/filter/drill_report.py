# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filters drill_report and drill_misses: the outcomes of drills as a table, and what was not caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.plugin_utils import table
from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import clean, one_line

DOCUMENTATION = r"""
name: drill_report
short_description: Show the outcomes of drills as a table
version_added: 0.1.0
description:
  - Makes the lines of a table out of what M(davit.ec2.release_drill) returned, one line per host and kind.
author:
  - The Davit maintainers (@davit-ec2)
positional: _input
options:
  _input:
    description: Outcomes by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show how the drills went
  ansible.builtin.debug:
    msg: "{{ {inventory_hostname: __outcomes} | davit.ec2.drill_report }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

Outcomes = Mapping[str, Sequence[Mapping[str, Any]]]

_HEAD = ("host", "drill", "outcome", "detected", "recovered", "requests", "lost", "longest gap", "what was seen")
_SEEN = 100


def drill_report(outcomes: Outcomes) -> list[str]:
    """The head and one line per host and kind, in columns."""
    return table.lines([_HEAD, *(_row(host, outcome) for host, some in outcomes.items() for outcome in some)])


def _row(host: str, outcome: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        host,
        str(outcome["kind"]),
        _outcome(outcome),
        _number(outcome["seconds_to_detect"], " s"),
        _number(outcome["seconds_to_recover"], " s"),
        _number(outcome["requests"]),
        _number(outcome["lost"]),
        _number(outcome["longest_gap_ms"], " ms"),
        one_line(outcome["why"], _SEEN),
    )


def _outcome(outcome: Mapping[str, Any]) -> str:
    if outcome["caught"]:
        return f"caught, {outcome['result']}"
    return "NOT CAUGHT" if outcome["reached"] or not outcome["unharmed"] else "not reached"


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:g}{unit}"


def drill_misses(outcomes: Outcomes) -> list[str]:
    """One sentence for each drill that did not go as it has to.

    A host that the fault never reached is no miss as long as another one caught it: in a fleet the
    first host that fails keeps the rest from trying.
    """
    misses = []
    caught = {outcome["kind"] for some in outcomes.values() for outcome in some if outcome["caught"]}
    for host, some in outcomes.items():
        for outcome in some:
            stopped_elsewhere = not outcome["reached"] and outcome["unharmed"] and outcome["kind"] in caught
            if not outcome["caught"] and not stopped_elsewhere:
                misses.append(clean(f"{host}, {outcome['kind']}: {outcome['why']}"))
    return misses


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drill_report": drill_report, "drill_misses": drill_misses}
