#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Log in to a registry for the length of a deploy, and leave nothing behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_login
short_description: Log in to a registry for the length of a deploy
version_added: 0.1.0
description:
  - Keeps the login in a directory of its own in memory-backed storage, readable for root alone, which other modules
    take as O(davit.ec2.release_fetch#module:docker_config). The password goes by standard input.
  - O(state=absent) removes it. So does a timer of the host after O(lifetime), when no one came to do it.
options:
  state:
    description: Log in, or remove a login.
    type: str
    choices: [present, absent]
    default: present
  registry:
    description: Host name of the registry.
    type: str
    default: ghcr.io
  username:
    description: Name of the user. Needed with O(state=present).
    type: str
  password:
    description: Password or token. Needed with O(state=present).
    type: str
  config:
    description: Directory to remove. Needed with O(state=absent).
    type: path
  lifetime:
    description: Seconds after which the host removes the login by itself.
    type: int
    default: 3600
extends_documentation_fragment:
  - davit.ec2.app.standard
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Log in
  davit.ec2.registry_login:
    username: octocat
    password: "{{ lookup('ansible.builtin.env', 'GHCR_PAT') }}"
  register: __login

- name: Log out
  davit.ec2.registry_login:
    state: absent
    config: "{{ __login.config }}"
"""

RETURN = r"""
config:
  description: Directory that holds the login.
  returned: with O(state=present)
  type: str
  sample: /run/davit/registry/k2j4h5
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import registry
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "registry": {"type": "str", "default": "ghcr.io"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "config": {"type": "path"},
    "lifetime": {"type": "int", "default": 3600},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    parameters = module.params
    if parameters["state"] == "absent":
        return {"changed": not module.check_mode and registry.logout(parameters["config"])}
    if module.check_mode:
        return {"changed": True, "config": ""}
    config = registry.login(
        parameters["registry"], parameters["username"], parameters["password"], parameters["lifetime"]
    )
    return {"changed": True, "config": config}


def main() -> None:
    run_module(
        ARGUMENTS,
        work,
        required_if=[("state", "present", ("username", "password")), ("state", "absent", ("config",))],
    )


if __name__ == "__main__":
    main()
