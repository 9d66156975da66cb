"""Each role has a scenario with two hosts, and scenarios that run side by side never meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SCENARIOS = sorted(path.parent for path in ROOT.glob("molecule/*/molecule.yml"))


def declared(scenario: Path) -> dict[str, Any]:
    """What the scenario's molecule.yml says."""
    found: dict[str, Any] = yaml.safe_load((scenario / "molecule.yml").read_text(encoding="utf-8"))
    return found


def sequence(scenario: Path) -> list[str]:
    """The steps of `molecule test`."""
    shared = yaml.safe_load((ROOT / ".config/molecule/config.yml").read_text(encoding="utf-8"))
    steps: list[str] = declared(scenario).get("scenario", shared["scenario"])["test_sequence"]
    return steps


def test_each_role_has_a_scenario() -> None:
    assert set(ROLES) <= {scenario.name for scenario in SCENARIOS}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_tried_as_it_comes_and_with_other_variables(role: str) -> None:
    names = [platform["name"] for platform in declared(ROOT / "molecule" / role)["platforms"]]
    stem = f"davit-molecule-{role.replace('_', '-')}"
    assert names == [f"{stem}-default", f"{stem}-alternative"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_a_scenario_checks_first_and_then_converges_twice(scenario: Path) -> None:
    steps = [step for step in sequence(scenario) if step in ("check", "converge", "idempotence", "verify")]
    assert steps == ["check", "converge", "idempotence", "verify"]
    assert list(scenario.glob("tests/test_*.py"))
    assert ("side_effect" in sequence(scenario)) == (scenario / "side_effect.yml").exists()


def test_scenarios_have_networks_and_endpoints_of_their_own() -> None:
    networks, endpoints = [], []
    for scenario in SCENARIOS:
        found = {platform.get("network") for platform in declared(scenario)["platforms"]}
        assert len(found) == 1, f"{scenario.name}: hosts of one scenario share a network"
        networks += [network for network in found if network]
        endpoints.append(declared(scenario).get("provisioner", {}).get("env", {}).get("AWS_ENDPOINT_URL"))
    endpoints = [endpoint for endpoint in endpoints if endpoint]
    assert len(set(networks)) == len(networks)
    assert len(set(endpoints)) == len(endpoints)
    assert len(networks) + len(endpoints) == len(SCENARIOS)
