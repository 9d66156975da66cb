# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What the history keeps of a deploy or rollback that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import candidate, gates, journal, masking, plan, store
from ansible_collections.davit.ec2.plugins.module_utils.journal import Session
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import told_origin


def note(session: Session, name: str, result: str, **more: Any) -> None:
    """Add a line to the history, once for each deploy or rollback: a repeated end does not tell it twice."""
    layout, now = session.layout, session.journal
    if any(line.get("deploy") == now.started_at and line["release"] == name for line in store.read_history(layout)):
        return
    known = candidate.load_or_none(layout, name) if name else None
    if known is not None and known.drill:
        # Its failure is what was wanted, and says nothing against this content.
        more = {**more, "drill": known.drill["kind"], "blamed": False}
    if result != plan.SUCCEEDED and name:
        # The release itself is let go of by the clean-up.
        more = {**more, "evidence": _refuted(layout, name)}
    line = {
        "sequence": plan.sequence_of(name) if name else 0,
        "action": now.action,
        "release": name,
        "version": known.version if known else "",
        "commit": known.commit if known else "",
        "previous": now.previous or None,
        "result": result,
        "content_hash": known.content_hash if known else "",
        "by": now.owner,
        "deploy": now.started_at,
        "at": journal.utc(),
        **{key: value for key, value in more.items() if value not in ({}, [], "")},
    }
    if known is not None and known.secrets:
        line["secrets"] = {key: told_origin(origin) for key, origin in known.secrets.items()}
    store.make_room(layout)
    store.append_history(layout, masking.mask_of(layout).record(line))


def in_short(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the history keeps of a probe: it grows with every deploy, so the series goes to the report alone."""
    return {key: value for key, value in seen.items() if key != "series"}


def _refuted(layout: AppLayout, name: str) -> list[dict[str, Any]]:
    """The checks that a release did not pass, with what was seen."""
    verdicts = store.read_json(layout.release(name) / store.VERDICT).values()
    return [check for verdict in verdicts for check in verdict.get("checks", []) if check["verdict"] != gates.PASS]
