# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter snapshots_to_remove: which snapshots retention lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: snapshots
author: The Davit maintainers (@davit-ec2)
version_added: 0.1.0
short_description: Snapshots that retention lets go
description:
  - P(davit.ec2.snapshots_to_remove#filter) takes snapshots as M(amazon.aws.ec2_snapshot_info) returns them.
  - Gives back the ids of all but the newest that many of each host, which the tag C(davit_host) names. Those that were
    taken before something, as the tag C(davit_snapshot) tells, are counted by themselves - a day of deploys or of tries
    must not push out what a schedule took.
options:
  _input:
    description: The snapshots.
    type: list
    elements: dict
    required: true
  keep:
    description: How many of each host stay.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Say which would go
  ansible.builtin.debug:
    msg: "{{ taken.snapshots | davit.ec2.snapshots_to_remove(7) }}"
"""

RETURN = r"""
_value:
  description: Their ids, oldest first.
  type: list
  elements: str
  sample: [snap-0a1b2c3d]
"""


def snapshots_to_remove(snapshots: Iterable[Mapping[str, Any]], keep: int) -> list[str]:
    """Ids of all but the newest ``keep`` of each host and kind, oldest first; of those without a host none."""
    kinds: dict[tuple[str, bool], list[Mapping[str, Any]]] = {}
    for snapshot in sorted(snapshots, key=lambda s: (str(s["start_time"]), str(s["snapshot_id"]))):
        tags = snapshot.get("tags") or {}
        if tags.get("davit_host"):
            before = str(tags.get("davit_snapshot", "")).startswith("before ")
            kinds.setdefault((str(tags["davit_host"]), before), []).append(snapshot)
    return [str(s["snapshot_id"]) for own in kinds.values() for s in own[: max(0, len(own) - max(keep, 1))]]


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"snapshots_to_remove": snapshots_to_remove}
