# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Decisions over a fleet: in which batches a release is tried, who failed, and what to say of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.module_utils.plan import FAILED, ROLLED_BACK
from ansible_collections.davit.ec2.plugins.plugin_utils import pace, report
from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import clean

DOCUMENTATION = r"""
name: rollout
author: The Davit maintainers (@davit-ec2)
version_added: 0.1.0
short_description: Batches, failures and the summary of a rollout over a fleet
description:
  - P(davit.ec2.rollout_batches#filter) cuts a list of hosts into batches, P(davit.ec2.rollout_failures#filter) finds
    the hosts on which a step failed or which cannot be reached, P(davit.ec2.rollout_summary#filter) tells per host
    how it ended, P(davit.ec2.rollout_message#filter) makes one text of that, P(davit.ec2.rollout_event#filter) names
    it, P(davit.ec2.rollout_lease#filter) says how long the lock outlives a step, and P(davit.ec2.fleet_live#filter)
    finds what most hosts have live.
  - P(davit.ec2.probe_line#filter), P(davit.ec2.adoption_line#filter), P(davit.ec2.rollback_left#filter) and
    P(davit.ec2.rollback_line#filter) tell what the load probe saw, what was taken over, and what a rollback led to.
options:
  _input:
    description: The hosts, or the host variables.
    type: raw
    required: true
"""

STEPS = {
    "__compose_release_kept_secrets": "preflight",
    "__compose_release_staged": "preflight",
    "__registry_login": "fetch",
    "__compose_release_resolved": "fetch",
    "__compose_release_fetched": "fetch",
    "__compose_release_snapshot": "the snapshot before the jobs",
    "__compose_release_held": "the turn of other hosts",
    "__compose_release_tried": "start or gate",
    "__compose_release_switched": "switch or soak",
    "__compose_release_finished": "finish",
}
"""Registered result of each step of the role, and the phase it stands for, in order."""


def batches(hosts: Sequence[str], sizes: Sequence[Any]) -> list[list[str]]:
    """``hosts`` in batches of ``sizes``: numbers, or percentages of all hosts, of which the last repeats."""
    if not sizes:
        raise AnsibleFilterError("compose_release_batches is empty; give it a size, such as [1, '50%'].")
    counts = [_count(size, len(hosts)) for size in sizes]
    made: list[list[str]] = []
    start = 0
    while start < len(hosts):
        count = counts[min(len(made), len(counts) - 1)]
        made.append(list(hosts[start : start + count]))
        start += count
    return made


def _count(size: Any, total: int) -> int:
    text = str(size).strip()
    number = text[:-1] if text.endswith("%") else text
    if not number.isdigit() or int(number) == 0:
        raise AnsibleFilterError(f"compose_release_batches has {size!r}; a batch is a number or a percentage above 0.")
    return max(1, math.floor(total * int(number) / 100)) if text.endswith("%") else int(number)


def failures(
    hostvars: Mapping[str, Any], all_hosts: Sequence[str], present: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Host to phase and cause, for each host on which a step failed or which left the play."""
    found: dict[str, dict[str, Any]] = {}
    for host in all_hosts:
        said = _failed_step(hostvars[host])
        if said is not None:
            found[host] = said
        elif host not in present:
            found[host] = {"phase": "unknown", "cause": "it cannot be reached", "unreachable": True, "ended": {}}
    return found


def _failed_step(variables: Mapping[str, Any]) -> dict[str, Any] | None:
    for name, phase in STEPS.items():
        result = variables.get(name)
        if not isinstance(result, Mapping) or not (result.get("failed") or result.get("unreachable")):
            continue
        return {
            "phase": phase,
            "cause": str(result.get("msg", "unknown")).strip(),
            "unreachable": bool(result.get("unreachable")),
            "logs": result.get("logs") or {},
            "ended": result.get("ended") or {},
        }
    return None


def lease(
    own: float | str,
    hosts: Sequence[str],
    pull_timeout: float | str,
    gate: Mapping[str, Any],
    start_timeout: float | str,
    soak_seconds: float | str,
    canary: Sequence[Mapping[str, Any]],
) -> int:
    """Seconds for which the lock outlives a step of a rollout over ``hosts``; ``own`` is what one host needs."""
    return pace.lease_seconds(
        own, len(hosts), pull_timeout, pace.turn_seconds(gate, start_timeout, soak_seconds, canary)
    )


def fleet_live(hostvars: Mapping[str, Any], all_hosts: Sequence[str], app: str) -> dict[str, Any]:
    """What most hosts have live: ``version``, and ``digests`` by image reference; of equals the first host's.

    Both are empty where nothing was asked or nothing is live. Hosts that differ are not mixed: a version goes
    with the digests of the same hosts.
    """
    known = [told for host in all_hosts if (told := _live_of(hostvars[host], app)) is not None]
    if not known:
        return {"version": "", "digests": {}}
    (version, digests), _count_of_hosts = Counter(known).most_common(1)[0]
    return {"version": version, "digests": dict(digests)}


def _live_of(variables: Mapping[str, Any], app: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    peer = variables.get("__compose_release_peer")
    told = peer.get("apps", {}).get(app, {}) if isinstance(peer, Mapping) else {}
    if not told.get("live") or not told.get("version"):
        return None
    pinned = (str(image).rpartition("@") for image in told.get("images", {}).values())
    return str(told["version"]), tuple(sorted({(reference, digest) for reference, _at, digest in pinned if reference}))


def event(failed: Mapping[str, Mapping[str, Any]]) -> str:
    """What to call a rollout that failed: "rolled back" once traffic had moved anywhere."""
    results = {str(said["ended"].get("result", "")) for said in failed.values()}
    return ROLLED_BACK if ROLLED_BACK in results else FAILED


def summary(hostvars: Mapping[str, Any], all_hosts: Sequence[str], failed: Mapping[str, Any]) -> list[str]:
    """A line per host: how the rollout ended there, and what is live now."""
    return [f"{host}: {_line(hostvars[host], failed.get(host))}" for host in all_hosts]


def message(failed: Mapping[str, Mapping[str, Any]], cause: str, told: Sequence[str]) -> str:
    """Why a rollout failed, how it ended on each host, and the last words of the first one's containers."""
    logs = (next(iter(failed.values()), {}).get("logs") or {}).items()
    words = [f"{service} | {line}" for service, lines in logs for line in lines]
    # By whom it is read at a terminal, and what containers and registries say is theirs.
    return clean("\n".join(filter(None, [cause, *told, *words])))


def _line(variables: Mapping[str, Any], failed: Mapping[str, Any] | None) -> str:
    reverted = variables.get("__compose_release_reverted") or {}
    ended = (failed or {}).get("ended") or reverted.get("ended") or {}
    if failed is None:
        finished = (variables.get("__compose_release_finished") or {}).get("ended") or {}
        if finished:
            return f"it had finished already, so it stays; live: {finished.get('live')}; go back with rollback.yml"
        if ended:
            return f"undone for the others' sake; live: {ended.get('live') or 'nothing yet'}"
        return f"not touched; live: {_live(variables, ended)}"
    said = f"failed in {failed['phase']}: {failed['cause']}"
    if not ended and (failed["unreachable"] or failed["phase"] not in ("preflight", "fetch")):
        return f"{said}; NOT reverted by this run: the host itself does so within its lease, playbooks/status.yml tells"
    return f"{said}; {ended.get('result') or 'nothing was touched'}; live: {_live(variables, ended)}"


def _live(variables: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    told = ended or variables.get("__compose_release_staged") or {}
    return str(told["live"] or "nothing yet") if "live" in told else "as before"


def adoption_line(done: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What was taken over of a stack that had run before, or with nothing ``done`` what would be; '' for nothing."""
    told = done or wanted
    if not told:
        return ""
    pairs = [f"{key} (as {name})" for name, key in sorted(told.get("volumes", {}).items())]
    volumes = f" with the data in {', '.join(pairs)}" if pairs else ""
    if not done:
        return f" It would take over the stack '{told['project']}'{volumes}, whose containers would be stopped."
    gap = f"nothing answered for {done['gap_seconds']} s" if "gap_seconds" in done else "the gap was not measured"
    return (
        f" It took over the stack '{told['project']}'{volumes}; {gap}. The old containers are stopped and kept:"
        f" remove them with 'docker compose -p {told['project']} rm' when they are of no use any more."
    )


def rollback_left(done: Mapping[str, Any]) -> dict[str, str]:
    """Version and id of the release that a rollback has left, from the result of its module; of a deploy that it
    stopped, which had not come to a release of its own, what was stopped."""
    changes = done.get("changes") or {}
    version = next(iter(changes.get("version") or []), "")
    return {"version": str(version or done.get("stopped") or ""), "release": str(changes.get("against") or "")}


def rollback_line(done: Mapping[str, Any]) -> str:
    """What a rollback led to, from the result of its module."""
    stopped = f"stopped {done['stopped']}; " if done.get("stopped") else ""
    if done.get("live"):
        return f"{stopped}{done['live']} is live {'again' if done.get('changed') else 'already; nothing changed'}."
    ended = done.get("ended") or {}
    adopted = ended.get("adopted") or {}
    if adopted.get("returned"):
        return f"{stopped}the stack '{adopted['project']}', which ran before, was started again."
    # A step that was at work has undone itself, and told its own run what it started again.
    return f"{stopped}{'nothing' if ended else 'no release'} is live."


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "rollout_batches": batches,
            "rollout_failures": failures,
            "rollout_event": event,
            "rollout_lease": lease,
            "fleet_live": fleet_live,
            "rollout_summary": summary,
            "rollout_message": message,
            "probe_line": report.probe_line,
            "adoption_line": adoption_line,
            "rollback_left": rollback_left,
            "rollback_line": rollback_line,
        }
