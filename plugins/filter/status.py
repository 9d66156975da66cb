# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filters of playbooks/status.yml: what every host told, for programs and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.plan import SUCCEEDED
from ansible_collections.davit.ec2.plugins.plugin_utils import table as columns
from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import one_line

DOCUMENTATION = r"""
name: status
short_description: Show what every host told of its releases
version_added: 0.1.0
author:
  - The Davit maintainers (@davit-ec2)
description:
  - P(davit.ec2.status_hosts#filter) takes the host variables and the hosts of the play, and gives what
    M(davit.ec2.release_status) told of each, or C(error) where it told nothing.
  - P(davit.ec2.status_table#filter) makes lines of that - a table with a row for each app of each host, and under it
    what is wrong.
options:
  _input:
    description: The host variables, or what status_hosts made of them.
    type: raw
    required: true
"""

HEAD = ("host", "app", "version", "live", "since", "last", "lock", "can go back to")
FINE = "No problems found."


def hosts(hostvars: Mapping[str, Any], all_hosts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Host to C(apps), or to C(error)."""
    return {host: _told(hostvars[host].get("__status") or {}) for host in all_hosts}


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    if result.get("unreachable"):
        return {"apps": {}, "error": f"it cannot be reached: {result.get('msg', 'no reason told')}"}
    if result.get("failed") or "apps" not in result:
        return {"apps": {}, "error": str(result.get("msg", "it told nothing"))}
    return {"apps": dict(result["apps"])}


def table(told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of equal columns, a blank one, and what is wrong, one line each."""
    rows: list[tuple[str, ...]] = [HEAD]
    notes: list[str] = []
    for host, state in told.items():
        if state.get("error"):
            rows.append((one_line(host), *("?",) * (len(HEAD) - 1)))
            notes.append(f"{one_line(host)}: {one_line(state['error'])}")
            continue
        apps = state.get("apps") or {}
        if not apps:
            rows.append((one_line(host), "none", *("-",) * (len(HEAD) - 2)))
        for name, app in apps.items():
            rows.append((one_line(host), one_line(name), *_columns(app)))
            notes += [f"{one_line(host)}, {one_line(name)}: {one_line(note)}" for note in _notes(app)]
    return [*columns.lines(rows, ruled=True), "", *(notes or [FINE])]


def _columns(app: Mapping[str, Any]) -> tuple[str, ...]:
    last = app.get("last") or {}
    back = [str(one) for one in app.get("can_return_to") or []]
    more = f" and {len(back) - 1} more" if len(back) > 1 else ""
    return (
        one_line(app.get("version") or "-"),
        one_line(app.get("live") or "nothing"),
        one_line(str(app.get("since") or "-")[:16].replace("T", " ")),
        one_line(f"{last.get('action', '')} {last.get('result', '')}".strip() or "-"),
        one_line(str(app.get("under_way") or "free").partition(", since ")[0], 60),
        one_line(f"{back[0]}{more}" if back else "nothing"),
    )


def _notes(app: Mapping[str, Any]) -> list[str]:
    """What a person has to know beside the row: what is wrong, and until when the lock is held."""
    found = [str(problem) for problem in app.get("problems") or []]
    if app.get("under_way"):
        found.append(str(app["under_way"]))
    last = app.get("last") or {}
    if last.get("cause") and last.get("result") != SUCCEEDED:
        found.append(f"the last {last.get('action', 'deploy')} {last['result']}: {last['cause']}")
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"status_hosts": hosts, "status_table": table}
