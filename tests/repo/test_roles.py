"""Each role's interface is what its argument specs say, and its defaults are the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path.name for path in (Path(__file__).parents[2] / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    """The YAML file's content; an empty file is an empty mapping."""
    return yaml.safe_load(path.read_text()) or {}


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest, root: Path) -> Path:
    """The folder of one role."""
    return root / "roles" / str(request.param)


def options_of(role: Path) -> dict[str, dict[str, Any]]:
    """The options of the role's main entry point."""
    main = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]
    options: dict[str, dict[str, Any]] = main.get("options", {})
    return options


def test_roles_were_found() -> None:
    assert {"ec2_instance", "security_group"} <= set(ROLES)


@pytest.mark.parametrize("name", ["README.md", "tasks/main.yml", "meta/main.yml", "meta/argument_specs.yml"])
def test_a_role_is_whole(role: Path, name: str) -> None:
    assert (role / name).is_file()


def test_defaults_are_those_of_the_argument_specs(role: Path) -> None:
    described = {name: option["default"] for name, option in options_of(role).items() if "default" in option}
    path = role / "defaults/main.yml"
    assert (load(path) if path.exists() else {}) == described


def test_an_option_is_required_or_has_a_default(role: Path) -> None:
    """Required means absent from the defaults, and the other way round."""
    undecided = [
        name for name, option in options_of(role).items() if bool(option.get("required")) == ("default" in option)
    ]
    assert undecided == []


def test_options_bear_the_role_s_name(role: Path) -> None:
    assert [name for name in options_of(role) if not name.startswith(f"{role.name}_")] == []


def test_options_are_described_and_typed(role: Path) -> None:
    assert [name for name, option in options_of(role).items() if not {"description", "type"} <= set(option)] == []


def test_what_a_playbook_takes_from_a_role_is_an_entry_point_of_it(root: Path) -> None:
    taken = set()
    for path in (root / "playbooks").rglob("*.yml"):
        for role, name in re.findall(r"name: davit\.ec2\.(\w+)\n\s+tasks_from: (\w+)", path.read_text()):
            taken.add((role, name))
    assert ("compose_release", "drill") in taken
    for role, name in taken:
        assert name in load(root / "roles" / role / "meta/argument_specs.yml")["argument_specs"], (role, name)
