# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The clean-up after a deploy, in the background: drain and stop what no longer serves, apply retention.

It runs as a unit of the host, so that a deploy need not wait for it, and it may die at any line: the
next one sees what is left. A deploy that comes meanwhile waits for the kernel's lock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import apps, candidate, exported, journal, plan, store
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout, apps_of
from ansible_collections.davit.ec2.plugins.module_utils.switching import Patience

TIMER = "davit-recover.timer"
LIMIT = 900
"""Seconds after which a clean-up that hangs is given up."""


def start(layout: AppLayout, keep: int, patience: Patience) -> None:
    """Have the host clean up. Raises DavitError when its systemd does not: the next deploy does it then."""
    unit = f"davit-tidy-{layout.app}-{time.monotonic_ns()}"
    run(
        [
            *("systemd-run", "--quiet", "--collect", "--no-block", f"--unit={unit}"),
            *(f"--property=RuntimeMaxSec={LIMIT}", "/usr/bin/python3", str(layout.program), "tidy"),
            *(layout.root, layout.app, str(keep), str(patience.drain)),
        ],
        timeout=10,
    )


def clean_up(layout: AppLayout, keep: int, drain: float, engine: Engine | None = None) -> list[str]:
    """Stop what no longer serves, and let go of what is too old. Returns what did not work.

    A deploy that begins meanwhile need not wait until the old release has stopped: the app's own lock is
    held only to decide, and to remove. A rollback does wait, since it may want the very release.
    """
    engine = engine or Engine()
    problems: list[str] = []
    with store.locked(layout.tidy_lock, LIMIT):
        # Clients that hold a connection to the old release move on; the edge does not tell when they have.
        time.sleep(drain)
        with store.locked(layout.lock, LIMIT):
            rest(layout.root)
            what = _plan(layout, keep, engine)
        for project in (*what.stop, *what.remove):
            attempt(problems, partial(_stop, project, engine))
        with store.locked(layout.lock, LIMIT):
            attempt(problems, partial(store.sweep_unfinished, layout.home))
            what = _plan(layout, keep, engine)
            for project in what.remove:
                attempt(problems, partial(engine.remove_project, project))
            for name in what.forget:
                attempt(problems, partial(forget, layout, name, engine))
            attempt(problems, partial(_sweep_stateful_files, layout, engine))
        exported.refresh(layout, engine)
    return problems


def _plan(layout: AppLayout, keep: int, engine: Engine) -> plan.Tidying:
    under_way = journal.read(layout)
    busy = {under_way.release, under_way.previous} if under_way else set()
    return plan.tidying(layout.app, store.read_state(layout), engine.projects(layout.app), keep, busy)


def rest(root: str) -> None:
    """Stop the host's timer when nothing is under way, so that an idle host is left alone; else see that it
    runs, as after a boot."""
    with contextlib.suppress(CommandError):
        if not _under_way(root):
            run(["systemctl", "stop", "--no-block", TIMER], timeout=10)
        # Looked at anew: one may have begun in this very moment.
        if _under_way(root):
            run(["systemctl", "start", "--no-block", TIMER], timeout=10)


def _under_way(root: str) -> bool:
    return bool(apps.journals(root))


def attempt(problems: list[str], act: Callable[[], Any]) -> None:
    """Do one part of a clean-up; what does not work is told and holds up nothing."""
    try:
        act()
    except (DavitError, OSError) as error:
        problems.append(str(error))


def _stop(project: str, engine: Engine) -> None:
    own = [c.id for c in engine.containers(project)]
    engine.restart_policy(own, "no")
    engine.stop(own, LIMIT)


def forget(layout: AppLayout, name: str, engine: Engine) -> None:
    """Remove a release wholly: containers, directory, and the images that no kept one needs."""
    engine.remove_project(plan.project_name(layout.app, name))
    going = _images(layout, name)
    staying = [_images(layout, k) for k in store.kept_releases(layout) if k != name]
    store.remove_tree(layout.release(name))
    for image in plan.images_to_remove([going], [*staying, *_images_of_other_apps(layout)]):
        engine.remove_image(image)


def _sweep_stateful_files(layout: AppLayout, engine: Engine) -> None:
    """Remove the files of stateful services that nothing names any more: not what runs, nor any release, whole or not.

    They may be secrets. Whoever makes such files, and the release that names them, holds the app's lock.
    """
    if not layout.stateful_files.is_dir():
        return
    files = [layout.stateful_file, layout.stateful_before, *layout.releases.glob(f"*/{store.STATEFUL}")]
    naming = [path.read_bytes() for path in files if path.exists()]
    left = [path for path in layout.stateful_files.iterdir() if not any(path.name.encode() in text for text in naming)]
    if left:
        # A container may still run as an earlier file had it, after a change that failed.
        running = json.dumps(engine.stack(layout.stateful_project))
        for path in left:
            if path.name not in running:
                store.remove_tree(path)


def _images(layout: AppLayout, name: str) -> tuple[str, ...]:
    try:
        return candidate.load(layout, name).pinned_images
    except DavitError:
        return ()


def _images_of_other_apps(layout: AppLayout) -> list[tuple[str, ...]]:
    others = [other for other in apps_of(layout.root) if other.app != layout.app]
    return [_images(other, k) for other in others for k in store.kept_releases(other)]
