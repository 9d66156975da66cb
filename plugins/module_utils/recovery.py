# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What to do about a deploy or rollback that ended in the middle. Pure: from records to one action.

Two questions are answered here. *Recover*: its controller is gone, so it is completed where it had
come far enough, and else undone. *Undo*: it failed, or a person wants it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.davit.ec2.plugins.module_utils import journal as phases
from ansible_collections.davit.ec2.plugins.module_utils.journal import Journal
from ansible_collections.davit.ec2.plugins.module_utils.plan import ROLLBACK

FORGET = "forget"
"""Nothing was started: take away what was staged, and a release that never ran."""
REMOVE = "remove"
"""The candidate does not serve: take its containers away, and see that the former release serves alone."""
JUDGE = "judge"
"""The candidate serves: its gate decides between FINISH and RETURN."""
RETURN = "return"
"""Traffic goes back to the former release, then as REMOVE."""
FINISH = "finish"
"""The candidate serves and was found good: complete its deploy."""


@dataclass(frozen=True)
class Recovery:
    """One action over ``candidate``; ``live`` is what serves afterwards ('' for nothing).

    After JUDGE that is the candidate on a pass, and ``otherwise`` when it fails.
    """

    action: str
    candidate: str
    live: str
    reason: str
    otherwise: str = ""


def recover(journal: Journal, serving: str, last_good: str) -> Recovery:
    """What to do when the lease has ended. ``serving`` is what the edge's route file names, and it
    alone tells whether a switch took place: it is replaced in one step."""
    former, candidate, phase = journal.previous, journal.release, journal.phase
    if not candidate or phase in (phases.PREFLIGHT, phases.FETCH):
        return Recovery(FORGET, candidate, serving, "nothing had been started")
    if serving != candidate:
        return Recovery(REMOVE, candidate, former, journal.failed or f"it ended in phase {phase}, before the switch")
    if journal.failed:
        return Recovery(RETURN, candidate, former, journal.failed)
    if candidate == last_good or phase == phases.FINISH:
        return Recovery(FINISH, candidate, candidate, "it had passed, and only its end was missing")
    if journal.action == ROLLBACK:
        # Its target passed its gate a moment ago, and was good before.
        return Recovery(FINISH, candidate, candidate, "the rollback had switched already")
    if journal.settings.get("fleet"):
        # Each host judging for itself would split the fleet: its other hosts go back, or have gone.
        return Recovery(RETURN, candidate, former, "its fleet was not finished, so each host goes back")
    return Recovery(JUDGE, candidate, candidate, f"it ended in phase {phase}, after the switch", former)


def undo(journal: Journal, serving: str, last_good: str) -> Recovery | None:
    """How to take it back; None when it finished well, so that there is nothing to undo."""
    former, candidate, phase = journal.previous, journal.release, journal.phase
    if not candidate or phase in (phases.PREFLIGHT, phases.FETCH):
        return Recovery(FORGET, candidate, serving, "nothing had been started")
    # A repair of the live release had it as the last good one from the start, so that tells nothing of its end.
    if phase == phases.FINISH and candidate == last_good and candidate != former:
        return None
    if serving == candidate:
        return Recovery(RETURN, candidate, former, f"it was undone in phase {phase}")
    return Recovery(REMOVE, candidate, former, f"it was undone in phase {phase}")
