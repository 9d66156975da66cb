# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Asks the engine for what a registry has for a tag, over the engine's own socket.

``docker compose config --resolve-image-digests`` leaves tags as they are in some releases of Compose
when it prints JSON, and ``docker manifest`` goes past the engine's mirrors; the engine's API does
neither (GET /distribution/NAME/json, Engine API 1.30 and later).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import engine_api
from ansible_collections.davit.ec2.plugins.module_utils.engine_api import EngineTimeoutError
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

HUB = "https://index.docker.io/v1/"
_HUBS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
"""Its other names, under which no login is kept."""


def registry_of(reference: str) -> str:
    """The registry that ``reference`` names, as a login's key: a host, or the Hub's address."""
    first, slash, _rest = reference.partition("/")
    return key_of(first) if slash and (first == "localhost" or "." in first or ":" in first) else HUB


def key_of(server: str) -> str:
    """The key of the login for ``server``, as the engine's own client keeps it."""
    return HUB if server in _HUBS else server


def credentials(docker_config: str | None, registry: str) -> str:
    """The header value with the login for ``registry``; an empty login when there is none."""
    login = {}
    if docker_config:
        try:
            auths = json.loads((Path(docker_config) / "config.json").read_bytes()).get("auths", {})
        except (OSError, ValueError):
            auths = {}
        known = auths.get(registry, {}).get("auth")
        if known:
            user, _colon, password = base64.b64decode(known).decode().partition(":")
            login = {"username": user, "password": password, "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(login).encode()).decode()


@dataclass(frozen=True)
class Offer:
    """What a registry has for a reference: its digest, and the architectures that it is for."""

    digest: str
    architectures: tuple[str, ...]


def offer_of(reference: str, docker_config: str | None, timeout: float) -> Offer:
    """What the registry has for ``reference`` now. Raises DavitError with the registry's answer."""
    header = {"X-Registry-Auth": credentials(docker_config, registry_of(reference))}
    try:
        status, answer = engine_api.call("GET", f"/distribution/{reference}/json", headers=header, timeout=timeout)
    except EngineTimeoutError as error:
        raise DavitError(f"{reference}: the registry did not answer within {timeout:g} s.") from error
    if status != 200:
        raise DavitError(f"{reference}: {answer.get('message', status)}.")
    platforms = {str(one.get("architecture", "")) for one in answer.get("Platforms") or []}
    # What describes an image, such as its provenance, stands beside it as "unknown".
    return Offer(str(answer["Descriptor"]["digest"]), tuple(sorted(platforms - {"", "unknown"})))


def resolve(references: Iterable[str], docker_config: str | None, timeout: float = 60.0) -> dict[str, str]:
    """Digest by reference. Raises DavitError for a reference that the registry does not give one for."""
    try:
        return {reference: offer_of(reference, docker_config, timeout).digest for reference in references}
    except DavitError as error:
        raise DavitError(
            f"No digest for {error} Nothing was touched. Does the tag exist, and may this user read it?"
        ) from error
