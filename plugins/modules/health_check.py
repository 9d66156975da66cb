#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Watch containers and HTTP answers until a verdict is certain."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_check
short_description: Watch containers and HTTP answers until a verdict is certain
version_added: 0.1.0
description:
  - Looks at the containers of a Compose project (running, healthy, restart count steady, exit noticed at once) and at
    HTTP answers (status, values in the JSON, latency) until everything held several times in a row, or cannot hold.
  - Fails unless the verdict is V(pass). No evidence is never a pass.
  - With O(release) the checks are those that the release was made with, its golden set and metrics among them.
    Otherwise they are given by O(project), O(services) and O(http), and work for any service.
options:
  app:
    description: Name of the app; needed with O(release).
    type: str
  root:
    description: Directory that holds everything of Davit on the host.
    type: path
    default: /opt/davit
  release:
    description: Id of a release on this host, whose own checks are to be used.
    type: str
  project:
    description: Name of a Compose project.
    type: str
  services:
    description: Services of O(project) that have to run.
    type: list
    elements: str
    default: []
  http:
    description: Requests to make.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in the verdict; the path if left out.
        type: str
      path:
        description: Path and query to ask for.
        type: str
        required: true
      method:
        description: HTTP method; C(POST) when there is a body, else C(GET).
        type: str
      body:
        description: Body to send; anything that is no string is sent as JSON.
        type: raw
      headers:
        description: Headers to send.
        type: dict
        default: {}
      status:
        description: Status codes that are right.
        type: list
        elements: int
        default: [200]
      json:
        description: Maps a dotted path in the answer to the value expected there, or to C(min) and C(max).
        type: dict
        default: {}
      max_latency_ms:
        description: Longest time that an answer may take, in milliseconds.
        type: float
      readiness:
        description: Whether the check may be wrong until the deadline. Others may not, once readiness holds.
        type: bool
        default: false
  base_url:
    description: What the paths of O(http) are appended to.
    type: str
    default: http://127.0.0.1
  successes:
    description: How often in a row everything has to hold.
    type: int
    default: 3
  failures:
    description: How many wrong answers in a row decide, once readiness holds.
    type: int
    default: 3
  interval:
    description: Seconds between two looks.
    type: float
    default: 0.5
  timeout:
    description: Seconds after which what does not hold has failed.
    type: float
    default: 60.0
  request_timeout:
    description: Seconds for one answer.
    type: float
    default: 5.0
  stable_seconds:
    description: Seconds for which everything has to be watched at least.
    type: float
    default: 3.0
  log_lines:
    description: How many of the last lines of each container's log to return on a failure.
    type: int
    default: 20
extends_documentation_fragment:
  - davit.ec2.app.standard
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Judge a candidate by its own checks
  davit.ec2.health_check:
    app: restaurant-search
    release: 20260131-120000-0a1b2c3-12

- name: Watch any HTTP service
  davit.ec2.health_check:
    base_url: http://127.0.0.1:8000
    http:
      - path: /readyz
        readiness: true
        json: {status: ready}
      - name: answers within 200 ms
        path: /search?q=pizza
        max_latency_ms: 200
"""

RETURN = r"""
verdict:
  description: V(pass), V(fail) or V(inconclusive), with the cause and the evidence of each check.
  returned: always
  type: dict
  sample:
    verdict: pass
    cause: ""
    seconds: 3.1
    checks:
      - name: /readyz
        verdict: pass
        observed: 200 as expected
        attempts: 7
        successes_in_a_row: 7
        latency_ms: {p50: 1.2, max: 3.0}
logs:
  description: Last lines of each container's log, by service.
  returned: on failure
  type: dict
  sample:
    api: ["Traceback (most recent call last):"]
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, gates
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT, AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module
from ansible_collections.davit.ec2.plugins.module_utils.release import PATIENCE

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

HTTP_ARGUMENTS = {
    "name": {"type": "str"},
    "path": {"type": "str", "required": True},
    "method": {"type": "str"},
    "body": {"type": "raw"},
    "headers": {"type": "dict", "default": {}},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "json": {"type": "dict", "default": {}},
    "max_latency_ms": {"type": "float"},
    "readiness": {"type": "bool", "default": False},
}

ARGUMENTS: dict[str, Any] = {
    "app": {"type": "str"},
    "root": {"type": "path", "default": DEFAULT_ROOT},
    "release": {"type": "str"},
    "project": {"type": "str"},
    "services": {"type": "list", "elements": "str", "default": []},
    # The whole list, since a header may hold a token, and Ansible writes arguments into the host's journal.
    "http": {"type": "list", "elements": "dict", "default": [], "options": HTTP_ARGUMENTS, "no_log": True},
    "base_url": {"type": "str", "default": "http://127.0.0.1"},
    "successes": {"type": "int", "default": 3},
    "failures": {"type": "int", "default": 3},
    "interval": {"type": "float", "default": 0.5},
    "timeout": {"type": "float", "default": 60.0},
    "request_timeout": {"type": "float", "default": 5.0},
    "stable_seconds": {"type": "float", "default": 3.0},
    "log_lines": {"type": "int", "default": 20},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    parameters = module.params
    if module.check_mode:
        return {"changed": False, "verdict": {"verdict": gates.INCONCLUSIVE, "cause": "check mode", "checks": []}}
    engine = Engine()
    if parameters["services"] and not parameters["project"]:
        raise DavitError("'services' needs 'project', the Compose project that they belong to.")
    if parameters["release"]:
        layout = AppLayout(parameters["app"], parameters["root"])
        wanted = candidate.load(layout, parameters["release"])
        verdict = candidate.judge(wanted, engine, alone="only this release was asked")
        project = wanted.project
    else:
        project = parameters["project"]
        checks = tuple(gates.parse_http(entry, parameters["base_url"]) for entry in parameters["http"])
        gate = gates.Gate(http=checks, **{key: parameters[key] for key in PATIENCE})
        verdict = candidate.watch_gate(gate, parameters["services"], project, engine)
    if verdict["verdict"] != gates.PASS:
        logs = candidate.last_words(project, engine, parameters["log_lines"]) if project else {}
        raise DavitError(f"{verdict['verdict']}: {verdict['cause']}", verdict=verdict, logs=logs)
    return {"changed": False, "verdict": verdict}


def main() -> None:
    run_module(
        ARGUMENTS,
        work,
        required_by={"release": "app"},
        required_one_of=[("release", "project", "http")],
        mutually_exclusive=[("release", "project")],
    )


if __name__ == "__main__":
    main()
