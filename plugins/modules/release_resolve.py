#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Ask the registry for the digests that a staged deploy needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_resolve
short_description: Ask the registry for the digests that a deploy needs
version_added: 0.1.0
description:
  - Resolves image tags to digests, once. Run it on one host and give its answer to all, so that a tag which moves
    meanwhile cannot split a fleet.
options:
  references:
    description: Image references to resolve.
    type: list
    elements: str
    required: true
  docker_config:
    description: Directory with the registry's login, as M(davit.ec2.registry_login) returns it.
    type: path
  timeout:
    description: Seconds for the registry to answer.
    type: float
    default: 60.0
extends_documentation_fragment:
  - davit.ec2.app.standard
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Ask for the digest of v2
  davit.ec2.release_resolve:
    references: [ghcr.io/davit-ec2/restaurant-search:v2]
"""

RETURN = r"""
digests:
  description: Digest by reference.
  returned: success
  type: dict
  sample:
    ghcr.io/davit-ec2/restaurant-search:v2: sha256:0a1b2c3d
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import distribution
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "references": {"type": "list", "elements": "str", "required": True},
    "docker_config": {"type": "path"},
    "timeout": {"type": "float", "default": 60.0},
}


def resolve(module: AnsibleModule) -> dict[str, Any]:
    config, timeout = module.params["docker_config"], module.params["timeout"]
    return {"changed": False, "digests": distribution.resolve(module.params["references"], config, timeout)}


def main() -> None:
    run_module(ARGUMENTS, resolve)


if __name__ == "__main__":
    main()
