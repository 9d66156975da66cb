#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Send an app's traffic to another release, and prove it through the edge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_switch
short_description: Send an app's traffic to another release, and prove it through the edge
version_added: 0.1.0
description:
  - Replaces the app's route in one step and asks through the edge until the wanted release answers. When it does not,
    the old route is put back and proved in turn, and the module fails.
options:
  release:
    description: Id of the release, which has to run.
    type: str
    required: true
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.patience
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Switch to the candidate
  davit.ec2.release_switch:
    app: restaurant-search
    release: 20260131-120000-0a1b2c3-12
"""

RETURN = r"""
previous:
  description: Id of the release that was live before; empty at the first deploy.
  returned: success
  type: str
  sample: 20260130-090000-ffeedd0-11
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, edge, store, switching
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
}


def work(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": True, "previous": ""}
    layout = layout_of(module.params)
    wanted = candidate.load(layout, module.params["release"])
    with store.locked(layout.lock):
        edge.read_routes(layout)
        previous = switching.switch(layout, wanted, Engine(), patience_of(module.params))
    return {"changed": True, "previous": previous or ""}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
