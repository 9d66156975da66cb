# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter doctor_report: findings as text for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import clean

DOCUMENTATION = r"""
name: doctor_report
short_description: Show findings as text
version_added: 0.1.0
description:
  - Makes text of what M(davit.ec2.doctor_way) and M(davit.ec2.doctor_host) found, each with evidence and remedy.
author:
  - The Davit maintainers (@davit-ec2)
positional: _input, host
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  host:
    description: Whose they are.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ way.findings | davit.ec2.doctor_report(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""


def doctor_report(findings: Sequence[Mapping[str, Any]], host: str) -> str:
    """A line with their number, and three for each: what, evidence, remedy."""
    lines = [f"{host}: {len(findings)} finding{'' if len(findings) == 1 else 's'}"]
    for number, finding in enumerate(findings, start=1):
        lines += [f"{number}. {finding['what']}", f"   seen: {finding['evidence']}", f"   do: {finding['remedy']}"]
    # Evidence comes from registries, servers and logs, and is read at a terminal.
    return clean("\n".join(lines))


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"doctor_report": doctor_report}
