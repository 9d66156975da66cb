"""`make help` is the index of commands, and CI has no step that a contributor cannot run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

TARGET = re.compile(r"^([a-z][a-z0-9-]*):", re.MULTILINE)


def test_help_is_the_default_and_lists_every_target(root: Path) -> None:
    targets = set(TARGET.findall((root / "Makefile").read_text()))
    shown = subprocess.run(["make", "-s"], cwd=root, check=True, capture_output=True, text=True).stdout
    listed = set(re.findall(r"^  ([a-z0-9-]+) +\S", shown, re.MULTILINE))
    assert {"demo", "test", "lint", "unit", "sanity", "molecule", "e2e", "lab-up", "lab-down"} <= targets
    assert listed == targets


def test_targets_are_phony(root: Path) -> None:
    """A folder named like a target (docs, molecule) would make it look up to date."""
    makefile = (root / "Makefile").read_text()
    phony = {name for line in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE) for name in line.split()}
    assert phony == set(TARGET.findall(makefile))


def test_continuous_integration_runs_make_test(root: Path) -> None:
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text())
    runs = [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", []) if "run" in step]
    assert runs
    assert [run for run in runs if not run.startswith("make ")] == []
    assert "make test" in (root / ".ci/run").read_text()
