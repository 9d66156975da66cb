#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Bring back an earlier release, or undo a deploy that failed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Bring back an earlier release, or undo a deploy that failed
version_added: 0.1.0
description:
  - Without O(candidate), brings back a kept release as it was (digests, Compose file, environment, secrets, route) - it
    is verified, started, put through its own gate, switched to, and proved through the edge. The live release serves
    until then.
  - With O(candidate), undoes a deploy that failed, from whatever point it had reached. If the edge serves the
    candidate, traffic goes back to the last good release first.
options:
  release:
    description: Id of the release to bring back. Without one, the last good release before the live one.
    type: str
    default: ''
  candidate:
    description: Id of the release whose deploy failed.
    type: str
    default: ''
  cause:
    description: Why; goes into the history.
    type: str
    default: ''
  by:
    description: Who; goes into the history.
    type: str
    default: ''
  keep:
    description: How many good releases to keep beside the live one.
    type: int
    default: 3
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.patience
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Go back to the last good release before the live one
  davit.ec2.rollback:
    app: restaurant-search

- name: Undo a failed deploy
  davit.ec2.rollback:
    app: restaurant-search
    candidate: 20260131-120000-0a1b2c3-12
    cause: "container api: exited with code 1"
"""

RETURN = r"""
live:
  description: Id of the release that is live afterwards; empty when none is.
  returned: success
  type: str
  sample: 20260130-090000-ffeedd0-11
release:
  description: Id of the release that was brought back.
  returned: without O(candidate)
  type: str
  sample: 20260130-090000-ffeedd0-11
verdict:
  description: Verdict of the gate over the release that was brought back.
  returned: without O(candidate)
  type: dict
  sample: {verdict: pass}
logs:
  description: Last lines of the candidate's containers, by service.
  returned: with O(candidate)
  type: dict
  sample: {api: ["Traceback (most recent call last):"]}
can_return_to:
  description: Ids of releases that a further rollback could bring back, newest first.
  returned: without O(candidate)
  type: list
  elements: str
  sample: []
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
    "release": {"type": "str", "default": ""},
    "candidate": {"type": "str", "default": ""},
    "cause": {"type": "str", "default": ""},
    "by": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 3},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    parameters = module.params
    layout = layout_of(parameters)
    engine, patience = Engine(), patience_of(parameters)
    if module.check_mode:
        return _foresee(module)
    with store.locked(layout.lock):
        if parameters["candidate"]:
            failed = candidate.load(layout, parameters["candidate"])
            cause = parameters["cause"] or "unknown"
            undone = switching.turn_away(layout, failed, cause, engine, patience, by=parameters["by"])
            for warning in undone.pop("warnings"):
                module.warn(f"Clean-up: {warning}")
            return {"changed": True, **undone, "live": undone["live"] or ""}
        done = switching.roll_back(
            layout,
            parameters["release"] or None,
            engine,
            patience,
            parameters["keep"],
            by=parameters["by"],
            cause=parameters["cause"],
        )
    for warning in done.pop("warnings", []):
        module.warn(f"Clean-up: {warning}")
    return done


def _foresee(module: AnsibleModule) -> dict[str, Any]:
    layout = layout_of(module.params)
    state = store.read_state(layout)
    if module.params["candidate"]:
        return {"changed": True, "live": state.last_good or ""}
    name = plan.rollback_target(state, module.params["release"] or None)
    switching.verify(layout, candidate.load(layout, name), Engine())
    return {"changed": name != state.live, "release": name, "live": name}


def main() -> None:
    run_module(ARGUMENTS, work, mutually_exclusive=[("release", "candidate")])


if __name__ == "__main__":
    main()
