# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Decisions over the state of an app on a host: ids, targets of a rollback, retention, ports."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import RELEASE_ID

DEPLOY, ROLLBACK = "deploy", "rollback"
SUCCEEDED, FAILED, ROLLED_BACK, INTERRUPTED = "succeeded", "failed", "rolled back", "interrupted"

PORTS = range(20000, 30000)
"""Below the kernel's range for outgoing connections, which starts at 32768."""


@dataclass(frozen=True)
class Event:
    """One line of the history. ``previous`` is what was live before.

    ``blamed`` tells whether the release itself was found wanting, as against a deploy that was
    interrupted, or undone for the sake of another host.
    """

    sequence: int
    action: str
    release: str
    previous: str | None
    result: str
    content_hash: str = ""
    blamed: bool = False

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Event:
        return cls(
            sequence=int(line["sequence"]),
            action=str(line["action"]),
            release=str(line["release"]),
            previous=line.get("previous"),
            result=str(line["result"]),
            content_hash=str(line.get("content_hash", "")),
            blamed=bool(line.get("blamed", line["result"] in (FAILED, ROLLED_BACK))),
        )


@dataclass(frozen=True)
class HostState:
    """What the records of an app say. ``kept`` holds the ids of the complete releases on disk."""

    live: str | None
    last_good: str | None
    kept: tuple[str, ...]
    history: tuple[Event, ...]


def sequence_of(release_id: str) -> int:
    """The number of a release in the history of its host. Raises DavitError for a malformed id."""
    match = RELEASE_ID.fullmatch(release_id)
    if not match:
        raise DavitError(f"'{release_id}' is not a release id.")
    return int(match["sequence"])


def next_sequence(state: HostState) -> int:
    """One more than any number used so far, so that a failed deploy's number never comes again."""
    used = [event.sequence for event in state.history if event.release] + [sequence_of(r) for r in state.kept]
    return max(used, default=0) + 1


def release_id(stamp: str, content_hash: str, sequence: int) -> str:
    """``stamp`` is UTC as yyyymmdd-hhmmss; it is for people, the order is the sequence's."""
    return f"{stamp}-{content_hash[:7]}-{sequence}"


RELEASE_PROJECT = r"-\d+-[0-9a-f]{7}"


def project_name(app: str, release: str) -> str:
    """The Compose project of a release: <app>-<n>-<hex>."""
    match = RELEASE_ID.fullmatch(release)
    if not match:
        raise DavitError(f"'{release}' is not a release id.")
    return f"{app}-{match['sequence']}-{match['hash']}"


def good_releases(state: HostState) -> frozenset[str]:
    """Releases that a deploy ended well with, and that no deploy or rollback then turned away from.

    A release that was rolled back *from* was found wanting by a gate or by a person. It can still
    be named, but is never chosen.
    """
    good: set[str] = set()
    for event in state.history:
        if event.result == SUCCEEDED:
            if event.action == ROLLBACK and event.previous:
                good.discard(event.previous)
            # Last, since a rollback to what is live turns away from nothing.
            good.add(event.release)
        elif event.blamed:
            good.discard(event.release)
    return frozenset(good)


def rollback_targets(state: HostState) -> tuple[str, ...]:
    """Kept good releases older than the live one, newest first: a rollback never goes forward."""
    limit = sequence_of(state.live) if state.live else 0
    good = good_releases(state)
    older = [r for r in state.kept if r in good and sequence_of(r) < limit]
    return tuple(sorted(older, key=sequence_of, reverse=True))


def rollback_target(state: HostState, wanted: str | None) -> str:
    """The release to go back to. Raises DavitError, saying what there is, when there is none."""
    kept = ", ".join(sorted(state.kept, key=sequence_of, reverse=True)) or "none"
    if wanted is None:
        targets = rollback_targets(state)
        if not targets:
            raise DavitError(
                f"There is no good release before the live one ({state.live}) to go back to. Kept on this host: {kept}."
            )
        return targets[0]
    if wanted not in state.kept:
        raise DavitError(f"The release {wanted} is not kept on this host. Kept: {kept}.")
    failed = {e.release for e in state.history if e.action == DEPLOY and e.result != SUCCEEDED}
    if wanted in failed and wanted not in good_releases(state):
        raise DavitError(
            f"The release {wanted} failed its gates when it was deployed, so it is not gone back to."
            f" Good ones: {', '.join(rollback_targets(state)) or 'none'}."
        )
    return wanted


@dataclass(frozen=True)
class Tidying:
    """Clean-up of an app: projects to stop and to remove, releases to let go. Nothing that serves."""

    stop: tuple[str, ...]
    remove: tuple[str, ...]
    forget: tuple[str, ...]


def tidying(app: str, state: HostState, projects: Mapping[str, bool], keep: int, busy: Collection[str] = ()) -> Tidying:
    """What is left to clean up.

    ``projects`` maps the Compose projects of the app to whether anything of each runs; those that are
    no release's, as the stateful services', are left alone. A good release is stopped and kept for a
    rollback; one that failed, or that no record knows, is removed. ``busy`` are the releases of a deploy
    under way, during which no release is let go.
    """
    forget = () if busy else to_remove(state, keep)
    names = {project_name(app, r): r for r in state.kept}
    good = good_releases(state)
    stop, remove = [], []
    for project, runs in sorted(projects.items()):
        release = names.get(project)
        if not re.fullmatch(re.escape(app) + RELEASE_PROJECT, project):
            continue
        if release is not None and (release == state.live or release in busy):
            continue
        if release in good and release not in forget:
            if runs:
                stop.append(project)
        else:
            remove.append(project)
    return Tidying(tuple(stop), tuple(remove), forget)


def to_remove(state: HostState, keep: int) -> tuple[str, ...]:
    """Releases that retention lets go, oldest first.

    ``keep`` good releases stay beside the live one: those that a rollback would choose, and if they are fewer, the
    newest of those after the live one, for who has gone back further than need be. Live and last good always stay; of
    the failed ones the newest stays for a look at its verdict.
    """
    never = {state.live, state.last_good}
    good = good_releases(state)
    older = rollback_targets(state)
    newer = sorted((good & set(state.kept)) - {state.live, *older}, key=sequence_of, reverse=True)
    spare = [*older, *newer][: max(keep, 1)]
    others = [r for r in state.kept if r not in never and r not in spare]
    failed = sorted(set(others) - good, key=sequence_of, reverse=True)[:1]
    return tuple(sorted((r for r in others if r not in failed), key=sequence_of))


def free_ports(count: int, taken: Collection[int]) -> list[int]:
    """``count`` loopback ports that no kept release and no process of the host has.

    Starts after the highest one taken, so that a port is reused as late as possible: a client of
    an old release must not meet a new one. Raises DavitError when the range is used up.
    """
    start = max((p for p in taken if p in PORTS), default=PORTS.start - 1) + 1
    chosen = [p for p in _from(start) if p not in taken]
    if len(chosen) < count:
        raise DavitError(f"No {count} free loopback ports between {PORTS.start} and {PORTS.stop - 1}.")
    return chosen[:count]


def _from(start: int) -> Iterator[int]:
    yield from range(start, PORTS.stop)
    yield from range(PORTS.start, min(start, PORTS.stop))


def images_to_remove(going: Iterable[Sequence[str]], staying: Iterable[Sequence[str]]) -> list[str]:
    """Image references of releases that go which no release that stays needs."""
    needed = {image for images in staying for image in images}
    return sorted({image for images in going for image in images} - needed)
