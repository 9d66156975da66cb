# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""One way to run a program: argv form, bounded in time, secrets by stdin or environment only."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""Nothing of the caller's environment reaches Compose, so a release never depends on it."""


GiveUp = Callable[[], "str | None"]
"""Tells why to give up now; None while there is no cause."""

INHERITED: set[int] = set()
"""File descriptors that every program keeps open: the kernel's locks that this process holds."""


class CommandError(DavitError):
    """A program that ended badly; ``stderr`` and ``stdout`` have what it said."""

    def __init__(self, message: str, stderr: str, code: int | None, stdout: str = "") -> None:
        super().__init__(message)
        self.stderr = stderr
        self.stdout = stdout
        self.code = code


LOOK = 0.5
"""Seconds between two looks at whether a program shall still go on."""


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 120.0,
    cwd: str | None = None,
    hopeless: GiveUp | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv``; its output as text. Raises CommandError on a bad end, ``timeout`` in seconds.

    ``hopeless`` is asked again and again while the program runs, and gives the reason why it shall end at
    once, if there is one. Such a program gets no input.
    """
    what = " ".join(argv[:4])
    try:
        process = subprocess.Popen(
            list(argv),
            env={**BASE_ENVIRONMENT, **(environment or {})},
            cwd=cwd,
            stdin=subprocess.PIPE if hopeless is None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=tuple(INHERITED),
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"'{argv[0]}' is not installed on this host. Run playbooks/configure.yml first.", "", None
        ) from error
    with process:
        try:
            stdout, stderr = _await_end(process, stdin, time.monotonic() + timeout, hopeless)
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"'{what} ...' did not end within {timeout:g} s.", "", None) from error
        finally:
            # Also when it was this process that was interrupted.
            if process.poll() is None:
                process.kill()
    code = process.returncode
    if code != 0:
        said = " ".join(stderr.strip().splitlines()[-3:]) or f"exit code {code}"
        raise CommandError(f"'{what} ...' failed: {said}", stderr, code, stdout)
    return subprocess.CompletedProcess(process.args, code, stdout, stderr)


def _await_end(
    process: subprocess.Popen[str], stdin: str | None, deadline: float, hopeless: GiveUp | None
) -> tuple[str, str]:
    if hopeless is None:
        return process.communicate(stdin or "", timeout=deadline - time.monotonic())
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(LOOK, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
        reason = hopeless()
        if reason:
            raise CommandError(reason, "", None)
