#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Check a deploy on the host before anything is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_preflight
short_description: Check a deploy on the host before anything is touched
version_added: 0.1.0
description:
  - Checks the engine, the edge, the disk and the whole request, and stages it in memory-backed storage.
  - Nothing that runs is touched. A later M(davit.ec2.release_fetch) makes a release of what is staged.
options:
  files:
    description:
      - The Compose project, as the filter P(davit.ec2.compose_bundle#filter) makes it. Maps the path below the
        project to the content in Base64.
    type: dict
    required: true
  compose_file:
    description: Path of the Compose file below the project.
    type: str
    required: true
  version:
    description: Tag to deploy. Without one, what is live stays.
    type: str
    default: ''
  first_version:
    description: Tag to deploy when O(version) is empty and nothing is live.
    type: str
    default: ''
  version_variable:
    description: Variable that carries the tag into the Compose file.
    type: str
    default: VERSION
  environment:
    description: Values for the variables of the Compose file.
    type: dict
    default: {}
  secrets:
    description: As O(environment), for values that must not be seen.
    type: dict
    default: {}
  profiles:
    description: Compose profiles to use.
    type: list
    elements: str
    default: []
  routes:
    description: Services that receive traffic. Empty means the only published port.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: Name of the service.
        type: str
        required: true
      port:
        description: Port inside of the container; the published one when there is exactly one.
        type: int
      hosts:
        description: Host names; any when empty.
        type: list
        elements: str
        default: []
      path:
        description: Prefix of the path.
        type: str
        default: /
  stateful:
    description: Services that own data. They run once, in a project of their own.
    type: list
    elements: str
    default: []
  gate:
    description: Checks that the candidate has to pass, as for M(davit.ec2.health_check).
    type: dict
    default: {}
  model_probe:
    description: Where the service tells which model it uses, as C(path) and C(key).
    type: dict
    default: {}
  tls:
    description: Whether the edge serves this app by HTTPS.
    type: bool
    default: false
  resolver:
    description: Name of the edge's ACME resolver for this app.
    type: str
    default: ''
  minimum_disk_mb:
    description: Space that has to be free for images, in MiB.
    type: int
    default: 1024
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Check the deploy of version v2
  davit.ec2.release_preflight:
    app: restaurant-search
    files: "{{ 'service/compose.yaml' | davit.ec2.compose_bundle }}"
    compose_file: compose.yaml
    version: v2
"""

RETURN = r"""
version:
  description: The tag that is about to be deployed.
  returned: success
  type: str
  sample: v2
live:
  description: Id of the live release, if any.
  returned: success
  type: str
  sample: 20260131-120000-0a1b2c3-12
stage:
  description: Directory in which the request is staged.
  returned: success
  type: str
  sample: /run/davit/restaurant-search
unresolved:
  description: Images whose digest the registry has to be asked for.
  returned: success
  type: list
  elements: str
  sample: [ghcr.io/davit-ec2/restaurant-search:v2]
up_to_date:
  description: Whether the live release has this very content, which is known without asking a registry.
  returned: success
  type: bool
  sample: false
notices:
  description: What Davit does differently from the Compose file.
  returned: success
  type: list
  elements: str
  sample: []
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import fetch, preflight, store
from ansible_collections.davit.ec2.plugins.module_utils.module_run import APP_ARGUMENTS, layout_of, run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ROUTE_ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "port": {"type": "int"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "str", "default": "/"},
}

ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    "files": {"type": "dict", "required": True, "no_log": True},
    "compose_file": {"type": "str", "required": True},
    "version": {"type": "str", "default": ""},
    "first_version": {"type": "str", "default": ""},
    "version_variable": {"type": "str", "default": "VERSION"},
    "environment": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "profiles": {"type": "list", "elements": "str", "default": []},
    "routes": {"type": "list", "elements": "dict", "default": [], "options": ROUTE_ARGUMENTS},
    "stateful": {"type": "list", "elements": "str", "default": []},
    "gate": {"type": "dict", "default": {}},
    "model_probe": {"type": "dict", "default": {}},
    "tls": {"type": "bool", "default": False},
    "resolver": {"type": "str", "default": ""},
    "minimum_disk_mb": {"type": "int", "default": 1024},
}


def request_of(parameters: dict[str, Any]) -> preflight.Request:
    """The request that the module's parameters describe."""
    return preflight.Request(
        layout=layout_of(parameters),
        files=parameters["files"],
        compose_file=parameters["compose_file"],
        version=parameters["version"],
        first_version=parameters["first_version"],
        version_variable=parameters["version_variable"],
        environment={k: str(v) for k, v in parameters["environment"].items()},
        secrets={k: str(v) for k, v in parameters["secrets"].items()},
        profiles=tuple(parameters["profiles"]),
        routes=tuple(parameters["routes"]),
        stateful=frozenset(parameters["stateful"]),
        gate=parameters["gate"],
        model_probe=parameters["model_probe"],
        tls=parameters["tls"],
        resolver=parameters["resolver"],
        minimum_disk_mb=parameters["minimum_disk_mb"],
    )


def check(module: AnsibleModule) -> dict[str, Any]:
    request = request_of(module.params)
    if module.check_mode and shutil.which("docker") is None:
        module.warn("Docker is not installed on this host yet, so only the controller's checks were made.")
        return {
            "changed": True,
            "version": request.version,
            "live": "",
            "stage": "",
            "unresolved": [],
            "up_to_date": False,
        }
    if module.check_mode:
        with tempfile.TemporaryDirectory(prefix="davit-") as directory:
            return judge(request, Path(directory) / "stage")
    store.make_private(request.layout.stage.parent)
    return judge(request, request.layout.stage)


def judge(request: preflight.Request, stage_dir: Path) -> dict[str, Any]:
    staged = preflight.stage(request, stage_dir)
    live = preflight.live_release(request.layout)
    same = False
    if live is not None and not staged.unresolved:
        same = fetch.pin_stage(staged, stage_dir, {}).content_hash == live.content_hash
    if same:
        store.remove_tree(stage_dir)
    return {
        "changed": False,
        "version": staged.version,
        "live": live.id if live else "",
        "stage": str(stage_dir),
        "unresolved": list(staged.unresolved),
        "up_to_date": same,
        "notices": list(staged.split.notices),
    }


def main() -> None:
    run_module(ARGUMENTS, check)


if __name__ == "__main__":
    main()
