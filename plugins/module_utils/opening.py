# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""How a deploy or a rollback begins under the lock that it has taken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ansible_collections.davit.ec2.plugins.module_utils import agent, ending, journal
from ansible_collections.davit.ec2.plugins.module_utils.ending import Ended
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.journal import Claim, Journal, Session


def begin(session: Session, old: Journal | None, claim: Claim, engine: Engine) -> Ended | None:
    """Recover ``old``, what an earlier controller left unfinished, and begin anew; how the former ended, if there was
    one. From then on the host's own program can recover this one as well."""
    ended = None
    if old is not None:
        ended = ending.recover(session, engine, claim.owner)
        session.reopen()
    with freed_on_failure(session):
        agent.install(session.layout)
        journal.begin(session, claim)
    return ended


@contextlib.contextmanager
def freed_on_failure(session: Session) -> Iterator[None]:
    """Free the lock when the block fails: nothing has been started yet that would have to be taken back."""
    try:
        yield
    except BaseException:
        session.close()
        raise
