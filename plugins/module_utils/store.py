# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The records of an app on the disk of a host. Each write is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import command
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import RELEASE_ID, AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.plan import Event, HostState, sequence_of

RECORD, VERDICT, VOLUMES = "release.json", "verdict.json", "volumes.json"
RUNNING, JOBS, STATEFUL = "compose.yaml", "jobs.yaml", "stateful.yaml"
SECRETS = "secrets.json"
"""The values of the release's secrets by name, so that they can be taken out of what people are shown."""
CANONICAL = "canonical.json"
"""What may be shown of the Compose file; older releases have none."""

RESERVE = 4 << 20
"""Bytes that are set aside on the disk, so that a deploy can be taken back and recorded when it has become full."""

_FULL = (errno.ENOSPC, errno.EDQUOT)

_ESCAPE = re.compile(r"(\\ud[89ab]..\\ud[c-f]..)|\\.")
"""An escape of JSON; the group is one of a character beyond U+FFFF."""


def make_private(directory: Path) -> None:
    """Create ``directory`` and its parents for root alone."""
    for path in [*reversed(directory.parents), directory]:
        if not path.exists():
            path.mkdir(mode=0o700)


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` in one step, on disk before it is visible."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).rename(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def keep_reserve(layout: AppLayout) -> None:
    """Set room aside, where there is plenty."""
    with contextlib.suppress(FileNotFoundError):
        if layout.reserve.stat().st_size == RESERVE:
            return
    if _free(layout) < 8 * RESERVE:
        return
    try:
        with layout.reserve.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, RESERVE)
    except OSError:
        layout.reserve.unlink(missing_ok=True)


def is_full(layout: AppLayout) -> bool:
    """Whether root can count on no more room than is set aside, be that given up already or not."""
    return _free(layout) < 2 * RESERVE


def _free(layout: AppLayout) -> int:
    disk = os.statvfs(layout.root)
    return disk.f_bfree * disk.f_frsize


def make_room(layout: AppLayout) -> None:
    """On a full disk, give up what was set aside."""
    if is_full(layout):
        layout.reserve.unlink(missing_ok=True)


@contextlib.contextmanager
def unless_full() -> Iterator[None]:
    """Leave out what a full disk does not take. For what must not hold up a way back."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise


def sweep_unfinished(directory: Path, seconds: float = 3600.0) -> None:
    """Remove what writes into ``directory`` left behind whose process was killed more than ``seconds`` ago."""
    for path in directory.glob(".*.????????"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def write_json(path: Path, document: Any, mode: int = 0o600) -> None:
    write(path, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode(), mode)


def write_compose(path: Path, document: Any) -> None:
    """As ``write_json``, for a file that Compose reads as YAML, which knows no surrogate pairs."""
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    write(path, _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"') if found[1] else found[0], text).encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; {} when there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def content_key(layout: AppLayout) -> str:
    """The key of the app's content hashes on this host; '' before the first deploy."""
    try:
        return layout.content_key.read_text().strip()
    except OSError:
        return ""


def ensure_content_key(layout: AppLayout) -> None:
    """Have a key. Without it, a part of the hash of a short secret, which every release id shows, would tell it to
    whoever knows all the rest."""
    if not content_key(layout):
        write(layout.content_key, f"{secrets.token_hex(32)}\n".encode())


def point(link: Path, release: Path | None) -> None:
    """Let ``link`` lead to ``release``, relative to its own directory; None takes the link away."""
    if release is None:
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        return
    temporary = link.with_name(f".{link.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(os.path.relpath(release, link.parent))
    temporary.rename(link)
    _sync_directory(link.parent)


def pointed(link: Path) -> str | None:
    """The release id that ``link`` leads to, or None."""
    try:
        return link.readlink().name
    except OSError:
        return None


def read_record(layout: AppLayout, release_id: str) -> dict[str, Any]:
    """The record of a release. Raises DavitError when it is missing or damaged."""
    path = layout.release(release_id) / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        return record
    except (OSError, ValueError) as error:
        raise DavitError(f"The record of release {release_id} cannot be read ({path}: {error}).") from error


def kept_releases(layout: AppLayout) -> tuple[str, ...]:
    """Ids of the releases on disk that are complete, oldest first by sequence."""
    if not layout.releases.is_dir():
        return ()
    found = [
        entry.name
        for entry in layout.releases.iterdir()
        if RELEASE_ID.fullmatch(entry.name) and (entry / RECORD).is_file() and (entry / RUNNING).is_file()
    ]
    return tuple(sorted(found, key=sequence_of))


def read_history(layout: AppLayout) -> list[dict[str, Any]]:
    """The lines of the history. One that cannot be read, such as a last one that a crash cut short, is left out."""
    try:
        text = layout.history.read_text()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def append_history(layout: AppLayout, line: Mapping[str, Any]) -> None:
    """Add one line, whole and on disk before this returns."""
    text = json.dumps(line, sort_keys=True)
    handle = os.open(layout.history, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = "\n" + text
        _write_whole(handle, text.encode() + b"\n", size)
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_whole(handle: int, content: bytes, size: int) -> None:
    """Write all of ``content`` at the end of a file of ``size`` bytes, or nothing: a disk may have room for a part."""
    try:
        while content:
            content = content[os.write(handle, content) :]
    except BaseException:
        os.ftruncate(handle, size)
        raise


def read_state(layout: AppLayout) -> HostState:
    return HostState(
        live=pointed(layout.live),
        last_good=pointed(layout.last_good),
        kept=kept_releases(layout),
        history=tuple(Event.from_json(line) for line in read_history(layout)),
    )


def publish_release(layout: AppLayout, release_id: str, built: Path) -> None:
    """Move a finished release directory to its place; from here on nothing in it changes."""
    target = layout.release(release_id)
    if target.exists():
        raise DavitError(f"{target} exists already; releases are never overwritten.")
    put_in_place(built, target)


def put_in_place(built: Path, target: Path) -> None:
    """Let what was built beside ``target`` be there in one step, on disk before this returns."""
    built.rename(target)
    _sync_directory(target.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all below it, on disk before this returns."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
        target.chmod(stat.S_IMODE(source.stat().st_mode))
        for entry in sorted(source.iterdir()):
            copy(entry, target / entry.name)
        _sync_directory(target)
    else:
        write(target, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))
    _sync_directory(target.parent)


def remove_tree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


class BusyError(DavitError):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(path: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the kernel's lock on ``path``, for which ``wait`` seconds are waited. Raises BusyError.

    The kernel lets it go with the process, so a killed module leaves nothing to clean up. Programs
    that are run meanwhile inherit it: what a killed module had started keeps others out until it ends.
    """
    make_private(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _await_lock(handle, path, wait)
        command.INHERITED.add(handle)
        yield
    finally:
        command.INHERITED.discard(handle)
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock right now."""
    try:
        with locked(path):
            return False
    except BusyError:
        return True


def _await_lock(handle: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise BusyError(f"Another process works on this app right now ({path} is locked).") from error
            # A blocking flock knows no limit of time, and a signal is not a module's to handle.
            time.sleep(0.05)
        else:
            return
