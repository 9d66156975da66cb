"""The tables in the roles' README.md are those of the argument specs, and say what these say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.role_tables import BEGIN, made, plain, rows, value

ROLES = sorted(path.parent.parent for path in (Path(__file__).parents[2] / "roles").glob("*/meta/argument_specs.yml"))
OPTIONS = {
    name
    for role in ROLES
    for name in yaml.safe_load((role / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]["main"][
        "options"
    ]
}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_tables_are_fresh(role: Path) -> None:
    assert (role / "README.md").read_text("utf-8") == made(role), "run make docs"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_head_says_what_the_role_is_for_and_shows_how(role: Path) -> None:
    head = (role / "README.md").read_text("utf-8").partition(BEGIN)[0]
    assert head.startswith(f"# davit.ec2.{role.name}\n\n")
    assert "```yaml\n" in head


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_examples_are_yaml_with_variables_that_there_are(role: Path) -> None:
    head = (role / "README.md").read_text("utf-8").partition(BEGIN)[0]
    for block in re.findall(r"^```yaml\n(.*?)^```$", head, re.MULTILINE | re.DOTALL):
        assert yaml.safe_load(block)
        used = set(re.findall(rf"^[ -]*((?:{'|'.join(path.name for path in ROLES)})_\w+):", block, re.MULTILINE))
        assert used - OPTIONS == set()


def test_a_stale_table_is_named_and_made_anew(tmp_path: Path, root: Path) -> None:
    """As `make docs` and its check are called, on a copy with one role whose specs have changed."""
    (tmp_path / "docs").mkdir()
    shutil.copy(root / "docs/role_tables.py", tmp_path / "docs")
    shutil.copytree(root / "roles/registry_login", tmp_path / "roles/registry_login")
    specs = tmp_path / "roles/registry_login/meta/argument_specs.yml"
    specs.write_text(specs.read_text().replace("default: 3600", "default: 60"))
    program = [sys.executable, str(tmp_path / "docs/role_tables.py")]
    stale = subprocess.run([*program, "--check"], capture_output=True, text=True, check=False)
    assert (stale.returncode, stale.stderr) == (1, f"{tmp_path / 'roles/registry_login/README.md'}: run make docs\n")
    subprocess.run(program, check=True)
    assert "| `registry_login_lifetime` | int | `60` |" in (tmp_path / "roles/registry_login/README.md").read_text()
    assert subprocess.run([*program, "--check"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("with C(--check) or V(docker)", "with `--check` or `docker`"),
        ("C(f(x\\)) is one", "`f(x)` is one"),
        ("see O(edge_acme_email)", "see `edge_acme_email`"),
        (
            "the form of O(amazon.aws.ec2_security_group#module:rules)",
            "the form of `rules` of `amazon.aws.ec2_security_group`",
        ),
        ("The lookup P(ansible.builtin.file#lookup)", "The lookup `ansible.builtin.file`"),
        ("ABC(not markup)", "ABC(not markup)"),
    ],
)
def test_markup_becomes_markdown(markup: str, markdown: str) -> None:
    assert plain(markup) == markdown


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        ("", '`""`'),
        ("03:30", "`03:30`"),
        ("yes", "`'yes'`"),
        (True, "`true`"),
        ([], "`[]`"),
        ([80, 443], "`[80, 443]`"),
        ({"base": "10.0.0.0/16"}, "`{base: 10.0.0.0/16}`"),
        ("{{ a | b }}", "`{{ a | b }}`"),
    ],
)
def test_a_default_is_one_line_of_yaml(default: object, shown: str) -> None:
    assert value(default) == shown


def test_an_option_is_a_row_and_its_own_options_follow() -> None:
    options: dict[str, dict[str, Any]] = {
        "shop_routes": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "description": ["Where to.", "One | each."],
            "options": {"path": {"type": "str", "required": True, "choices": ["/", "/a"], "description": "Its path."}},
        },
        "shop_password": {"type": "str", "required": True, "no_log": True, "description": "The password."},
    }
    assert list(rows(options)) == [
        "| `shop_routes` | list of dict | `[]` | Where to. One \\| each. |",
        "| `shop_routes[].path` | str | required | Its path. One of `/`, `/a`. |",
        "| `shop_password` | str | required | The password. Secret. |",
    ]
