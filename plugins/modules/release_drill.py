#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Note how the live release stands, and judge a drill against that."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_drill
short_description: Note how the live release stands, and judge a drill against that
version_added: 0.1.0
description:
  - A drill deploys the live release once more with a fault on purpose, which is an option of
    M(davit.ec2.release_preflight). This module comes before and after that deploy.
  - With O(before), it tells whether the fault was seen in time and whether the live release is what it was,
    and removes the release of the drill.
options:
  kind:
    description: The fault.
    type: str
    choices: [crash, never_ready, wrong_answers, slow, dies_in_soak]
    required: true
  before:
    description: What the module returned as RV(standing) before the drill. Without it, the module only looks.
    type: dict
  cause:
    description: With O(before), what the deploy ended with, for a drill that did not come as far as the history.
    type: str
    default: ''
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Note how the live release stands
  davit.ec2.release_drill:
    app: restaurant-search
    kind: slow
  register: __noted

- name: Judge the drill that was deployed meanwhile
  davit.ec2.release_drill:
    app: restaurant-search
    kind: slow
    before: "{{ __noted.standing }}"
    cause: "{{ __deployed.msg | default('') }}"
"""

RETURN = r"""
standing:
  description: How the live release stands, in what a drill may not change. Empty in check mode on a host without any.
  returned: success
  type: dict
  sample:
    live: 20260131-120000-0a1b2c3-12
    last_good: 20260131-120000-0a1b2c3-12
    route: 20260131-120000-0a1b2c3-12
    answering: [20260131-120000-0a1b2c3-12]
    containers: [api 5f0c6d2e9b1a running restarts=0]
    sequence: 12
outcome:
  description: How the drill went. Times are in seconds, and null where they cannot be said.
  returned: with O(before)
  type: dict
  sample:
    kind: slow
    reached: true
    unharmed: true
    caught: true
    why: "a search finds something: no answer within 5 s"
    expected: failed
    result: failed
    seconds_to_detect: 15.4
    seconds_to_recover: 0.9
    requests: 611
    lost: 0
    longest_gap_ms: 0
"""

import shutil
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import drill_run, store
from ansible_collections.davit.ec2.plugins.module_utils.drill import KINDS
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.module_run import APP_ARGUMENTS, layout_of, run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "before": {"type": "dict"},
    "cause": {"type": "str", "default": ""},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    layout = layout_of(module.params)
    before: dict[str, Any] | None = module.params["before"]
    if module.check_mode and (shutil.which("docker") is None or store.pointed(layout.live) is None):
        module.warn(f"Nothing is live of {layout.app} on this host, so there is nothing to drill yet.")
        return {"changed": False, "standing": {}}
    engine = Engine()
    if before is None or module.check_mode:
        return {"changed": False, "standing": drill_run.standing(layout, engine)}
    outcome = drill_run.conclude(layout, module.params["kind"], before, module.params["cause"], engine)
    return {"changed": outcome.reached, "standing": drill_run.standing(layout, engine), "outcome": outcome.to_json()}


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
