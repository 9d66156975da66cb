# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The reboot that an upgrade asks for: once a day, in a window, and never under a deploy."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import host_lock
from ansible_collections.davit.ec2.plugins.module_utils.command import run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.journal import LockedError

SERVICE, TIMER = "davit-reboot.service", "davit-reboot.timer"
ASKED = Path("/run/reboot-required")
"""Written by the packages of Debian and Ubuntu; gone with the reboot."""
LOOK = 5.0
"""Seconds between two looks at whether the deploy under way has ended."""
DOWN = 120.0
"""Seconds in which a host that reboots has ended this program."""

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def program(root: str) -> Path:
    """Not the deploys' own program, which whoever began a deploy has put there for it."""
    return Path(root) / "lib" / "reboot.pyz"


def units(root: str, at: str, minutes: int) -> dict[str, str]:
    """Service and timer. ``at`` is a time of day; ``minutes`` is how long the window is. Raises DavitError.

    The hosts of a fleet begin anywhere in the first half of the window, each always at the same time, so that they do
    not go down together. The second half is for waiting.
    """
    if not _TIME.fullmatch(at):
        raise DavitError(f"'{at}' is no time of day for reboots; write one such as 03:30.")
    if minutes < 2:
        raise DavitError(f"A window of {minutes} minutes is too short for reboots; write 2 or more.")
    half = minutes // 2
    service = [
        "[Unit]",
        "Description=Reboot for an upgrade, when no deploy is under way",
        f"ConditionPathExists={ASKED}",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/usr/bin/python3 {program(root)} reboot {root} {half * 60}",
        f"TimeoutStartSec={half * 60 + int(DOWN) + 60}",
    ]
    timer = [
        "[Unit]",
        "Description=The window for reboots",
        "[Timer]",
        f"OnCalendar=*-*-* {at}:00",
        f"RandomizedDelaySec={half}min",
        "FixedRandomDelay=true",
        "AccuracySec=1s",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return {SERVICE: "\n".join(service) + "\n", TIMER: "\n".join(timer) + "\n"}


def reboot(root: str, patience: float) -> str:
    """Reboot if that is asked for, as soon as no deploy is under way; what became of it.

    The locks are held until the host goes down, so that no deploy begins meanwhile. After ``patience`` seconds it is
    left for the next day.
    """
    deadline = time.monotonic() + patience
    waits = ""
    while ASKED.exists():
        try:
            with host_lock.at_rest(root):
                run(["systemctl", "reboot"])
                time.sleep(DOWN)
            raise DavitError(f"systemd was asked to reboot, and the host is still up after {DOWN:g} s.")
        except LockedError as error:
            if str(error) != waits:
                waits = str(error)
                sys.stdout.write(f"waiting: {waits}\n")
                sys.stdout.flush()
        if time.monotonic() >= deadline:
            return f"not rebooted within {patience:g} s, and left for the next day: {waits}"
        time.sleep(LOOK)
    return "nothing asks for a reboot"
