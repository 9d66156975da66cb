# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""All apps of a host at rest at once: for what concerns the host as a whole, as a reboot or another engine.

It is the apps' own lock, so that neither begins while the other is under way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from ansible_collections.davit.ec2.plugins.module_utils import journal, store
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, LockedError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout, apps_of


@contextlib.contextmanager
def at_rest(root: str) -> Iterator[list[AppLayout]]:
    """Hold the kernel's lock of every app of this host, none of which is being deployed.

    Raises LockedError with who is at work. A deploy that was left unfinished counts as one under way: the host's own
    timer ends it in a moment.
    """
    layouts = apps_of(root)
    with contextlib.ExitStack() as stack:
        for layout in layouts:
            try:
                stack.enter_context(store.locked(layout.lock))
            except store.BusyError as error:
                raise LockedError(journal.held(layout, journal.read(layout), working=True)) from error
            found = journal.read(layout)
            if found is not None:
                raise LockedError(journal.held(layout, found, working=False))
        yield layouts


def hold(root: str, claim: Claim, install: Callable[[AppLayout], None]) -> dict[str, str]:
    """Take the lock of every app, or of none; token by app. Raises LockedError.

    ``install`` has the host's own program in place, which frees them if nobody comes back.
    """
    with at_rest(root) as layouts:
        for layout in layouts[:1]:
            install(layout)
        return {layout.app: journal.begin_anew(layout, claim).journal.token for layout in layouts}


def free(root: str, tokens: Mapping[str, str]) -> list[str]:
    """Give back what ``hold`` has taken; the apps whose lock was somebody else's by now, and stays."""
    lost = []
    for app, token in sorted(tokens.items()):
        try:
            with journal.step(AppLayout(app, root), token) as session:
                session.close()
        except journal.StaleTokenError:
            lost.append(app)
    return lost
