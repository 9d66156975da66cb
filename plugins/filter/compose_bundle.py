# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter compose_bundle: a Compose project as the modules on the host take it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.plugin_utils import compose_source

DOCUMENTATION = r"""
name: compose_bundle
short_description: Check a Compose project on the controller and pack its files
version_added: 0.1.0
description:
  - Reads a Compose file on the controller, refuses what could not be released, with the line, and packs the file with
    every file that it refers to (env files, read-only mounts, secrets, configs, includes).
author:
  - The Davit maintainers (@davit-ec2)
positional: _input
options:
  _input:
    description: Path of the Compose file on the controller.
    type: path
    required: true
  stateful:
    description: Services that own data.
    type: list
    elements: str
    default: []
  variables:
    description: Names of the variables that will have a value.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show which files would be sent
  ansible.builtin.debug:
    msg: "{{ 'service/compose.yaml' | davit.ec2.compose_bundle(variables=['VERSION']) | list }}"
"""

RETURN = r"""
_value:
  description: Path below the project to content in Base64.
  type: dict
"""


def compose_bundle(path: str, stateful: Iterable[str] = (), variables: Iterable[str] = ()) -> dict[str, str]:
    """Path below the project to Base64; raises AnsibleFilterError with every finding and its line."""
    try:
        source = compose_source.read_source(Path(path))
        compose_source.check(source, frozenset(stateful), frozenset(variables))
        return compose_source.bundle(source)
    except DavitError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"compose_bundle": compose_bundle}
