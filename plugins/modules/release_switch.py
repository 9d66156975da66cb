#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Send an app's traffic to another release, prove it through the edge, and watch it for a while."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_switch
short_description: Send an app's traffic to another release, prove it, and watch it
version_added: 0.1.0
description:
  - Replaces the app's route in one step and asks through the edge until the wanted release answers. Then, for the
    soak, the release's gate runs on while it serves and the old release stands by.
  - At a breach, and when the edge does not follow, traffic goes back to the old release before the module fails.
options:
  finish:
    description:
      - Finish the deploy as well, as M(davit.ec2.release_finish) does. For a single host, which has nobody to wait for.
    type: bool
    default: false
  canary:
    description: Parts of the traffic to give the release before all of it, each watched for a while.
    type: list
    elements: dict
    default: []
    suboptions:
      weight:
        description: Percent of the traffic.
        type: int
        required: true
      seconds:
        description: How long.
        type: float
        default: 30.0
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.step
  - davit.ec2.app.release
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Send the traffic to the candidate
  davit.ec2.release_switch:
    app: restaurant-search
    token: "{{ staged.token }}"
    release: "{{ fetched.release }}"
    canary:
      - {weight: 10, seconds: 60}
"""

RETURN = r"""
verdict:
  description: Verdict of the soak with its evidence.
  returned: when the soak was reached
  type: dict
  sample: {verdict: pass, cause: "", seconds: 30.0, checks: []}
ended:
  description: What became of the deploy on this host, as M(davit.ec2.release_finish) returns it.
  returned: on failure, and with O(finish)
  type: dict
  sample: {result: rolled back, live: 20260130-090000-ffeedd0-11}
timings:
  description:
    - The phases that this step has passed, each with the host's time at which it began (seconds since 1970) and the
      seconds that it took.
  returned: when the step has passed any
  type: list
  elements: dict
  sample:
    - {phase: switch, began: 1769860800.1, seconds: 3.2}
"""

from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.module_run import STEP_ARGUMENTS, run_step

SHARE_ARGUMENTS = {
    "weight": {"type": "int", "required": True},
    "seconds": {"type": "float", "default": 30.0},
}
ARGUMENTS: dict[str, Any] = {
    **STEP_ARGUMENTS,
    "finish": {"type": "bool", "default": False},
    "canary": {"type": "list", "elements": "dict", "default": [], "options": SHARE_ARGUMENTS},
}


def main() -> None:
    run_step(ARGUMENTS, "switch", {"changed": True})


if __name__ == "__main__":
    main()
