#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Keep deploys away from a host while the host itself is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_lock
short_description: Keep deploys away from a host while the host itself is changed
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Takes the lock of every app of the host, or of none, and fails when a deploy or a rollback is under way.
  - A deploy that comes meanwhile is told who holds the lock. When nobody gives the locks back, the host itself does,
    after O(lease) seconds.
options:
  state:
    description: V(held) takes the locks, V(free) gives those of O(tokens) back.
    type: str
    choices: [held, free]
    default: held
  tokens:
    description: What an earlier call returned.
    type: dict
    default: {}
  owner:
    description: Who wants the locks, for whoever meets them.
    type: str
    default: ''
  reason:
    description: What for.
    type: str
    default: ''
  lease:
    description: Seconds after which the locks are free again by themselves.
    type: float
    default: 900.0
  root:
    description: Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
attributes:
  check_mode:
    description: Warns of a deploy under way, and takes nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Where the module runs.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Keep deploys away
  davit.ec2.host_lock:
    owner: alice
    reason: upgrade of the engine
  register: held

- name: Let deploys go on
  davit.ec2.host_lock:
    state: free
    tokens: "{{ held.tokens }}"
"""

RETURN = r"""
tokens:
  description: The locks that were taken; token by app.
  returned: success
  type: dict
  sample: {shop: 5f1d0c9a7b3e2468}
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import agent, host_lock, journal
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
    "tokens": {"type": "dict", "default": {}, "no_log": False},
    "owner": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
    "lease": {"type": "float", "default": 900.0},
    "root": {"type": "path", "default": DEFAULT_ROOT},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Not reported as a change: after both calls the host is as it was."""
    wanted = module.params
    root = wanted["root"]
    if module.check_mode:
        try:
            with host_lock.at_rest(root):
                pass
        except LockedError as error:
            module.warn(str(error))
        return {"changed": False, "tokens": {}}
    if wanted["state"] == "free":
        for app in host_lock.free(root, wanted["tokens"]):
            module.warn(f"The lock of '{app}' was taken over meanwhile.")
        return {"changed": False, "tokens": {}}
    reason = wanted["reason"] or journal.MAINTENANCE
    claim = Claim(wanted["owner"] or "unknown", reason, journal.MAINTENANCE, wanted["lease"], {})
    return {"changed": False, "tokens": host_lock.hold(root, claim, agent.install)}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
