"""The deploy job of GitHub Actions, run here: its own steps, with what secrets and inputs make of their expressions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.support.playbook import ROOT

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


@dataclass(frozen=True)
class Outcome:
    """How the step ended: its exit code, its log, and the job's summary."""

    rc: int
    log: str
    summary: str


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


def run_job(secrets: Mapping[str, str], inputs: Mapping[str, str], folder: Path) -> Outcome:
    """The step of run.yml that runs the playbook, through the composite action, as a runner would."""
    job = yaml.safe_load((ROOT / ".github/workflows/run.yml").read_text())
    called = job[True]["workflow_call"]["inputs"]
    given = {name: str(declared.get("default", "")) for name, declared in called.items()} | dict(inputs)
    (step,) = [one for one in job["jobs"]["run"]["steps"] if one.get("id") == "davit"]
    contexts = {"secrets": secrets, "inputs": given, "github": {"actor": "octocat"}}
    with_ = {name: evaluate(str(value), contexts) for name, value in step["with"].items()}
    action: dict[str, Any] = yaml.safe_load((ROOT / ".github/actions/davit/action.yml").read_text())
    defaults = {
        name: evaluate(str(declared.get("default", "")), contexts) for name, declared in action["inputs"].items()
    }
    inner = {**contexts, "inputs": defaults | {name: value for name, value in with_.items() if value}}
    (run,) = action["runs"]["steps"]
    environment = {name: evaluate(str(value), inner) for name, value in run["env"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / "summary.md"
    done = subprocess.run(
        ["sh", "-e", "-c", run["run"]],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(folder),
            "RUNNER_TEMP": str(folder),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_ACTION_PATH": str(ROOT / ".github/actions/davit"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return Outcome(done.returncode, done.stdout + done.stderr, summary.read_text() if summary.exists() else "")
