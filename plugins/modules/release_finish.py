#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""End a good deploy: last good moves, the old release stops, what is too old goes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_finish
short_description: End a good deploy
version_added: 0.1.0
description:
  - Makes the release the last good one, writes the history, stops the release that was live before and keeps it for a
    rollback, and removes what is older than wanted. A clean-up that does not work is a warning, not a failure.
options:
  release:
    description: Id of the release that is live now.
    type: str
    required: true
  previous:
    description: Id of the release that was live before; empty at the first deploy.
    type: str
    default: ''
  keep:
    description: How many good releases to keep beside the live one. Live and last good always stay.
    type: int
    default: 3
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.patience
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: End the deploy
  davit.ec2.release_finish:
    app: restaurant-search
    release: 20260131-120000-0a1b2c3-12
    previous: 20260130-090000-ffeedd0-11
"""

RETURN = r"""
removed:
  description: Ids of releases that are no longer kept.
  returned: success
  type: list
  elements: str
  sample: []
can_return_to:
  description: Ids of releases that a rollback could bring back, newest first.
  returned: success
  type: list
  elements: str
  sample: [20260130-090000-ffeedd0-11]
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, plan, store, switching
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.module_run import (
    APP_ARGUMENTS,
    PATIENCE_ARGUMENTS,
    layout_of,
    patience_of,
    run_module,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    **PATIENCE_ARGUMENTS,
    "release": {"type": "str", "required": True},
    "previous": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 3},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    parameters = module.params
    if module.check_mode:
        return {"changed": True, "removed": [], "can_return_to": []}
    layout = layout_of(parameters)
    wanted = candidate.load(layout, parameters["release"])
    line = {
        "action": plan.DEPLOY,
        "more": {"by": wanted.created_by, "commit": wanted.commit},
    }
    with store.locked(layout.lock):
        done = switching.finish(
            layout,
            wanted,
            parameters["previous"] or None,
            Engine(),
            patience_of(parameters),
            parameters["keep"],
            line,
        )
    for warning in done.warnings:
        module.warn(f"Clean-up: {warning}")
    return {"changed": True, "removed": list(done.removed), "can_return_to": list(done.can_return_to)}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
