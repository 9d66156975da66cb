"""Alert rules, by promtool of the image that will load them; and that no alert is without a test."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lab.images import MONITORING
from tests.e2e.support.playbook import ROOT

RULES = sorted((ROOT / "roles/monitoring/files/rules").glob("*.yml"))
CASES = sorted((ROOT / "tests/monitoring").glob("*.yml"))


def in_image(*argv: str) -> subprocess.CompletedProcess[str]:
    """A program of the image, with this checkout to read and no network."""
    mount = ["--volume", f"{ROOT}:/davit:ro", "--workdir", "/davit/tests/monitoring"]
    program, *rest = argv
    words = ["docker", "run", "--rm", "--network", "none", *mount, "--entrypoint", program, MONITORING, *rest]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.stem)
def test_rules_can_be_loaded(rules: Path) -> None:
    done = in_image("promtool", "check", "rules", "--lint=all", f"/davit/{rules.relative_to(ROOT)}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(cases: Path) -> None:
    done = in_image("promtool", "test", "rules", cases.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire() -> None:
    named = {
        rule["alert"]
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    fired = set()
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            fired |= {one["alertname"] for one in case.get("alert_rule_test", []) if one.get("exp_alerts")}
            for one in case.get("promql_expr_test", []):
                for sample in one.get("exp_samples", []):
                    fired |= set(re.findall(r'alertname="(\w+)"', sample["labels"]))
    assert named - fired == set()


def test_every_alert_says_what_to_do() -> None:
    assert RULES
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert rule["labels"]["severity"] in {"page", "ticket", "none"}, rule
                    assert {"summary", "action"} <= set(rule["annotations"]), rule
