#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Tell which release is live, since when, and what could be returned to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_status
short_description: Tell which release of each app is live, and what could be returned to
version_added: 0.1.0
description:
  - Reads the records of a host and compares them with what the edge serves and what runs.
options:
  app:
    description: Name of the app; every app of the host if left out.
    type: str
  root:
    description: Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
extends_documentation_fragment:
  - davit.ec2.app.standard
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Read the state of all apps
  davit.ec2.release_status:
"""

RETURN = r"""
apps:
  description: State by app.
  returned: success
  type: dict
  sample:
    restaurant-search:
      live: 20260131-120000-0a1b2c3-12
      version: v2
      since: "2026-01-31T12:00:09+00:00"
      model: minilm-int8@5d1c
      last_good: 20260131-120000-0a1b2c3-12
      can_return_to: [20260130-090000-ffeedd0-11]
      images: {api: "ghcr.io/davit-ec2/restaurant-search:v2@sha256:0a1b2c3d"}
      secrets: {DB_PASSWORD: ssm /shop/db_password version 3}
      running: true
      edge_serves: 20260131-120000-0a1b2c3-12
      under_way: ""
      last: {action: deploy, result: succeeded, at: "2026-01-31T12:00:09+00:00"}
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import status
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT, AppLayout, apps_of
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "app": {"type": "str"},
    "root": {"type": "path", "default": DEFAULT_ROOT},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    root, app = module.params["root"], module.params["app"]
    wanted = [AppLayout(app, root)] if app else apps_of(root)
    return {"changed": False, "apps": {layout.app: status.describe(layout, Engine()) for layout in wanted}}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
