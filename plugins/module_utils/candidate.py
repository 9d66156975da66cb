# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Starting, watching and removing the containers of one release beside the live one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import (
    gate_run,
    gates,
    golden_set,
    http_client,
    metric_checks,
    quality,
    shadow,
    store,
)
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, GiveUp
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, Gate, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import Release, parse_gate

AGENT = "davit-gate"
"""The user agent of all that a gate asks."""


def load(layout: AppLayout, release_id: str) -> Release:
    return Release.from_json(store.read_record(layout, release_id))


def load_or_none(layout: AppLayout, release_id: str) -> Release | None:
    """As ``load``; None when the record is missing or damaged."""
    try:
        return load(layout, release_id)
    except DavitError:
        return None


def start(
    layout: AppLayout,
    wanted: Release,
    engine: Engine,
    timeout: float,
    *,
    forward: bool,
    interrupted: GiveUp | None = None,
    before_data: Callable[[], None] = lambda: None,
) -> None:
    """Bring up ``wanted`` beside whatever runs. Only a deploy goes ``forward``: a rollback runs no job, and
    leaves the services that own data as they are now, since data does not go back with a release.

    New containers have no restart policy: a candidate that dies has to stay dead to be seen, and a reboot
    must not start it. Those that run already keep theirs, since they may be what serves. Workers are
    created, but start at the switch.

    With ``interrupted``, DavitError is raised as soon as a container fails or somebody asks for it. What
    traffic returns to is started without, and whatever happens. ``before_data`` is called as late as possible
    before anything touches the data.
    """
    directory = layout.release(wanted.id)
    _ensure_volumes(layout, wanted, engine)
    file = directory / store.RUNNING
    engine.compose(file, "create", "--pull", "never", "--no-build", timeout=timeout)
    if wanted.stateful:
        before_data()
        start_stateful(layout, wanted, engine, timeout, update=forward)
        engine.connect(layout.stateful_network, [c.id for c in engine.containers(wanted.project)])
    if forward:
        for job in wanted.jobs:
            _run_job(layout, wanted, job, engine, timeout)
    if wanted.beside:
        # Compose waits here for what others depend on, and looks at nothing else meanwhile.
        hopeless = _until_one_dies(wanted, engine, interrupted) if interrupted is not None else None
        engine.compose(file, "start", *wanted.beside, timeout=timeout, hopeless=hopeless)


def _until_one_dies(wanted: Release, engine: Engine, interrupted: GiveUp) -> GiveUp:
    """The reason to give up a start: somebody asks for it, or a container has failed since it began.

    Those of a kept release ended long ago, and are none of it until they have been seen to run.
    """
    lived = {c.id for c in engine.containers(wanted.project) if not c.ended}

    def reason() -> str | None:
        stopped = interrupted()
        if stopped:
            return stopped
        try:
            seen = [c for c in engine.containers(wanted.project) if c.service in wanted.beside]
        except DavitError:
            # As in a gate: an engine that does not answer tells nothing about the containers.
            return None
        lived.update(c.id for c in seen if not c.ended)
        # One that others wait for to complete ends well.
        failed = next((c for c in seen if c.id in lived and c.ended and c.exit_code), None)
        return f"container {failed.service}: {failed.ended}" if failed else None

    return reason


def settle(wanted: Release, engine: Engine, services: Collection[str] | None = None) -> None:
    """Make ``wanted``, or the ``services`` of it, outlive a crash and a reboot, as what serves has to. The engine is
    not asked for what is so already: it would write it down anew, which it cannot on a full disk."""
    policy = "unless-stopped"
    own = [c for c in engine.containers(wanted.project) if services is None or c.service in services]
    engine.restart_policy([c.id for c in own if c.policy != policy], policy)


def start_workers(layout: AppLayout, wanted: Release, engine: Engine, timeout: float) -> None:
    if wanted.workers:
        _finish_stop(wanted, wanted.workers, engine, timeout)
        engine.compose(layout.release(wanted.id) / store.RUNNING, "start", *wanted.workers, timeout=timeout)


def stop_workers(owner: Release, engine: Engine, timeout: float) -> None:
    """Stop the workers of a release for good, so that those of another one can start."""
    if not owner.workers:
        return
    own = [c.id for c in engine.containers(owner.project) if c.service in owner.workers]
    engine.restart_policy(own, "no")
    engine.stop(own, timeout)


def _finish_stop(wanted: Release, services: Collection[str], engine: Engine, timeout: float) -> None:
    """Wait for a stop of ``services`` that was cut short: the engine goes on with it when its client is killed,
    and what is about to end cannot be started. Known by the restart policy, which is taken away before a stop, and
    which what serves has at any other time."""
    found = [c for c in engine.containers(wanted.project) if c.service in services]
    ending = [c.id for c in found if c.status == "running" and c.policy == "no"]
    if ending:
        engine.stop(ending, timeout)


def is_running(wanted: Release, engine: Engine) -> bool:
    """Whether every service of ``wanted`` has containers and all of them run."""
    found = engine.containers(wanted.project)
    return {c.service for c in found} >= set(wanted.services) and all(c.status == "running" for c in found)


def ensure_running(layout: AppLayout, wanted: Release, engine: Engine, timeout: float) -> bool:
    """Have the whole of ``wanted`` run again and stay; True when it had to be started."""
    _finish_stop(wanted, wanted.services, engine, timeout)
    if is_running(wanted, engine):
        settle(wanted, engine)
        return False
    start(layout, wanted, engine, timeout, forward=False)
    start_workers(layout, wanted, engine, timeout)
    settle(wanted, engine)
    return True


def _ensure_volumes(layout: AppLayout, wanted: Release, engine: Engine) -> None:
    path = layout.release(wanted.id) / store.VOLUMES
    volumes: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    for name, settings in volumes.items():
        engine.ensure_volume(name, settings, {"davit.app": layout.app})


def start_stateful(layout: AppLayout, wanted: Release, engine: Engine, timeout: float, *, update: bool) -> None:
    """Have the stateful services run; with ``update``, as this release defines them.

    That a definition may change was decided before, in fetch. Waits until they are healthy; what they were is kept
    until then, for ``restore_stateful``.
    """
    engine.ensure_network(layout.stateful_network, {"davit.app": layout.app})
    text = (layout.release(wanted.id) / store.STATEFUL).read_bytes()
    now = layout.stateful_file.read_bytes() if layout.stateful_file.exists() else None
    if now is not None and update and now != text and not layout.stateful_before.exists():
        store.write(layout.stateful_before, now)
    if now is None or (update and now != text):
        store.write(layout.stateful_file, text)
    _up_stateful(layout, engine, timeout)
    layout.stateful_before.unlink(missing_ok=True)


def restore_stateful(layout: AppLayout, engine: Engine, timeout: float) -> None:
    """Run the stateful services as they were before a change that never got healthy; nothing without one. Their data
    is left as it is. Raises DavitError, and does not try again, when that does not get healthy either."""
    if not layout.stateful_before.exists():
        return
    store.write(layout.stateful_file, layout.stateful_before.read_bytes())
    try:
        _up_stateful(layout, engine, timeout)
    except DavitError as error:
        layout.stateful_before.unlink()
        raise DavitError(
            f"The services that own data did not get healthy as they were before, either: {error} See 'docker compose"
            f" -p {layout.stateful_project} logs' on the host; the next deploy starts them as its release defines them,"
            " with -e compose_release_update_stateful=true if that differs."
        ) from error
    # Only now: whoever recovers from a kill in between has to do it once more.
    layout.stateful_before.unlink()


def _up_stateful(layout: AppLayout, engine: Engine, timeout: float) -> None:
    engine.compose(
        layout.stateful_file,
        *("up", "--detach", "--wait", "--wait-timeout", str(int(timeout)), "--pull", "never"),
        timeout=timeout + 30,
    )
    # A policy under deploy wins over that of the file, and one such as on-failure leaves them down after a reboot.
    found = engine.containers(layout.stateful_project)
    engine.restart_policy([c.id for c in found if c.policy != "unless-stopped"], "unless-stopped")


def _run_job(layout: AppLayout, wanted: Release, job: str, engine: Engine, timeout: float) -> None:
    file = layout.release(wanted.id) / store.JOBS
    try:
        engine.compose(file, "run", "--rm", "--no-deps", "-T", job, timeout=timeout)
    except CommandError as error:
        said = error.stderr.strip().splitlines()[-20:]
        raise DavitError(
            f"The job '{job}' failed, so the release was not started. {error}", logs={job: said}
        ) from error


def watch(wanted: Release, engine: Engine, interrupted: GiveUp = lambda: None) -> dict[str, Any]:
    """The verdict of the release's own gate over its running containers; workers run only later."""
    return watch_gate(gate_of(wanted), wanted.beside, wanted.project, engine, interrupted)


def judge(
    wanted: Release,
    engine: Engine,
    interrupted: GiveUp = lambda: None,
    *,
    live: Release | None = None,
    alone: str = "there is no live release",
) -> dict[str, Any]:
    """The verdict of the whole gate: that ``wanted`` runs and answers, and then what its data and model are worth.

    ``live`` is the release to compare with; without it ``alone`` says why there is none.
    """
    verdict = watch(wanted, engine, interrupted)
    asked = quality_of(wanted).at(metric_checks.GATE)
    if verdict["verdict"] != gates.PASS or asked.empty:
        return verdict
    gate, begin = gate_of(wanted), time.monotonic()
    shadowed = str((wanted.gate.get("shadow") or {}).get("service") or "")
    logs = partial(_live_log, live, shadowed, engine)
    apart = shadow.asked_by(wanted.gate) | (shadow.asked_by(live.gate) if live is not None else frozenset())
    way = quality.Way(partial(ask, gate), _until_it_dies(wanted, engine, interrupted), logs, apart)
    try:
        findings = quality.judge(asked, way, alone if live is None else _beside(wanted, live), gate.timeout)
        result, cause = golden_set.verdict(findings)
    except DavitError as error:
        findings, result, cause = [], gates.FAIL, str(error)
    if result != gates.PASS:
        cause = _death(wanted, engine) or cause
    return {
        "verdict": result,
        "cause": cause,
        "seconds": round(verdict["seconds"] + time.monotonic() - begin, 2),
        "checks": verdict["checks"] + [finding.to_json() for finding in findings],
    }


def _beside(wanted: Release, live: Release) -> quality.Quality | str:
    """The candidate's questions, sent to where the live release answers; or why they cannot be.

    Its metrics are its own business, and may be those of a service that the live release does not have.
    """
    asks = {key: wanted.gate[key] for key in ("golden", "shadow") if key in wanted.gate}
    missing = {str(entry["service"]) for entry in asks.values() if entry and entry.get("service")}
    missing -= {endpoint.route.service for endpoint in live.endpoints}
    if missing or not live.endpoints:
        return f"the live release has no route to {', '.join(sorted(missing)) or 'any service'}"
    return quality.parse(asks, live.endpoints, {})


def _death(wanted: Release, engine: Engine) -> str | None:
    """Which container of ``wanted`` has ended, and how; None when none has, or the engine does not tell."""
    try:
        ended = [c for c in engine.containers(wanted.project) if c.service in wanted.beside and c.ended]
    except DavitError:
        return None
    return f"container {ended[0].service}: {ended[0].ended}" if ended else None


def _until_it_dies(wanted: Release, engine: Engine, interrupted: GiveUp) -> GiveUp:
    """The reason to stop judging: somebody asks for it, or a process is gone, which is looked for now and then."""
    looked = time.monotonic()

    def reason() -> str | None:
        nonlocal looked
        stopped = interrupted()
        if stopped or time.monotonic() - looked < gate_run.MEANWHILE:
            return stopped
        looked = time.monotonic()
        return _death(wanted, engine)

    return reason


def _live_log(live: Release | None, service: str, engine: Engine, lines: int) -> list[str]:
    """What the live release's ``service`` logged last, or its first routed one when none is named."""
    if live is None:
        return []
    service = service or live.endpoints[0].route.service
    return [line for c in engine.containers(live.project) if c.service == service for line in engine.logs(c.id, lines)]


def quality_of(wanted: Release) -> quality.Quality:
    return quality.parse(wanted.gate, wanted.endpoints, wanted.metrics)


def watch_gate(
    gate: Gate,
    services: Sequence[str],
    project: str | None,
    engine: Engine,
    interrupted: GiveUp = lambda: None,
) -> dict[str, Any]:
    """The verdict of ``gate`` over the ``services`` of a Compose project."""
    looks = partial(engine.containers, project) if project else list
    return gate_run.run_gate(gate, services, looks, partial(ask, gate), interrupted=interrupted)


def gate_of(wanted: Release) -> Gate:
    return parse_gate(wanted.gate, wanted.endpoints)


def ask(gate: Gate, check: HttpCheck) -> Answer:
    """Ask what ``check`` says, straight at the release's own port, and say who asks: a service that watches what its
    users ask can leave this out."""
    named = any(name.lower() == "user-agent" for name in check.headers)
    headers = check.headers if named else {"User-Agent": AGENT, **check.headers}
    return http_client.ask(
        check.url, method=check.method, headers=headers, body=check.body, timeout=gate.request_timeout
    )


def last_words(project: str, engine: Engine, lines: int = 20) -> dict[str, list[str]]:
    """The last lines of each container's log, by service; for what a person reads on a failure."""
    return {c.service: engine.logs(c.id, lines) for c in engine.containers(project)}


def stop(old: Release, engine: Engine, timeout: float) -> None:
    """Stop a release and keep it for a rollback; a reboot does not start it again."""
    own = [c.id for c in engine.containers(old.project)]
    engine.restart_policy(own, "no")
    engine.stop(own, timeout)
