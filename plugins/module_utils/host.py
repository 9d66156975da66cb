# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The host as a whole, apart from its engine and its edge."""

from __future__ import annotations

from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run


def is_stopping() -> bool:
    """Whether the host is being shut down or rebooted. False on one without systemd, which cannot tell."""
    try:
        run(["systemctl", "is-system-running"], timeout=5)
    except CommandError as error:
        # Any state but "running" is a bad end, and the state is what it prints.
        return error.stdout.strip() == "stopping"
    return False
