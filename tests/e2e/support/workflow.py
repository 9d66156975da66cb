"""The jobs of GitHub Actions, run here: their own steps, with what secrets and inputs make of their expressions."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.support.playbook import ROOT
from tests.e2e.support.wait import until

ACTION = "$/.github/actions/davit"
TIMEOUT = 600
CANCEL = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5))
"""What GitHub sends to a cancelled step, and how many seconds it waits for the end after each."""
FIRST_PLAY = "Check the inventory"
"""The name of the first play of the playbooks that a cancelled step may run."""
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


@dataclass(frozen=True)
class Outcome:
    """How the step ended: its exit code, its log, and the job's summary."""

    rc: int
    log: str
    summary: str


def cancel(process: subprocess.Popen[Any]) -> int:
    """End a step as GitHub does: it tells the step's own process, and nothing that this one has begun."""
    for number, seconds in CANCEL:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
    process.kill()
    return process.wait()


def evaluate(text: str, contexts: Mapping[str, Mapping[str, str]]) -> str:
    """A text with its expressions replaced; of the language, what the workflows use: `a.b || 'literal'`."""
    return _EXPRESSION.sub(lambda match: _value(match[1], contexts), text)


def _value(expression: str, contexts: Mapping[str, Mapping[str, str]]) -> str:
    for part in expression.split("||"):
        word = part.strip()
        if word.startswith("'"):
            return word.strip("'")
        context, _, name = word.partition(".")
        found = contexts.get(context, {}).get(name, "")
        if found:
            return found
    return ""


@dataclass(frozen=True)
class Job:
    """The job of a reusable workflow; `folder` is its workspace, `environment` what earlier steps have put there."""

    workflow: str
    secrets: Mapping[str, str]
    inputs: Mapping[str, str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    def _contexts(self, workflow: Mapping[Any, Any]) -> dict[str, Mapping[str, str]]:
        called = workflow[True]["workflow_call"]["inputs"]
        given = {name: str(declared.get("default", "")) for name, declared in called.items()} | dict(self.inputs)
        return {"secrets": self.secrets, "inputs": given, "github": {"actor": "octocat", "token": self.token}}

    def run(
        self, before: Callable[[str], None] = lambda _step: None, cancelled: Callable[[str], bool] = lambda _step: False
    ) -> dict[str, Outcome]:
        """The job's steps that are the action, by name, one after the other and to the first that fails; then those
        that run always. `before` is told of each; where `cancelled` is true, the step is as soon as a play begins."""
        workflow = yaml.safe_load((ROOT / f".github/workflows/{self.workflow}.yml").read_text())
        contexts = self._contexts(workflow)
        outcomes: dict[str, Outcome] = {}
        for step in workflow["jobs"]["run"]["steps"]:
            condition = str(step.get("if", "success()"))
            well = all(outcome.rc == 0 for outcome in outcomes.values())
            if step.get("uses") != ACTION or not (well or condition.startswith("always()")):
                continue
            before(step["name"])
            with_ = {name: evaluate(str(value), contexts) for name, value in step["with"].items()}
            outcomes[step["name"]] = self._step(with_, contexts, cancelled=cancelled(step["name"]))
        return outcomes

    def _step(self, with_: Mapping[str, str], contexts: Mapping[str, Mapping[str, str]], *, cancelled: bool) -> Outcome:
        action: dict[str, Any] = yaml.safe_load((ROOT / ".github/actions/davit/action.yml").read_text())
        unknown = set(with_) - set(action["inputs"])
        assert not unknown, f"the action has no input {unknown}"
        defaults = {
            name: evaluate(str(declared.get("default", "")), contexts) for name, declared in action["inputs"].items()
        }
        inner = {**contexts, "inputs": defaults | {name: value for name, value in with_.items() if value}}
        (run,) = action["runs"]["steps"]
        self.folder.mkdir(parents=True, exist_ok=True)
        summary, log = self.folder / "summary.md", self.folder / "step.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                # Tests that run in the background ignore INT, and a shell cannot undo that.
                ["env", "--default-signal=INT", "sh", "-e", "-c", run["run"]],
                cwd=ROOT,
                env=self._environment() | {name: evaluate(str(value), inner) for name, value in run["env"].items()},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if cancelled:
                    until(lambda: FIRST_PLAY in log.read_text(), 120)
                else:
                    process.wait(TIMEOUT)
            finally:
                if process.poll() is None:
                    cancel(process)
        said = log.read_text()
        log.unlink()
        return Outcome(process.wait(), said, summary.read_text() if summary.exists() else "")

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_REPOSITORY": "octo/shop",
            "GITHUB_RUN_ID": "4711",
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_ACTION_PATH": str(ROOT / ".github/actions/davit"),
            **self.environment,
        }


def run_job(secrets: Mapping[str, str], inputs: Mapping[str, str], folder: Path) -> Outcome:
    """The one step of run.yml that runs the playbook."""
    (outcome,) = Job("run", secrets, inputs, folder).run().values()
    return outcome
