# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A registry's login that lives in memory, for root alone, and not for long."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

LOGINS = Path("/run/davit/registry")
_REFUSAL = re.compile(r"unauthori[sz]ed|denied|forbidden|incorrect username|\b40[13]\b", re.IGNORECASE)


def login(registry: str, username: str, password: str, lifetime: int) -> str:
    """Log in and return the directory that holds the login.

    Raises DavitError without a password, when the registry refuses it, and when it does not answer.

    A timer of the host removes the directory after ``lifetime`` seconds, so that a controller that
    died leaves no credential behind; whatever an earlier one left is removed now.
    """
    if not password:
        raise DavitError(
            f"registry_login_username is '{username}', but registry_login_password is empty. Set it, or leave both"
            " empty for public images."
        )
    store.make_private(LOGINS)
    _sweep(lifetime)
    config = tempfile.mkdtemp(dir=LOGINS)
    _remove_later(config, lifetime)
    try:
        run(
            ["docker", "login", "--username", username, "--password-stdin", registry],
            environment={"DOCKER_CONFIG": config, "HOME": config},
            stdin=password,
            timeout=60,
        )
    except CommandError as error:
        logout(config)
        raise DavitError(no_login(registry, username, _reason(error))) from error
    return config


def no_login(registry: str, username: str, reason: str) -> str:
    """What to tell of a login that failed for ``reason``, in Docker's words."""
    if _REFUSAL.search(reason):
        return (
            f"The registry {registry} refused the user '{username}': {reason}. Nothing was touched. Check"
            " registry_login_username and registry_login_password (for GHCR: a token with the scope read:packages)."
        )
    return (
        f"The registry {registry} did not answer a login: {reason}. Nothing was touched. Check that it is up, and that"
        " the host reaches it (DNS, proxy, firewall), then deploy again."
    )


def logout(config: str) -> bool:
    """Remove a login; True when there was one. Only directories of our own are removed."""
    path = Path(config)
    if path.parent != LOGINS:
        raise DavitError(f"{config} is not a login of Davit (those lie in {LOGINS}).")
    existed = path.exists()
    store.remove_tree(path)
    return existed


def _sweep(lifetime: int) -> None:
    for left in LOGINS.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > lifetime:
                store.remove_tree(left)


def _remove_later(config: str, lifetime: int) -> None:
    """Best effort: without systemd the next login sweeps."""
    with contextlib.suppress(CommandError):
        run(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--on-active={lifetime}",
                "--timer-property=AccuracySec=10s",
                "rm",
                "-rf",
                config,
            ],
            timeout=10,
        )


def _reason(error: CommandError) -> str:
    lines = [line for line in error.stderr.strip().splitlines() if line.strip()]
    return lines[-1] if lines else str(error)
