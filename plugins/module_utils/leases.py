# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""How long a lease still lasts, by a clock that nobody sets.

Apart from the journal, and with next to nothing imported: while a deploy is under way the host's timer asks
this every few seconds, and what it costs is taken from the release that serves.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from ansible_collections.davit.ec2.plugins.module_utils import apps


class Moment(NamedTuple):
    """Now on this host. ``boot`` names the boot; ``uptime`` is CLOCK_BOOTTIME in seconds, which no
    setting of the clock moves and which counts on while the machine sleeps."""

    boot: str
    uptime: float


def moment() -> Moment:
    """Now. A container shares its machine's boot id, so the start of process 1 counts as well."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    started = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    return Moment(f"{boot}/{started}", time.clock_gettime(time.CLOCK_BOOTTIME))


def remaining(beat: Moment, seconds: float, now: Moment) -> float:
    """Seconds until a lease ends that was last renewed at ``beat``; 0 when it has, as after a reboot."""
    return max(0.0, beat.uptime + seconds - now.uptime) if beat.boot == now.boot else 0.0


def all_run(root: str) -> bool:
    """Whether deploys are under way and the lease of each still runs, so that there is nothing to recover.

    False without any deploy, when the timer is to be stopped, and for a journal that cannot be read.
    """
    found = apps.journals(root)
    now = moment()
    return bool(found) and all(_runs(path, now) for path in found)


def _runs(path: Path, now: Moment) -> bool:
    try:
        left = json.loads(path.read_bytes())
        return remaining(Moment(left["boot"], left["heartbeat"]), left["lease_seconds"], now) > 0
    except (OSError, ValueError, TypeError, KeyError):
        return False
