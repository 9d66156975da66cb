"""What the workflows may do, and what the role in AWS may: no more than is written here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.modules import runner_access

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
HOSTS = ("run", "run-aws")
CANCEL = 300
"""Seconds that GitHub gives the steps that run always."""


def jobs() -> dict[str, dict[str, Any]]:
    """Every job, as `workflow.job`."""
    return {f"{name}.{job}": content for name, one in WORKFLOWS.items() for job, content in one["jobs"].items()}


def policy(name: str) -> list[dict[str, Any]]:
    """The statements of one of the role's documents."""
    statements: list[dict[str, Any]] = json.loads((ROOT / f"docs/iam/{name}.json").read_text())["Statement"]
    return statements


def test_every_workflow_is_here() -> None:
    assert sorted(WORKFLOWS) == ["build", "ci", "deploy", "drill", "rollback", "run", "run-aws"]


def test_a_token_of_github_s_is_for_the_job_with_the_role_alone() -> None:
    """The callers have to pass the permission on; none of their other jobs has it."""
    having = {name for name, job in jobs().items() if (job.get("permissions") or {}).get("id-token")}
    assert having == {"run-aws.run", "deploy.deploy-aws", "rollback.rollback-aws", "drill.drill-aws", "ci.deploy"}
    assert {jobs()[name].get("uses") for name in having - {"run-aws.run"}} == {
        "$/.github/workflows/run-aws.yml",
        "$/.github/workflows/deploy.yml",
    }


def test_nothing_may_write_but_the_build_its_image() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] in ({}, {"contents": "read"}), name
    written = {
        name: [what for what, how in (job.get("permissions") or {}).items() if how == "write" and what != "id-token"]
        for name, job in jobs().items()
    }
    assert {name: what for name, what in written.items() if what} == {
        "build.image": ["packages"],
        "ci.build": ["packages"],
    }


@pytest.mark.parametrize("name", HOSTS)
def test_one_change_at_a_time_for_each_environment_and_none_is_cut_off(name: str) -> None:
    """A rollback has a queue of its own: behind the deploy that it is to stop it would wait.

    Without `queue` there is one place to wait, and a status that comes takes it from a deploy."""
    group = "davit-${{ inputs.environment }}${{ inputs.playbook == 'rollback' && '-rollback' || '' }}"
    assert WORKFLOWS[name]["concurrency"] == {"group": group, "cancel-in-progress": False, "queue": "max"}
    assert WORKFLOWS[name]["jobs"]["run"]["environment"] == "${{ inputs.environment }}"


def test_the_role_outlives_the_job_and_a_left_rule_does_not_outlive_it_for_long() -> None:
    job = WORKFLOWS["run-aws"]["jobs"]["run"]
    (role,) = [step["with"] for step in job["steps"] if step.get("id") == "role"]
    longest = job["timeout-minutes"] * 60 + CANCEL
    assert longest < role["role-duration-seconds"] <= 3600, "an hour is what a role gives unless it is told otherwise"
    assert longest < runner_access.ARGUMENTS["max_age"]["default"] <= 7200


def test_the_port_is_closed_whatever_has_become_of_the_steps_before() -> None:
    steps = WORKFLOWS["run-aws"]["jobs"]["run"]["steps"]
    names = [step.get("with", {}).get("playbook") for step in steps]
    opened, closed = names.index("open"), names.index("close")
    assert names[opened + 1] == "${{ inputs.playbook }}"
    assert closed == opened + 2
    assert steps[closed]["if"] == "always() && steps.role.outcome == 'success'"
    assert set(steps[closed]["with"]) == {"playbook", "inventory", "variables", "extra"}, "nothing that may be wrong"


@pytest.mark.parametrize("name", HOSTS)
def test_a_report_is_kept_when_there_is_one_and_a_second_attempt_replaces_it(name: str) -> None:
    (keep,) = [step for step in WORKFLOWS[name]["jobs"]["run"]["steps"] if step["name"] == "Keep the report"]
    assert keep["if"] == "always() && steps.davit.outputs.report != ''"
    assert keep["with"]["overwrite"] is True


@pytest.mark.parametrize("name", HOSTS)
def test_a_caller_may_name_a_runner_of_its_own(name: str) -> None:
    assert WORKFLOWS[name][True]["workflow_call"]["inputs"]["runs-on"]["default"] == "ubuntu-24.04"
    assert WORKFLOWS[name]["jobs"]["run"]["runs-on"] == "${{ inputs.runs-on }}"


def test_ci_runs_make_and_nothing_else() -> None:
    jobs = [WORKFLOWS["ci"]["jobs"][name]["steps"] for name in ("test", "faults")]
    assert [step["run"] for steps in jobs for step in steps if "run" in step] == ["make test", "make faults"]


def test_a_deploy_follows_what_was_tested_and_built() -> None:
    ci = WORKFLOWS["ci"]["jobs"]
    assert (ci["build"]["needs"], ci["deploy"]["needs"]) == (["test", "faults"], "build")
    assert ci["build"]["if"].startswith("github.event_name == 'push' && ")
    assert WORKFLOWS["ci"][True]["push"] == {"branches": ["main"]}
    assert ci["deploy"]["with"]["version"] == "${{ github.sha }}"


def test_no_run_on_main_waits_for_the_approval_of_another() -> None:
    group = "${{ github.workflow }}-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}"
    assert WORKFLOWS["ci"]["concurrency"]["group"] == group


def test_a_deploy_of_ci_is_left_out_when_main_has_gone_on_and_one_by_hand_never_is() -> None:
    """Asked in the job that deploys: after the approval, and after the deploys before it."""
    assert {job["with"]["only-newest"] for job in WORKFLOWS["deploy"]["jobs"].values()} == {
        "${{ github.event_name == 'push' }}"
    }
    asking = {
        (name, step["with"]["playbook"]): step["with"].get("only-newest")
        for name in HOSTS
        for step in WORKFLOWS[name]["jobs"]["run"]["steps"]
        if step["uses"] == "$/.github/actions/davit"
    }
    asked, run = "${{ inputs.only-newest }}", "${{ inputs.playbook }}"
    assert asking == {
        ("run", run): asked,
        ("run-aws", "open"): asked,
        ("run-aws", run): asked,
        ("run-aws", "close"): None,
    }


def test_the_role_may_look_and_change_the_rules_of_one_fleet() -> None:
    look, let_in = policy("deploy-role")
    assert all(action.startswith("ec2:Describe") for action in look["Action"])
    assert sorted(let_in["Action"]) == ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
    assert let_in["Condition"] == {"StringEquals": {"aws:ResourceTag/davit_fleet": "davit"}}
    assert re.fullmatch(r"arn:aws:ec2:[\w-]+:\d{12}:security-group/\*", let_in["Resource"])
    assert "*" not in "".join(look["Action"] + let_in["Action"])


def test_one_environment_of_one_repository_may_take_the_role() -> None:
    (statement,) = policy("deploy-role-trust")
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    issuer = statement["Principal"]["Federated"].rpartition("oidc-provider/")[2]
    conditions = statement["Condition"]
    assert list(conditions) == ["StringEquals"], "StringLike would take a * for a name"
    assert conditions["StringEquals"][f"{issuer}:aud"] == "sts.amazonaws.com"
    assert re.fullmatch(r"repo:[\w-]+@\d+/[\w-]+@\d+:environment:\w+", conditions["StringEquals"][f"{issuer}:sub"])
