# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The unit of the host that injects a drill's fault while its release is tried."""

from __future__ import annotations

import contextlib

from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release

LIMIT = 3600
"""Seconds after which a fault ends in any case, also when nobody is left to end it."""


def unit_of(layout: AppLayout) -> str:
    return f"davit-drill-{layout.app}"


def begin(layout: AppLayout, wanted: Release) -> None:
    """Have the host inject the fault of ``wanted``, from before its containers start. Nothing for a real release.

    Returns once the proxies listen. Raises DavitError on a host without systemd: a drill whose fault
    cannot be injected would be a deploy.
    """
    if not wanted.drill:
        return
    end(layout)
    try:
        run(
            [
                *("systemd-run", "--quiet", "--collect", "--service-type=notify", f"--unit={unit_of(layout)}"),
                *(f"--property=RuntimeMaxSec={LIMIT}", "--property=TimeoutStopSec=5", "--property=MemoryMax=256M"),
                *("/usr/bin/python3", str(layout.program), "drill", layout.root, layout.app, wanted.id),
            ],
            timeout=30,
        )
    except CommandError as error:
        raise DavitError(
            f"The fault of the drill cannot be injected on this host, so it is not tried. {error}"
        ) from error


def end(layout: AppLayout) -> None:
    """End the fault. Nothing when there is none."""
    with contextlib.suppress(CommandError):
        run(["systemctl", "stop", f"{unit_of(layout)}.service"], timeout=20)
