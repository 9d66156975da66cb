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
  - Compares what runs with the record, makes the release the last good one, writes the history and frees the lock.
  - The host then stops the old release, which is kept for a rollback, and removes what is older than wanted, in the
    background.
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.step
  - davit.ec2.app.release
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Finish the deploy
  davit.ec2.release_finish:
    app: restaurant-search
    token: "{{ staged.token }}"
    release: "{{ fetched.release }}"
"""

RETURN = r"""
ended:
  description:
    - How the deploy ended on this host. C(probe) is what the load probe saw through the edge, C(can_return_to) the
      releases that a rollback could bring back, newest first.
  returned: success
  type: dict
  sample:
    result: succeeded
    live: 20260131-120000-0a1b2c3-12
    can_return_to: [20260130-090000-ffeedd0-11]
    probe: {requests: 180, failures: 0, longest_gap_ms: 0, p50_ms: 3.1, p95_ms: 6.0, p99_ms: 9.2}
timings:
  description:
    - The phases that this step has passed, each with the host's time at which it began (seconds since 1970) and the
      seconds that it took.
  returned: when the step has passed any
  type: list
  elements: dict
  sample:
    - {phase: finish, began: 1769860800.1, seconds: 3.2}
"""

from ansible_collections.davit.ec2.plugins.module_utils.module_run import STEP_ARGUMENTS, run_step


def main() -> None:
    run_step(STEP_ARGUMENTS, "finish", {"changed": True, "ended": {}})


if __name__ == "__main__":
    main()
