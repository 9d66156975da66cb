#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Start a release beside the live one, without any traffic."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_start
short_description: Start a release beside the live one, without any traffic
version_added: 0.1.0
description:
  - Has the services that own data run, runs the release's jobs, and starts its containers. The live release is not
    touched, and no traffic reaches the new one.
options:
  release:
    description: Id of the release.
    type: str
    required: true
  start_timeout:
    description: Seconds for jobs and for containers to be created and started.
    type: float
    default: 120.0
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Start the candidate
  davit.ec2.release_start:
    app: restaurant-search
    release: 20260131-120000-0a1b2c3-12
"""

RETURN = r"""
logs:
  description: Last lines of what could not be started, by service.
  returned: on failure of a job
  type: dict
  sample:
    migrate: ["relation does not exist"]
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.module_run import APP_ARGUMENTS, layout_of, run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    "release": {"type": "str", "required": True},
    "start_timeout": {"type": "float", "default": 120.0},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": True}
    layout = layout_of(module.params)
    wanted = candidate.load(layout, module.params["release"])
    with store.locked(layout.lock):
        candidate.start(layout, wanted, Engine(), module.params["start_timeout"], forward=True)
    return {"changed": True}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
