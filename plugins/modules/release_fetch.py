#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Make an immutable release of what is staged, and pull its images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_fetch
short_description: Make an immutable release of what is staged, and pull its images
version_added: 0.1.0
description:
  - Pins every image by digest, compares the content with the live release, and if it differs pulls the images and
    writes the release's directory. Nothing that runs is touched.
options:
  digests:
    description:
      - Digest by image reference, as M(davit.ec2.release_resolve) returns them. The registry is asked for those that
        lack; with several hosts resolve them once for all.
    type: dict
    default: {}
  docker_config:
    description:
      - Directory with the registry's login, as M(davit.ec2.release_preflight) or M(davit.ec2.registry_login) returns
        it. The login is taken away at the end, also after a failure.
    type: path
  pull_timeout:
    description: Seconds for one image to be pulled.
    type: float
    default: 900.0
  created_by:
    description: Who deploys; goes into the record.
    type: str
    default: ''
  commit:
    description: Commit that is deployed; goes into the record.
    type: str
    default: ''
  force:
    description: Deploy content that failed before.
    type: bool
    default: false
  update_stateful:
    description: Allow a release to change a service that owns data, which stops it for a moment.
    type: bool
    default: false
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.step
  - davit.ec2.app.standard
"""

EXAMPLES = r"""
- name: Fetch the staged release
  davit.ec2.release_fetch:
    app: restaurant-search
    digests: "{{ __resolved.digests }}"
"""

RETURN = r"""
release:
  description: Id of the new release; empty when the live one has the same content.
  returned: success
  type: str
  sample: 20260131-120000-0a1b2c3-12
project:
  description: Compose project of the new release.
  returned: when there is a new release
  type: str
  sample: restaurant-search-12-0a1b2c3
images:
  description: Pinned image by service.
  returned: when there is a new release
  type: dict
  sample:
    api: ghcr.io/davit-ec2/restaurant-search:v2@sha256:0a1b2c3d
jobs:
  description: The services that do their work once before the switch, such as migrations.
  returned: when there is a new release
  type: list
  elements: str
  sample: [migrate]
changes:
  description:
    - How the release differs from C(against), the one that is live - the images by digest, and names of what was added,
      removed or changed of the environment and of secrets, never their values. C(origins) are the secrets that came
      from another place or in another version, C(compose) the lines in which the Compose files differ, with variables
      by their names.
  returned: when there is a new release
  type: dict
  sample:
    against: 20260130-090000-ffeedd0-11
    version: [v1, v2]
    images:
      - service: api
        before: ghcr.io/davit-ec2/restaurant-search:v1@sha256:ffeedd01
        after: ghcr.io/davit-ec2/restaurant-search:v2@sha256:0a1b2c3d
    environment: {added: ["api: LOG_LEVEL"], removed: [], changed: []}
    secrets: {added: [], removed: [], changed: [secret db_password]}
    origins: [{name: API_KEY, before: ssm /shop/api_key version 3, after: ssm /shop/api_key version 4}]
    compose: []
    unknown: []
timings:
  description:
    - The phases that this step has passed, each with the host's time at which it began (seconds since 1970) and the
      seconds that it took.
  returned: when the step has passed any
  type: list
  elements: dict
  sample:
    - {phase: fetch, began: 1769860800.1, seconds: 3.2}
"""

from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.module_run import STEP_ARGUMENTS, run_step

ARGUMENTS: dict[str, Any] = {
    **{name: value for name, value in STEP_ARGUMENTS.items() if name != "release"},
    "digests": {"type": "dict", "default": {}},
    "docker_config": {"type": "path"},
    "pull_timeout": {"type": "float", "default": 900.0},
    "created_by": {"type": "str", "default": ""},
    "commit": {"type": "str", "default": ""},
    "force": {"type": "bool", "default": False},
    "update_stateful": {"type": "bool", "default": False},
}


def main() -> None:
    run_step(ARGUMENTS, "fetch_release", {"changed": True, "release": ""})


if __name__ == "__main__":
    main()
