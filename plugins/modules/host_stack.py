#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Run a Compose project that belongs to the host itself, with its configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_stack
short_description: Run a Compose project that belongs to the host itself, with its configuration
version_added: 0.1.0
description:
  - For what is no release, as monitoring. Writes the project's files, has them checked by the programs that will read
    them before anything is replaced, and then starts, recreates or reloads just what changed.
  - Files below O(directory) that are not among O(files) are removed.
options:
  project:
    description: Name of the Compose project.
    type: str
    required: true
  directory:
    description: Directory that holds the project, and nothing else.
    type: path
    required: true
  compose:
    description: The Compose file.
    type: dict
    required: true
  files:
    description:
      - Configuration, path below O(directory) to text.
      - May hold secrets, so only root may read them.
    type: dict
    required: true
  checks:
    description: Commands that have to accept the files, each with the image, user and mounts of a service.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: Name of the service in O(compose).
        type: str
        required: true
      argv:
        description: The command.
        type: list
        elements: str
        required: true
  reload:
    description: URL to C(POST) to after files below a directory of the service's name have changed, by service.
    type: dict
    default: {}
  ready:
    description: URLs that have to answer 200 in the end.
    type: list
    elements: str
    default: []
  route:
    description: Route of the project at the edge, as Traefik's dynamic configuration; none when empty.
    type: dict
    default: {}
  state:
    description: Whether the project runs.
    type: str
    choices: [present, stopped]
    default: present
  timeout:
    description: Seconds within which everything has to answer.
    type: int
    default: 120
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Run a small exporter
  davit.ec2.host_stack:
    project: exporter
    directory: /opt/exporter
    compose:
      services:
        exporter:
          image: prom/node-exporter:v1.9.1
          network_mode: host
    files: {}
    ready: ["http://127.0.0.1:9100/"]
"""

RETURN = r"""
action:
  description: What was done, or would be.
  type: str
  returned: success
  sample: recreated prometheus
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils.host_stack import Stack
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "project": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "compose": {"type": "dict", "required": True},
    "files": {"type": "dict", "required": True, "no_log": True},
    "checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "service": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "str", "required": True},
        },
    },
    "reload": {"type": "dict", "default": {}},
    "ready": {"type": "list", "elements": "str", "default": []},
    "route": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "stopped"], "default": "present"},
    "timeout": {"type": "int", "default": 120},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    given = module.params
    stack = Stack(given["project"], given["directory"], given["compose"], given["files"], given["route"])
    if given["state"] == "stopped":
        return stack.stop(dry=module.check_mode)
    return stack.run(given["checks"], given["reload"], given["ready"], given["timeout"], dry=module.check_mode)


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
