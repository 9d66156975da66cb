# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Who listens on a TCP port of this host."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_LISTEN = "0A"


def listening() -> dict[int, set[str]]:
    """Port to socket inodes, for every TCP port that something listens on."""
    found: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def owners(ports: Collection[int]) -> dict[int, str]:
    """Port to the process that listens there ("nginx, pid 812"); ports in no use are left out."""
    inodes = {inode: port for port, some in listening().items() if port in ports for inode in some}
    found: dict[int, str] = {}
    if not inodes:
        return found
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        inode = target[8:-1] if target.startswith("socket:[") else ""
        if inode in inodes:
            pid = link.parts[2]
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            found.setdefault(inodes[inode], f"{name}, pid {pid}")
    for port in set(inodes.values()) - set(found):
        found[port] = "a process that cannot be seen"
    return found
