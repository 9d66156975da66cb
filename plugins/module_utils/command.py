# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""One way to run a program: argv form, bounded in time, secrets by stdin or environment only."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""Nothing of the caller's environment reaches Compose, so a release never depends on it."""


INHERITED: set[int] = set()
"""File descriptors that every program keeps open: the kernel's locks that this process holds."""


class CommandError(DavitError):
    """A program that ended badly; ``stderr`` and ``stdout`` have what it said."""

    def __init__(self, message: str, stderr: str, code: int | None, stdout: str = "") -> None:
        super().__init__(message)
        self.stderr = stderr
        self.stdout = stdout
        self.code = code


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 120.0,
    cwd: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv``; its output as text. Raises CommandError on a bad end, ``timeout`` in seconds."""
    what = " ".join(argv[:4])
    try:
        done = subprocess.run(
            list(argv),
            env={**BASE_ENVIRONMENT, **(environment or {})},
            input=stdin if stdin is not None else "",
            timeout=timeout,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            pass_fds=tuple(INHERITED),
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"'{argv[0]}' is not installed on this host. Run playbooks/configure.yml first.", "", None
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"'{what} ...' did not end within {timeout:g} s.", "", None) from error
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[-3:]) or f"exit code {done.returncode}"
        raise CommandError(f"'{what} ...' failed: {said}", done.stderr, done.returncode, done.stdout)
    return done
