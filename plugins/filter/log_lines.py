# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter log_lines: the last words of containers as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: log_lines
short_description: Show the last lines of containers
version_added: 0.1.0
description:
  - Turns the C(logs) that the modules of this collection return into text, one line each, with the service before it.
author:
  - The Davit maintainers (@davit-ec2)
positional: _input
options:
  _input:
    description: Lines by service.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show why it failed
  ansible.builtin.debug:
    msg: "{{ __failed.logs | davit.ec2.log_lines }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""


def log_lines(logs: Mapping[str, Sequence[str]]) -> str:
    """``{"api": ["a", "b"]}`` as two lines that start with ``api | ``."""
    return "\n".join(f"{service} | {line}" for service, lines in logs.items() for line in lines)


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"log_lines": log_lines}
