#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Start a release beside the live one and judge it, without any traffic."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_start
short_description: Start a release beside the live one and judge it, without any traffic
version_added: 0.1.0
description:
  - Has the services that own data run, runs the release's jobs, starts its containers and puts them through the
    release's own gate. The live release is not touched, and no traffic reaches the new one.
  - A candidate that does not pass is taken away again before the module fails.
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.step
  - davit.ec2.app.release
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Try the candidate
  davit.ec2.release_start:
    app: restaurant-search
    token: "{{ staged.token }}"
    release: "{{ fetched.release }}"
"""

RETURN = r"""
verdict:
  description: Verdict of the gate with its evidence.
  returned: when the gate was reached
  type: dict
  sample: {verdict: pass, cause: "", seconds: 3.1, checks: []}
logs:
  description: Last lines of the candidate's containers or of the job that failed, by service.
  returned: on failure
  type: dict
  sample:
    migrate: ["relation does not exist"]
ended:
  description: What became of the deploy on this host.
  returned: on failure
  type: dict
  sample: {result: failed, live: 20260130-090000-ffeedd0-11}
timings:
  description:
    - The phases that this step has passed, each with the host's time at which it began (seconds since 1970) and the
      seconds that it took.
  returned: when the step has passed any
  type: list
  elements: dict
  sample:
    - {phase: start, began: 1769860800.1, seconds: 3.2}
"""

from ansible_collections.davit.ec2.plugins.module_utils.module_run import STEP_ARGUMENTS, run_step


def main() -> None:
    run_step(STEP_ARGUMENTS, "start", {"changed": True})


if __name__ == "__main__":
    main()
