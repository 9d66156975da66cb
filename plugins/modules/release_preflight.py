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
  - Takes the lock of the app, and first completes or undoes a deploy that an earlier controller left unfinished.
  - Checks the engine, the edge, disk, memory and the whole request, and stages it in memory-backed storage.
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
  secret_origins:
    description: Where the values of O(secrets) came from, as M(davit.ec2.release_secrets) returns it; for the record.
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
  parallel:
    description:
      - Services that receive no traffic and may run beside those of the live release. Any other service that is neither
        routed nor needed by a routed one is moved at the switch.
    type: list
    elements: str
    default: []
  memory_mb:
    description: Memory that one copy of the app needs, in MiB; 0 means the sum of the memory limits.
    type: int
    default: 0
  gate:
    description: Checks that the candidate has to pass, as for M(davit.ec2.health_check).
    type: dict
    default: {}
  model_probe:
    description: Where the service tells which model it uses, as C(path) and C(key).
    type: dict
    default: {}
  metrics:
    description: Where the service tells its metrics for Prometheus, as C(path) and, unless it is the first routed one,
      C(service).
    type: dict
    default: {}
  headers:
    description: Headers that the edge adds to each answer of the app, in place of the app's own.
    type: dict
    default: {}
  minimum_disk_mb:
    description: Space that has to be free for images, in MiB.
    type: int
    default: 1024
  drill:
    description:
      - Deploy the live release once more with this fault, to see that it is caught. Whatever its gate says, such a
        release never stays.
    type: str
    choices: ['', crash, never_ready, wrong_answers, slow, dies_in_soak]
    default: ''
  adopt:
    description: A C(project) of Compose whose place the first release takes, with its volumes; C(volumes) maps those of
      the new Compose file to existing ones where labels do not tell. A later step stops it, as late as possible.
    type: dict
    default: {}
  force:
    description: Deploy anew what is live already.
    type: bool
    default: false
  resolve:
    description:
      - Ask the registry at once for the digests that lack, and log in to it for that. For a single host, which then
        knows in one step whether there is anything to do. Of several hosts one asks for all, with
        M(davit.ec2.release_resolve).
    type: bool
    default: false
  registry:
    description: Host name of the registry to log in to.
    type: str
    default: ghcr.io
  username:
    description: Its user. Empty means that the images are public.
    type: str
    default: ''
  password:
    description: Its password or token.
    type: str
    default: ''
  lifetime:
    description: Seconds after which the host removes a forgotten login by itself.
    type: int
    default: 3600
extends_documentation_fragment:
  - davit.ec2.app
  - davit.ec2.app.hardening
  - davit.ec2.app.lock
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
token:
  description: What the later steps have to show.
  returned: success
  type: str
  sample: 5f1d0c9a7b3e2468
recovered:
  description: What became of an earlier deploy that was left unfinished; empty when there was none.
  returned: success
  type: str
version:
  description: The tag that is about to be deployed.
  returned: success
  type: str
  sample: v2
live:
  description: Id of the live release, if any.
  returned: always, when the host's records can be read
  type: str
  sample: 20260131-120000-0a1b2c3-12
can_return_to:
  description: Releases that a rollback would choose, newest first.
  returned: always, when the host's records can be read
  type: list
  elements: str
  sample: [20260130-090000-ffeedd0-11]
stage:
  description: Directory in which the request is staged.
  returned: success
  type: str
  sample: /run/davit/stage/restaurant-search
unresolved:
  description: Images whose digest the registry has to be asked for.
  returned: success
  type: list
  elements: str
  sample: [ghcr.io/davit-ec2/restaurant-search:v2]
docker_config:
  description: Directory with the registry's login, which M(davit.ec2.release_fetch) takes away; empty without one.
  returned: success
  type: str
up_to_date:
  description: Whether the live release has this very content, serves and runs. Without O(resolve) not known of a tag.
  returned: success
  type: bool
  sample: false
adopts:
  description: What this deploy takes over of a project that runs already; empty when there is nothing.
  returned: success
  type: dict
  sample: {project: shop, volumes: {data: shop_data}}
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

from ansible_collections.davit.ec2.plugins.module_utils import (
    fetch,
    hardening,
    journal,
    opening,
    plan,
    preflight,
    routes,
    status,
    store,
)
from ansible_collections.davit.ec2.plugins.module_utils.adoption import Wish
from ansible_collections.davit.ec2.plugins.module_utils.drill import KINDS
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
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
    "files": {"type": "dict", "required": True, "no_log": True},
    "compose_file": {"type": "str", "required": True},
    "version": {"type": "str", "default": ""},
    "first_version": {"type": "str", "default": ""},
    "version_variable": {"type": "str", "default": "VERSION"},
    "environment": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "secret_origins": {"type": "dict", "default": {}, "no_log": False},
    "profiles": {"type": "list", "elements": "str", "default": []},
    "routes": {"type": "list", "elements": "dict", "default": [], "options": routes.ARGUMENTS},
    "stateful": {"type": "list", "elements": "str", "default": []},
    "parallel": {"type": "list", "elements": "str", "default": []},
    "memory_mb": {"type": "int", "default": 0},
    "hardening": {"type": "dict", "default": {}, "options": hardening.ARGUMENTS, "apply_defaults": True},
    "gate": {"type": "dict", "default": {}, "no_log": True},
    "model_probe": {"type": "dict", "default": {}},
    "metrics": {"type": "dict", "default": {}},
    "headers": {"type": "dict", "default": {}},
    "minimum_disk_mb": {"type": "int", "default": 1024},
    "force": {"type": "bool", "default": False},
    "resolve": {"type": "bool", "default": False},
    "registry": {"type": "str", "default": "ghcr.io"},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "lifetime": {"type": "int", "default": 3600},
    "drill": {"type": "str", "choices": ["", *KINDS], "default": ""},
    "adopt": {"type": "dict", "default": {}},
}


_AS_GIVEN = (
    *("files", "compose_file", "version", "first_version", "version_variable", "gate", "model_probe", "metrics"),
    *("headers", "minimum_disk_mb", "memory_mb", "drill"),
)


def request_of(parameters: dict[str, Any]) -> preflight.Request:
    """The request that the module's parameters describe."""
    return preflight.Request(
        layout=layout_of(parameters),
        environment={k: str(v) for k, v in parameters["environment"].items()},
        secrets={k: str(v) for k, v in parameters["secrets"].items()},
        origins=parameters["secret_origins"],
        profiles=tuple(parameters["profiles"]),
        routes=tuple(parameters["routes"]),
        stateful=frozenset(parameters["stateful"]),
        parallel=frozenset(parameters["parallel"]),
        stop_first=parameters["settings"]["stop_first"],
        hardening=hardening.Hardening.of(parameters["hardening"]),
        adopt=Wish.parse(parameters["adopt"]),
        **{name: parameters[name] for name in _AS_GIVEN},
    )


def check(module: AnsibleModule) -> dict[str, Any]:
    request = request_of(module.params)
    if module.check_mode and shutil.which("docker") is None:
        module.warn("Docker is not installed on this host yet, so only the controller's checks were made.")
        nothing = {"live": "", "stage": "", "token": "", "docker_config": "", "unresolved": [], "adopts": {}}
        return {"changed": True, "version": request.version, "up_to_date": False, **nothing}
    try:
        return foresee(module, request) if module.check_mode else take_lock(module, request)
    except DavitError as error:
        # Whoever reads that it was refused asks next what serves.
        error.facts = {**status.standing(request.layout), **error.facts}
        raise


def foresee(module: AnsibleModule, request: preflight.Request) -> dict[str, Any]:
    held = journal.read(request.layout)
    if held is not None:
        module.warn(f"{request.layout.app} is locked by {held.owner} ({held.reason}, phase {held.phase}).")
    with tempfile.TemporaryDirectory(prefix="davit-") as directory:
        told = judge(request, Path(directory) / "stage", module.params["force"])
    return {"changed": False, "token": "", "docker_config": "", **told}


def take_lock(module: AnsibleModule, request: preflight.Request) -> dict[str, Any]:
    """Take the lock, recover what an earlier deploy left unfinished, and check the request."""
    layout, engine = request.layout, Engine()
    claim = claim_of(module.params, plan.DEPLOY)
    store.make_private(layout.stage.parent)
    recovered = ""
    with journal.acquire(layout, claim, at_once=module.params["takeover"]) as (session, old):
        ended = opening.begin(session, old, claim, engine)
        if old is not None and ended is not None:
            recovered = f"{ended.result}: {ended.cause or ended.release}"
            module.warn(f"An earlier {old.action} was left unfinished. {recovered}")
        with opening.freed_on_failure(session):
            store.ensure_content_key(layout)
            told = judge(request, layout.stage, module.params["force"])
            if module.params["resolve"] and not told["up_to_date"]:
                told.update(fetch.ask_registry(layout, told["unresolved"], module.params))
        if told["up_to_date"]:
            session.close()
        own = {"token": session.journal.token, "recovered": recovered, "docker_config": ""}
        return {"changed": bool(recovered), **own, **told}


def judge(request: preflight.Request, stage_dir: Path, forced: bool) -> dict[str, Any]:
    """Stage the request in ``stage_dir``, and tell what is known of it without asking a registry."""
    staged = preflight.stage(request, stage_dir)
    live = preflight.live_release(request.layout)
    if request.drill:
        try:
            fetch.require_live_content(staged, stage_dir, live)
        except DavitError:
            store.remove_tree(stage_dir)
            raise
    same = not (staged.unresolved or forced) and fetch.is_done(staged, stage_dir, live, request.layout)
    if same:
        store.remove_tree(stage_dir)
    return {
        "version": staged.version,
        "live": live.id if live else "",
        **status.standing(request.layout),
        "stage": str(stage_dir),
        "unresolved": list(staged.unresolved),
        "up_to_date": same,
        "notices": [*staged.split.notices, *staged.adopts.get("notices", ())],
        "adopts": staged.adopts,
    }


def main() -> None:
    run_module(ARGUMENTS, check)


if __name__ == "__main__":
    main()
