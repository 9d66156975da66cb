"""What runs on a managed host: Python 3.9's syntax, and nothing but the standard library and Ansible's own.

What speaks to AWS runs on the controller, which has more.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST_SIDE = sorted(
    path.relative_to(ROOT)
    for folder in ("modules", "module_utils")
    for path in (ROOT / "plugins" / folder).rglob("*.py")
    # Asks AWS, from where the modules of amazon.aws do.
    if path.name != "ebs_encryption.py"
)
ALLOWED = ("ansible.module_utils", "ansible_collections.davit.ec2.plugins.module_utils")
AWS = {"botocore.exceptions", "ansible_collections.amazon.aws.plugins.module_utils.modules"}
CONTROLLER = {Path("plugins/modules/runner_access.py"): AWS}


def imported(tree: ast.AST) -> set[str]:
    """The full names of the modules that the code imports, relative ones left out."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


def foreign(names: set[str]) -> set[str]:
    """Those that a bare host does not have."""
    return {n for n in names if n.split(".")[0] not in sys.stdlib_module_names and not n.startswith(ALLOWED)}


@pytest.mark.parametrize("path", HOST_SIDE, ids=str)
def test_runs_on_a_bare_host(path: Path) -> None:
    source = (ROOT / path).read_text()
    # Also raises for syntax that came after 3.9.
    tree = ast.parse(source, filename=str(path), feature_version=(3, 9))
    assert foreign(imported(tree)) == CONTROLLER.get(path, set())
    assert any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in ast.walk(tree)), (
        "without `from __future__ import annotations` a newer type hint breaks on an old host"
    )


def test_the_check_sees_what_is_foreign() -> None:
    assert foreign(imported(ast.parse("import yaml, json\nfrom docker import client"))) == {"yaml", "docker"}
    with pytest.raises(SyntaxError):
        ast.parse("match 1:\n    case 1: pass", feature_version=(3, 9))
