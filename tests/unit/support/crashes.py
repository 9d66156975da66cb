"""Killing a program at each state that it passes through, and again in each recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.leases import Moment
from tests.unit.support.host import Host, State

Path = tuple[str, ...]


def states_of(host: Host, act: Callable[[], Any]) -> list[tuple[str, State]]:
    """Each state that ``act`` passes through, with what it did next; the last is the one it ends with."""
    found: list[tuple[str, State]] = []
    host.seen = lambda what: found.append((what, host.state()))
    try:
        act()
    finally:
        host.seen = lambda _: None
    return [*found, ("end", host.state())]


def explore(
    host: Host,
    start: list[tuple[str, State]],
    act: Callable[[], Any],
    *,
    always: Callable[[State, Path], None],
    before: Callable[[], None],
    after: Callable[[Path], None],
) -> int:
    """Do ``act`` from each state, with and without a reboot before, and from all that this leads to.

    ``always`` looks at each state, ``before`` comes before each ``act`` and ``after`` looks at its end.
    """
    known: set[str] = set()
    waiting = [((what,), state) for what, state in start]
    while waiting:
        path, state = waiting.pop()
        for how, now in (("", state), ("reboot", state.rebooted())):
            if now.key() in known:
                continue
            known.add(now.key())
            came = (*path, how) if how else path
            always(now, came)
            host.restore(now)
            before()
            host.now = Moment(f"boot {len(known)}", 1.0)
            for what, left in states_of(host, act):
                if left.key() not in known:
                    waiting.append(((*came, what), left))
            after(came)
    return len(known)
