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

DOCUMENTATION = r"""
name: monitoring
short_description: Put the role monitoring's files, services and routes together
version_added: 0.1.0
description:
  - The filters C(files_below), C(documents_below), C(each_with), C(basic_auth), C(monitoring_routers),
    C(monitoring_backends), C(tls_probes) and C(tls_modules).
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


def tls_probes(hosts: Iterable[str], port: int) -> list[dict[str, Any]]:
    """Prometheus' scrapes that ask the edge for each of ``hosts`` by TLS, at the loopback address: whether that works,
    and when the certificate ends. ``port`` is the blackbox exporter's."""
    return [
        {
            "job_name": f"edge {host}",
            "metrics_path": "/probe",
            "params": {"module": [f"edge {host}"], "target": ["https://127.0.0.1/"]},
            "static_configs": [
                {"targets": [f"127.0.0.1:{port}"], "labels": {"job": "edge", "instance": f"https://{host}/"}}
            ],
        }
        for host in hosts
    ]


def tls_modules(hosts: Iterable[str], module: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The blackbox exporter's ``module`` once for each of ``hosts``, which it names to the edge."""
    return {
        f"edge {host}": {
            **module,
            "http": {
                **module["http"],
                "headers": {"Host": host},
                "tls_config": {**module["http"]["tls_config"], "server_name": host},
            },
        }
        for host in hosts
    }


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        made = (
            *(files_below, documents_below, each_with, basic_auth),
            *(monitoring_routers, monitoring_backends, tls_probes, tls_modules),
        )
        return {one.__name__: one for one in made}
