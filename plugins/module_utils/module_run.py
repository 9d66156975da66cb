# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What all modules of this collection share: arguments, and one way to end."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.davit.ec2.plugins.module_utils import apps, journal
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT, AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.masking import Mask, secrets_of

APP_ARGUMENTS: dict[str, Any] = {
    "app": {"type": "str", "required": True},
    "root": {"type": "path", "default": DEFAULT_ROOT},
}

LOCK_ARGUMENTS: dict[str, Any] = {
    "owner": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
    "lease": {"type": "float", "default": 60.0},
    "takeover": {"type": "bool", "default": False},
    "settings": {
        "type": "dict",
        "default": {},
        "options": {
            "keep": {"type": "int", "default": 3},
            "start_timeout": {"type": "float", "default": 120.0},
            "switch_timeout": {"type": "float", "default": 10.0},
            "drain_seconds": {"type": "float", "default": 2.0},
            "stop_timeout": {"type": "float", "default": 60.0},
            "soak_seconds": {"type": "float", "default": 0.0},
            "probe_rate": {"type": "float", "default": 20.0},
            "stop_first": {"type": "bool", "default": False},
            "fleet": {"type": "bool", "default": False},
        },
        "apply_defaults": True,
    },
}

TOKEN_ARGUMENTS: dict[str, Any] = {
    **APP_ARGUMENTS,
    "token": {"type": "str", "required": True, "no_log": False},
    "lease": {"type": "float"},
}

STEP_ARGUMENTS: dict[str, Any] = {**TOKEN_ARGUMENTS, "release": {"type": "str", "required": True}}

OWN_MASK = frozenset({"secrets", "gate", "http"})
"""Arguments for whose sake a module's results are masked here and not by Ansible (see _without_secrets)."""

_TOKEN = re.compile("auth|cookie|key|pass|secret|session|token", re.IGNORECASE)
"""In the name of a header: its value is a secret."""


def layout_of(parameters: Mapping[str, Any]) -> AppLayout:
    return AppLayout(parameters["app"], parameters["root"])


def claim_of(parameters: Mapping[str, Any], action: str, **more: Any) -> Claim:
    """What the parameters of LOCK_ARGUMENTS say of who wants the lock."""
    return Claim(
        owner=parameters["owner"] or "unknown",
        reason=parameters["reason"] or action,
        action=action,
        lease_seconds=parameters["lease"],
        settings={**parameters["settings"], **more},
    )


def run_module(
    arguments: Mapping[str, Any], work: Callable[[AnsibleModule], Mapping[str, Any]], **options: Any
) -> None:
    """Run ``work`` and end the module with what it returns, or with the DavitError that it raised."""
    module = AnsibleModule(argument_spec=dict(arguments), supports_check_mode=True, **options)
    # Before the work: a release that fails may be gone after it, and its secrets with it.
    mask = _mask(module.params)
    own = _without_secrets(module, arguments, mask) if OWN_MASK & set(arguments) else {}
    try:
        result = work(module)
    except DavitError as error:
        module.fail_json(**mask.record({**_timings(), **error.facts, "msg": str(error)}), **own)
    except OSError as error:
        said = f"The host refused a file or a socket: {error}. Is its disk full or read-only?"
        module.fail_json(msg=said, **_timings(), **own)
    else:
        module.exit_json(**mask.record({**_timings(), **result}), **own)


def run_step(arguments: Mapping[str, Any], name: str, foreseen: Mapping[str, Any]) -> None:
    """Run a step of `steps.py` by the app's program on the host; in check mode tell what is ``foreseen``.

    The import is hidden from Ansible, which would parse, pack and send all that a step stands on with each task: a
    second of the controller's time for each.
    """

    def work(module: AnsibleModule) -> Mapping[str, Any]:
        if module.check_mode:
            return foreseen
        step = getattr(_steps(layout_of(module.params)), name)
        result: Mapping[str, Any] = step(module.params, module.warn)
        return result

    run_module(arguments, work)


def _steps(layout: AppLayout) -> Any:
    package = importlib.import_module(__name__.rpartition(".")[0])
    inside = f"{layout.program}/{package.__name__.replace('.', '/')}"
    if inside not in package.__path__:
        package.__path__.append(inside)
    try:
        return importlib.import_module(f"{package.__name__}.steps")
    except ImportError as error:
        raise DavitError(
            f"{layout.program}, which this deploy's preflight put there, cannot be used: {error}. Run the deploy again."
        ) from error


def _timings() -> dict[str, Any]:
    told = journal.timings(time.time())
    return {"timings": told} if told else {}


def _mask(parameters: Mapping[str, Any]) -> Mask:
    """The mask for what the module says: the secrets that it was given, and those of the app's releases."""
    given = [(name, str(value)) for name, value in (parameters.get("secrets") or {}).items()]
    if parameters.get("password"):
        given.append(("password", str(parameters["password"])))
    for name, value in _headers([parameters.get("http"), parameters.get("gate")]):
        if _TOKEN.search(name):
            # The scheme before a token may be left out by whoever prints it.
            given += [(name, value), (name, value.rpartition(" ")[2])]
    return Mask(given + (secrets_of(layout_of(parameters)) if _names_app(parameters) else []))


def _headers(value: Any) -> Iterator[tuple[str, str]]:
    """Name and value of each header that any request in ``value`` is to be sent with."""
    if isinstance(value, Mapping):
        own = value.get("headers")
        yield from ((str(name), str(text)) for name, text in own.items()) if isinstance(own, Mapping) else ()
        for entry in value.values():
            yield from _headers(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _headers(entry)


def _names_app(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters.get("root")) and apps.NAME.fullmatch(str(parameters.get("app") or "")) is not None


def _without_secrets(module: AnsibleModule, arguments: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """What the module was called with, for the output of a run with -vvv, without the parameters that nobody may see.

    Ansible itself would blot each secret out of the whole result, wherever it stands: one of a single digit, out of the
    ids and tokens that later steps need. So it knows of none from here on.
    """
    module.no_log_values.clear()
    hidden = {name for name, declared in arguments.items() if declared.get("no_log")}
    shown = {name: "hidden" if name in hidden else value for name, value in module.params.items()}
    return {"invocation": {"module_args": mask.texts(shown)}}
