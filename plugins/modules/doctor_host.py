#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Look at a host, and explain what is wrong with it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_host
short_description: Look at a host, and explain what is wrong with it
version_added: 0.1.0
description:
  - Looks at Docker, disk, memory, clock, ports, certificates, images and apps of the host that it runs on, and changes
    nothing.
options:
  outside:
    description: How public ports look from the controller, as M(davit.ec2.doctor_way) returns it.
    type: dict
    default: {}
  now:
    description: The controller's time in seconds since 1970; the clock is not compared without it.
    type: float
  registry:
    description: Registry whose login is tried for the images of what is live.
    type: str
    default: ghcr.io
  username:
    description: User at the registry.
    type: str
    default: ""
  password:
    description: Password at the registry.
    type: str
    default: ""
  app:
    description: The app that O(memory_mb) and O(stop_first) are of; that of others is then not judged by its memory.
    type: str
    default: ""
  memory_mb:
    description: Memory in MiB that one copy needs; V(0) means the sum of the memory limits.
    type: int
    default: 0
  stop_first:
    description: Whether a deploy stops the live release first, so that there are never two copies.
    type: bool
    default: false
  root:
    description: Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Look at the host
  davit.ec2.doctor_host:
    outside: "{{ way.outside }}"
    now: "{{ way.now }}"
"""

RETURN = r"""
findings:
  description: What is wrong, with evidence and remedy.
  type: list
  elements: dict
  returned: success
"""

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import doctor_look
from ansible_collections.davit.ec2.plugins.module_utils.doctor import Room
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "outside": {"type": "dict", "default": {}},
    "now": {"type": "float"},
    "registry": {"type": "str", "default": "ghcr.io"},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "app": {"type": "str", "default": ""},
    "memory_mb": {"type": "int", "default": 0},
    "stop_first": {"type": "bool", "default": False},
    "root": {"type": "path", "default": DEFAULT_ROOT},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    given = module.params
    offset = time.time() - given["now"] if given["now"] else 0.0
    outside = {int(port): str(state) for port, state in given["outside"].items()}
    login = (given["registry"], given["username"], given["password"])
    room = Room(given["app"], given["memory_mb"], given["stop_first"])
    findings = doctor_look.look(given["root"], outside, offset, login, room)
    return {"changed": False, "findings": [finding.to_json() for finding in findings]}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
