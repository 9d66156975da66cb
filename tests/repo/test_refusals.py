"""Deploys and drills that are refused on the controller, by real runs that come to no host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}


def ansible(folder: Path, playbook: str, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook for the app shop, whose report goes to ``folder``."""
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"davit": {"hosts": {"here": HERE}}}))
    given = {"compose_release_app": "shop", "drill_confirm": "shop", **variables}
    dropped = ("ANSIBLE_", "NO_COLOR", "GITHUB_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(dropped)},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "DAVIT_REPORT_DIR": str(folder / "report"),
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        ["ansible-playbook", "-i", str(inventory), "-e", json.dumps(given), *arguments, playbook],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


MISSING = "/nonexistent/compose.yaml"


def test_a_deploy_that_is_refused_has_a_timeline_and_a_report(tmp_path: Path) -> None:
    result = ansible(tmp_path, "playbooks/deploy.yml", compose_release_file=MISSING)
    assert result.returncode == 2, result.stdout
    assert "callback" not in result.stdout + result.stderr
    (phase,) = [line for line in result.stdout.splitlines() if "✗ preflight" in line]
    assert phase.split()[1] == "here"
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["shop.html", "shop.json", "shop.md"]
    report = json.loads((tmp_path / "report/shop.json").read_text(encoding="utf-8"))
    assert (report["app"], report["result"], report["hosts"][0]["live"]) == ("shop", "failed", None)
    assert f"{MISSING} cannot be read" in report["hosts"][0]["cause"]


@pytest.mark.parametrize(
    ("variables", "refusal"),
    [
        ({"drill_kinds": ["dies_in_soak"]}, ""),
        ({"compose_release_soak_seconds": 0}, "needs a soak"),
        ({"compose_release_soak_seconds": "0", "drill_kinds": ["slow", "dies_in_soak"]}, "needs a soak"),
        ({"compose_release_soak_seconds": 0, "drill_kinds": ["slow"]}, ""),
        ({"compose_release_stop_first": True}, "would be down for as long"),
    ],
    ids=["the role's defaults", "no soak", "no soak for the last of two", "none that needs it", "stop first"],
)
def test_a_drill_that_cannot_be_is_refused_before_the_first_one(
    tmp_path: Path, variables: dict[str, Any], refusal: str
) -> None:
    """Later it would take the host out of the play, and with it what the earlier drills have found."""
    result = ansible(tmp_path, "playbooks/drill.yml", "--check", **variables)
    assert (result.returncode != 0) == bool(refusal), result.stdout
    assert refusal in " ".join(result.stdout.split())
    assert ("with the fault" in result.stdout) == (not refusal), result.stdout


def test_a_drill_whose_deploy_is_refused_keeps_the_cause_for_its_judge(tmp_path: Path) -> None:
    role = {"name": "davit.ec2.compose_release", "tasks_from": "drill_deploy"}
    tasks = [{"name": "Drill", "ansible.builtin.include_role": role}]
    play = {"name": "Drill", "hosts": "davit", "gather_facts": False, "tasks": tasks}
    # Where nothing is live, which is what the judge says.
    play["module_defaults"] = {"davit.ec2.release_drill": {"root": str(tmp_path / "davit")}}
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    # Only with -v is it seen which facts are set.
    result = ansible(
        tmp_path,
        str(playbook),
        "-v",
        compose_release_file=MISSING,
        compose_release_drill="crash",
        __compose_release_before_drill={"standing": {"sequence": 0}},
    )
    assert result.returncode == 2, result.stdout
    kept = result.stdout.partition("TASK [davit.ec2.compose_release : Keep what it ended with]")[2].partition("TASK")[0]
    assert f"{MISSING} cannot be read" in " ".join(kept.split()), result.stdout
    assert "as it has to" not in result.stdout
    assert not (tmp_path / "report").exists()
