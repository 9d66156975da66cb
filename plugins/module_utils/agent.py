# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The program that the host itself runs: recovery when a controller is gone, clean-up, the load probe.

It is made of the very files that the modules are made of, by the module that takes the lock, so that
whoever recovers a deploy has the same code as who began it.
"""

from __future__ import annotations

import importlib.util
import io
import re
import signal
import sys
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import (
    drill_run,
    ending,
    journal,
    leases,
    load_probe,
    masking,
    reboot,
    steps,
    store,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, run
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout, apps_of

PACKAGE = "ansible_collections.davit.ec2.plugins.module_utils"
UNITS = Path("/etc/systemd/system")
SERVICE, TIMER = "davit-recover.service", tidy.TIMER
EVERY = 5
"""Seconds between two looks at the leases while a deploy is under way."""

MAIN = f"""\
import sys
from {PACKAGE} import leases
# Most looks at the leases end here, at a tenth of what it costs to import all the rest.
if sys.argv[1:2] == ["recover"] and leases.all_run(sys.argv[2]):
    sys.exit()
from {PACKAGE}.agent import main
sys.exit(main(sys.argv[1:]))
"""

_IMPORT = re.compile(rf"^from {re.escape(PACKAGE)}(?:\.(\w+))? import (\([^)]*\)|.*)$", re.MULTILINE)


def units(root: str) -> dict[str, str]:
    """The service, which also runs at each boot, and the timer, which runs while there is a deploy.

    No unit runs on a host on which nothing is under way.
    """
    program = f"/usr/bin/python3 {AppLayout('a', root).agent}"
    service = [
        "[Unit]",
        "Description=Complete or undo a deploy of Davit whose controller is gone",
        "After=docker.service",
        f"ConditionPathExistsGlob={root}/apps/*/deploy.json",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={program} recover {root}",
        "TimeoutStartSec=3600",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    timer = [
        "[Unit]",
        "Description=Look after the leases of Davit's deploys",
        "[Timer]",
        f"OnActiveSec={EVERY}",
        f"OnCalendar=*:*:0/{EVERY}",
        "AccuracySec=1s",
        f"Unit={SERVICE}",
    ]
    return {SERVICE: "\n".join(service) + "\n", TIMER: "\n".join(timer) + "\n"}


def archive() -> bytes:
    """This module and all that it needs as a program of one file: the same bytes for the same code."""
    content = {"__main__.py": MAIN}
    for name, source in _sources().items():
        content[f"{PACKAGE}.{name}".replace(".", "/") + ".py"] = source
    parts = PACKAGE.split(".")
    for depth in range(1, len(parts) + 1):
        content["/".join([*parts[:depth], "__init__.py"])] = ""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(content):
            bundle.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), content[path])
    return made.getvalue()


def _sources() -> dict[str, str]:
    """Module to source of this module, of the steps, which their modules take from here, and of what they import."""
    found: dict[str, str] = {}
    wanted = ["agent", steps.__name__.rpartition(".")[2]]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        spec = importlib.util.find_spec(f"{PACKAGE}.{name}")
        source = getattr(spec.loader, "get_source", lambda _: None)(spec.name) if spec else None
        if source is None:
            raise DavitError(f"The source of {name} cannot be read, so the host cannot be given its program.")
        found[name] = source
        wanted += _imports(source)
    return found


def _imports(source: str) -> list[str]:
    """The modules of this package that ``source`` imports, in either form. By pattern: to parse them all would
    cost each deploy a tenth of a second."""
    names = []
    for submodule, listed in _IMPORT.findall(source):
        names += [submodule] if submodule else re.findall(r"(?<!\bas )\b(?!as\b)\w+", listed)
    return names


def install(layout: AppLayout) -> None:
    """Have programs, units and room for a way back in place, and the timer running. Without systemd the next deploy
    recovers."""
    store.keep_reserve(layout)
    made = archive()
    for path in (layout.agent, layout.program):
        _replace(path, made, 0o700)
    if not UNITS.is_dir():
        return
    changed = [_replace(UNITS / name, text.encode(), 0o644) for name, text in units(layout.root).items()]
    # An earlier run may have ended between the files and this.
    enabled = (UNITS / "multi-user.target.wants" / SERVICE).is_symlink()
    try:
        if any(changed) or not enabled:
            run(["systemctl", "daemon-reload"])
            run(["systemctl", "enable", "--quiet", SERVICE])
        run(["systemctl", "start", "--no-block", TIMER])
    except CommandError as error:
        raise DavitError(f"The host's recovery timer could not be started. {error}") from error


def _replace(path: Path, content: bytes, mode: int) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    if not path.parent.exists():
        store.make_private(path.parent)
    store.write(path, content, mode)
    return True


def recover_all(root: str) -> int:
    """Recover every app whose lease has ended; the exit code is that of the program.

    With nothing left to look after, the timer stops itself.
    """
    failed = 0
    for layout in [app for app in apps_of(root) if app.journal.exists()]:
        # Before the work, which may take a release away, and its secrets with it.
        mask = masking.mask_of(layout)
        try:
            said = recover(layout)
        except (DavitError, OSError) as error:
            failed, said = 1, str(error)
        if said:
            sys.stdout.write(f"{layout.app}: {mask.text(said)}\n")
    tidy.rest(root)
    return failed


def recover(layout: AppLayout) -> str:
    """Recover one app if its lease has ended; what was done, or '' when somebody works on it."""
    left = journal.read(layout)
    if left is None or left.remaining(leases.moment()) > 0:
        return ""
    claim = journal.Claim("the host's timer", "recovery", left.action, 60.0, left.settings)
    try:
        with journal.acquire(layout, claim) as (session, old):
            if old is None:
                session.close()
                return ""
            ended = ending.recover(session, Engine(), "the host's timer")
    except journal.LockedError:
        return ""
    return f"{ended.result}: {ended.cause or ended.release}; live: {ended.live or 'nothing'}"


def probe(out: str, rate: str, limit: str, target: str) -> int:
    """Ask what the file ``target`` says until SIGTERM. The file goes once it is read: it may hold a secret."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    wanted = load_probe.Target.from_json(store.read_json(Path(target)))
    Path(target).unlink(missing_ok=True)
    load_probe.run(wanted, float(rate), Path(out), float(limit), stop)
    return 0


def _reboot(root: str, patience: float) -> int:
    try:
        said = reboot.reboot(root, patience)
    except DavitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


def main(arguments: Sequence[str]) -> int:
    """davit.pyz recover ROOT | tidy ROOT APP KEEP DRAIN | probe OUT RATE LIMIT TARGET | drill ROOT APP RELEASE |
    reboot ROOT SECONDS"""
    if not arguments:
        sys.stderr.write(f"usage: {main.__doc__}\n")
        return 2
    command, *rest = arguments
    if command == "recover":
        return recover_all(rest[0])
    if command == "tidy":
        problems = tidy.clean_up(AppLayout(rest[1], rest[0]), int(rest[2]), float(rest[3]))
        sys.stdout.writelines(f"{problem}\n" for problem in problems)
        return 1 if problems else 0
    if command == "probe":
        return probe(*rest)
    if command == "drill":
        drill_run.run(AppLayout(rest[1], rest[0]), rest[2])
        return 0
    if command == "reboot":
        return _reboot(rest[0], float(rest[1]))
    sys.stderr.write(f"unknown command {command!r}; usage: {main.__doc__}\n")
    return 2
