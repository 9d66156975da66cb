# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Whether a host has room for a second copy of an app: memory to run it, disk to hold its images."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Lack:
    """What is too small, with the numbers, and what to do about it."""

    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.seen} {self.remedy}"


def memory_needed_mb(model: Mapping[str, Any]) -> int:
    """MiB that all copies of all services may use together; those without a limit count as nothing.

    ``model`` is what ``docker compose config --format json`` prints, or a part of it: limits are bytes.
    """
    return sum(_limit_mb(service or {}) for service in (model.get("services") or {}).values())


def _limit_mb(service: Mapping[str, Any]) -> int:
    deploy = service.get("deploy") or {}
    limit = int(((deploy.get("resources") or {}).get("limits") or {}).get("memory") or service.get("mem_limit") or 0)
    return max(_mib(limit), 0) * _copies(service, deploy)


def _copies(service: Mapping[str, Any], deploy: Mapping[str, Any]) -> int:
    for wanted in (service.get("scale"), deploy.get("replicas")):
        if wanted is not None:
            return int(wanted)
    return 1


def _mib(size: int) -> int:
    return -(-size // MIB)


def available_memory_mb() -> int:
    """MiB that new processes can have without swapping, as this host's kernel estimates it.

    Raises OSError when the kernel does not tell, ValueError when it tells something else.
    """
    return parse_available_mb(_MEMINFO.read_text())


def parse_available_mb(meminfo: str) -> int:
    """MiB from the text of /proc/meminfo. Raises ValueError without a line MemAvailable."""
    for line in meminfo.splitlines():
        name, _colon, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) // 1024
    raise ValueError(f"{_MEMINFO} has no line MemAvailable")


def judge_memory(needed: int, available: int, declared_mb: int, stop_first: bool) -> Lack | None:
    """What to tell when a candidate would not fit beside what runs now; None when it does.

    All in MiB. ``needed`` is the sum of the limits; ``declared_mb`` replaces it unless it is 0. With
    ``stop_first`` the live release makes room before the candidate starts, so there are never two.
    """
    wanted = declared_mb or needed
    if stop_first or wanted <= available:
        return None
    if declared_mb:
        where, smaller = "compose_release_memory_mb", "correct that number if the services need less"
    else:
        where = "the sum of its memory limits"
        smaller = (
            "lower mem_limit in the Compose file, or say in compose_release_memory_mb what the services"
            " really use if their limits are far above it"
        )
    return Lack(
        f"The candidate may use {wanted} MB ({where}), but only {available} MB are available on this host"
        " beside the live release.",
        f"Choose one: {smaller}; take a larger instance (ec2_instance_type); or set compose_release_stop_first=true,"
        " which stops the live release before the candidate starts, so that the app does not answer in between.",
    )


def free_disk_mb(directory: str) -> int:
    """MiB that are free where ``directory`` lies, or will lie."""
    return shutil.disk_usage(directory if Path(directory).is_dir() else "/").free // MIB


def judge_disk(free_mb: int, minimum_mb: int, live_images_mb: int) -> str | None:
    """What to tell when the images of a release may not fit; None when they do. All in MiB.

    A release is assumed to need as much as the images of the live one, and ``minimum_mb`` has to
    stay free beside it.
    """
    wanted = live_images_mb + minimum_mb
    if free_mb >= wanted:
        return None
    assumed = f"{live_images_mb} MB for the release, as the live one has, and " if live_images_mb else ""
    return (
        f"Only {free_mb} MB are free for images, and {wanted} MB are wanted:"
        f" {assumed}{minimum_mb} MB to spare (compose_release_minimum_disk_mb)."
        " Keep fewer releases (compose_release_keep), remove what else fills the disk, or enlarge the"
        " volume (ec2_instance_volume_gib)."
    )
