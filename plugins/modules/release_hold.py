#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Keep a host's lock while other hosts of the fleet have their turn."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_hold
short_description: Keep a host's lock while other hosts of the fleet have their turn
version_added: 0.1.0
description:
  - Renews the lease of a deploy that is under way on this host. Nothing else is read or changed.
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.step
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Keep the lock
  davit.ec2.release_hold:
    app: restaurant-search
    token: "{{ staged.token }}"
"""

RETURN = r"""
phase:
  description: Where the deploy stands on this host.
  returned: success
  type: str
  sample: soak
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import journal
from ansible_collections.davit.ec2.plugins.module_utils.module_run import TOKEN_ARGUMENTS, layout_of, run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def work(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": False, "phase": ""}
    with journal.step(layout_of(module.params), module.params["token"], lease=module.params["lease"]) as session:
        return {"changed": False, "phase": session.journal.phase}


def main() -> None:
    run_module(TOKEN_ARGUMENTS, work)


if __name__ == "__main__":
    main()
