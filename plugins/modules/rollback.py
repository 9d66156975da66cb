#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Bring back an earlier release, or stop and undo a deploy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Bring back an earlier release, or stop and undo a deploy
version_added: 0.1.0
description:
  - Without O(token), brings back a kept release as it was (digests, Compose file, environment, secrets, route) - it is
    verified, started, put through its own gate, switched to, and proved through the edge. The live release serves
    until then. While a deploy is under way, that deploy is stopped and undone instead.
  - With O(token), undoes the deploy that holds the lock, from whatever point it has reached. If the edge serves the
    candidate, traffic goes back to the former release first.
options:
  release:
    description: Id of the release to bring back. Without one, the last good release before the live one.
    type: str
    default: ''
  token:
    description: Token of the deploy to undo.
    type: str
    default: ''
  cause:
    description: Why; goes into the history.
    type: str
    default: ''
  blamed:
    description: With O(token), whether the release itself was found wanting, so that it is not deployed again.
    type: bool
    default: true
  wait:
    description: Seconds to wait for a deploy that is under way to be undone.
    type: float
    default: 180.0
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.lock
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Go back to the last good release before the live one
  davit.ec2.rollback:
    app: restaurant-search
    cause: wrong prices

- name: Undo the deploy that holds the lock
  davit.ec2.rollback:
    app: restaurant-search
    token: "{{ staged.token }}"
    cause: another host failed
    blamed: false
"""

RETURN = r"""
live:
  description: Id of the release that is live afterwards; empty when none is.
  returned: success
  type: str
  sample: 20260130-090000-ffeedd0-11
ended:
  description: How it ended on this host; empty when nothing had to be done.
  returned: success
  type: dict
  sample: {result: succeeded, can_return_to: [], probe: {requests: 90, failures: 0}}
stopped:
  description: What was stopped and undone, when a deploy was under way.
  returned: success
  type: str
  sample: deploy v3 by alice@laptop
verdict:
  description: Verdict of the gate over the release that was brought back.
  returned: when a release was brought back
  type: dict
  sample: {verdict: pass}
changes:
  description:
    - How that release differs from C(against), the one that was live, as M(davit.ec2.release_fetch) returns it.
  returned: success
  type: dict
  sample: {against: 20260131-120000-0a1b2c3-12, version: [v2, v1]}
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

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, plan, rollback, rollout, store
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.module_run import (
    APP_ARGUMENTS,
    LOCK_ARGUMENTS,
    claim_of,
    layout_of,
    run_module,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    **LOCK_ARGUMENTS,
    "release": {"type": "str", "default": ""},
    "token": {"type": "str", "default": "", "no_log": False},
    "cause": {"type": "str", "default": ""},
    "blamed": {"type": "bool", "default": True},
    "wait": {"type": "float", "default": 180.0},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    parameters, layout, engine = module.params, layout_of(module.params), Engine()
    if module.check_mode:
        return _foresee(module)
    if parameters["token"]:
        done = rollback.undo(layout, parameters["token"], parameters["cause"], engine, blamed=parameters["blamed"])
    else:
        claim = claim_of(parameters, plan.ROLLBACK, cause=parameters["cause"])
        done = rollback.go_back(layout, parameters["release"], claim, engine, parameters["wait"])
    for warning in done.ended.warnings if done.ended else ():
        module.warn(f"Clean-up: {warning}")
    return done.to_json()


def _foresee(module: AnsibleModule) -> dict[str, Any]:
    layout = layout_of(module.params)
    state = store.read_state(layout)
    under_way = rollback.under_way(layout)
    if under_way is not None:
        return {"changed": True, "live": under_way.previous, "ended": {}, "stopped": rollback.name_of(under_way)}
    name = plan.rollback_target(state, module.params["release"] or None)
    rollout.verify(layout, candidate.load(layout, name), Engine())
    return {"changed": name != state.live, "live": name, "ended": {}, "stopped": ""}


def main() -> None:
    run_module(ARGUMENTS, work, mutually_exclusive=[("release", "token")])


if __name__ == "__main__":
    main()
