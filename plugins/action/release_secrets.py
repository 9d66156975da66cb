# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Gets the secrets of a release from where they are kept. Runs on the controller alone, and writes nothing anywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.plugin_utils import secret_sources, secret_stores


def gather(args: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Values and origins of all secrets. Raises DavitError that names each one which cannot be had."""
    plain, declared, aws, beside = (_mapping(args, key) for key in ("plain", "sources", "aws", "environment"))
    own = secret_sources.check_plain(plain)
    sources, problems = secret_sources.parse(declared)
    problems += secret_sources.ambiguous(plain, declared, beside) + own.problems
    items = list(dict.fromkeys(source.item for source in sources))
    answers = secret_sources.from_environment(items, environment)
    answers.update(secret_stores.ask([item for item in items if item not in answers], aws))
    got = secret_sources.resolve(sources, answers)
    problems += got.problems
    if problems:
        raise DavitError(secret_sources.refusal(problems, len({*plain, *declared})))
    return {"secrets": {**own.values, **got.values}, "origins": {**own.origins, **got.origins}}


def _mapping(args: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = args.get(key) or {}
    if not isinstance(value, Mapping):
        # Not what it is instead: it may be a secret.
        raise DavitError(f"'{key}' has to be a mapping of names to values.")
    return value


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible ships no types
    """What Ansible looks for in this file."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("app", "plain", "sources", "environment", "aws"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The values are in what is registered, and hidden from whatever shows results; an error is not."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, "changed": False, "_ansible_no_log": True, **gather(self._task.args, os.environ)}
        except DavitError as error:
            return {**result, "failed": True, "msg": str(error)}
