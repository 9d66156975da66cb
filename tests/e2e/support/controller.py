"""A playbook's run as a process that a test can watch, freeze and kill in the middle of its work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.e2e.support.playbook import ROOT, TIMEOUT, Result, read_stats


class Controller:
    """`ansible-playbook` in a process group of its own, killed at the end of the block whatever happens.

    Its output goes to a file and not to a pipe: workers that outlive a killed run hold a pipe open.
    """

    def __init__(self, playbook: str, inventory: Path, extra_vars: Mapping[str, Any]) -> None:
        self._command = ["ansible-playbook", f"playbooks/{playbook}.yml", "-i", str(inventory)]
        self._command += ["-e", json.dumps(dict(extra_vars))]
        self._open = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Controller:
        self._output = self._open.enter_context(tempfile.TemporaryFile())
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self._signal_group(signal.SIGKILL)
            self.process.wait(10)
        self._open.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The main process, from the block's begin on."""
        assert self._process is not None, "the run has not begun"
        return self._process

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def _signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL the main process alone, as the kernel does when memory is short: its workers live on."""
        self.process.kill()
        self.process.wait(10)

    def interrupt(self) -> None:
        """Press Ctrl-C: a terminal sends it to the whole group."""
        self._signal_group(signal.SIGINT)

    def terminate(self) -> None:
        """SIGTERM to the main process, as a CI runner does when a job is cancelled."""
        self.process.terminate()

    def suspend(self) -> None:
        """Stop the whole group, as a laptop that is closed."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the whole group go on where it was."""
        self._signal_group(signal.SIGCONT)

    def wait(self, seconds: float = TIMEOUT) -> Result:
        """How the run ended, and what it printed; subprocess.TimeoutExpired when it does not end."""
        code = self.process.wait(seconds)
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        return Result(self._command, code, text, "", read_stats(text))
