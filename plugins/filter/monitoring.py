# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Filters with which the role monitoring puts its files, services and routes together."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.module_utils.doctor import renewed_before

DOCUMENTATION = r"""
name: monitoring
short_description: Put the role monitoring's files, services and routes together
version_added: 0.1.0
description:
  - The filters C(files_below), C(documents_below), C(each_with), C(basic_auth), C(monitoring_routers),
    C(monitoring_backends) and C(rules_for).
author:
  - The Davit maintainers (@davit-ec2)
positional: _input
options:
  _input:
    description: What the filter of that name takes.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show the line that lets a user in
  ansible.builtin.debug:
    msg: "{{ 'davit' | davit.ec2.basic_auth('correct horse') }}"
"""

RETURN = r"""
_value:
  description: What the filter of that name makes.
  type: raw
"""


def files_below(folder: str, paths: Iterable[str]) -> dict[str, str]:
    """The text of each file by its path below ``folder``."""
    return {f"{folder}/{Path(path).name}": Path(path).read_text(encoding="utf-8") for path in sorted(paths)}


def documents_below(prefix: str, documents: Mapping[str, Any]) -> dict[str, str]:
    """Each document as text by ``<prefix>_<name>.yml``; what is no text becomes JSON, which is YAML."""
    return {
        f"{prefix}_{name}.yml": content if isinstance(content, str) else json.dumps(content, indent=2)
        for name, content in sorted(documents.items())
    }


def each_with(services: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each service with what it does not say itself."""
    return {name: {**defaults, **service} for name, service in services.items()}


def basic_auth(user: str, password: str) -> str:
    """A line of htpasswd with bcrypt; the same for the same user and password, so that nothing changes by itself.

    Raises AnsibleFilterError for a user with a colon, and where Python's bcrypt is not installed.
    """
    if ":" in user or not user:
        raise AnsibleFilterError(f"monitoring_user is '{user}': it may not be empty, nor hold a colon.")
    try:
        import bcrypt
    except ImportError as error:
        raise AnsibleFilterError(
            "monitoring_password needs Python's bcrypt on the controller: pip install bcrypt"
        ) from error
    # bcrypt takes 72 bytes; a salt that is made of both is another one for each user and password.
    secret = password.encode()[:72]
    seed = hashlib.pbkdf2_hmac("sha256", password.encode(), f"davit monitoring {user}".encode(), 100_000, 16)
    salt = b"$2b$10$" + _bcrypt64(seed)
    return f"{user}:{bcrypt.hashpw(secret, salt).decode()}"


def _bcrypt64(raw: bytes) -> bytes:
    """bcrypt's own Base64: 22 characters for 16 bytes."""
    plain = base64.b64encode(raw)[:22]
    return plain.translate(
        bytes.maketrans(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        )
    )


def _name(path: str) -> str:
    return f"davit-monitoring{path.replace('/', '-')}"


def monitoring_routers(backends: Mapping[str, int], path: str, router: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A router for each backend below ``path``. They go before any app, whose rule may be as wide as ``/``."""
    return {
        _name(below): {
            **router,
            "rule": f"PathPrefix(`{path}{below}/`)",
            "service": _name(below),
            "priority": 100_000 + len(below),
        }
        for below in backends
    }


def monitoring_backends(backends: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Traefik's services: a loopback port each."""
    return {
        _name(below): {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
        for below, port in backends.items()
    }


def rules_for(rules: Mapping[str, str], slow: float | str, certificate_hours: float | str) -> dict[str, str]:
    """The files of ``rules`` for a host where ``slow`` seconds are too long and certificates hold for so many hours.

    As they are, they can be loaded and tested, and fit a quarter of a second and 90 days.
    """
    bound = f"{float(slow):g}"
    # A whole number is written with or without its fraction, by the program that exports it.
    bucket = f'le="{bound}"' if "." in bound else f'le=~"{bound}|{bound}[.]0"'
    hours = renewed_before(float(certificate_hours) * 3600) / 3600
    placed = {'le="0.25"': bucket, "over 0.25 s": f"over {bound} s", "< 240 * 3600": f"< {hours:g} * 3600"}
    found = dict(rules)
    for usual, wanted in placed.items():
        found = {name: text.replace(usual, wanted) for name, text in found.items()}
    return found


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        made = (
            *(files_below, documents_below, each_with, basic_auth),
            *(monitoring_routers, monitoring_backends, rules_for),
        )
        return {one.__name__: one for one in made}
