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
  - Gives back the ids of all but the newest that many of each host, which the tag C(davit_host) names.
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
    """Ids of all but the newest ``keep`` snapshots of each host, oldest first; of one without a name none goes."""
    by_host: dict[str, list[Mapping[str, Any]]] = {}
    for snapshot in sorted(snapshots, key=lambda s: (str(s["start_time"]), str(s["snapshot_id"]))):
        by_host.setdefault(str((snapshot.get("tags") or {}).get("davit_host", "")), []).append(snapshot)
    by_host.pop("", None)
    return [str(s["snapshot_id"]) for own in by_host.values() for s in own[: max(0, len(own) - max(keep, 1))]]


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"snapshots_to_remove": snapshots_to_remove}
