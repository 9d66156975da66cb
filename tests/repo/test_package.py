"""The archive of the collection, in an environment that has never seen this checkout."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*argv: str, home: Path, collections: str = "") -> str:
    """A command without any of this checkout's configuration; its output."""
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "LC_ALL": "C.UTF-8",
    }
    if collections:
        settings["ANSIBLE_COLLECTIONS_PATH"] = collections
    done = subprocess.run(argv, cwd=home, env=settings, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, as `make build` makes it."""
    place = tmp_path_factory.mktemp("archive")
    run("ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(place), home=place)
    (found,) = place.glob("davit-ec2-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the collection in it, and nothing else."""
    home = tmp_path_factory.mktemp("home")
    run("ansible-galaxy", "collection", "install", "--no-deps", "-p", str(home / "c"), str(archive), home=home)
    return home


def test_it_holds_what_a_user_runs_and_nothing_of_the_laptop(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = packed.getnames()
    assert {name.split("/")[0] for name in names} == {
        *("CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "requirements.yml"),
        *("changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
    }
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []
    assert {"roles/monitoring/files/status/status.html", "changelogs/changelog.yaml"} <= set(names)
    assert not {"docs/role_tables.py", "changelogs/config.yaml", "changelogs/fragments/0.1.0.yml"} & set(names)
    assert archive.stat().st_size < 1_000_000


@pytest.mark.parametrize("playbook", ["site", "deploy", "rollback", "status", "drill"])
def test_its_playbooks_run_by_name(installed: Path, playbook: str) -> None:
    others = str(ROOT / ".ansible/collections")
    argv = ["ansible-playbook", f"davit.ec2.{playbook}", "--syntax-check", "-i", "localhost,"]
    run(*argv, home=installed, collections=f"{installed / 'c'}:{others}")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("module", "health_check"), ("filter", "gate_with_questions"), ("callback", "report"), ("callback", "timeline")],
)
def test_its_plugins_explain_themselves(installed: Path, kind: str, name: str) -> None:
    shown = run("ansible-doc", "-t", kind, f"davit.ec2.{name}", home=installed, collections=str(installed / "c"))
    assert f"davit.ec2.{name}" in shown


def test_its_roles_explain_themselves(installed: Path) -> None:
    shown = run("ansible-doc", "-t", "role", "davit.ec2.monitoring", home=installed, collections=str(installed / "c"))
    assert "monitoring_password" in shown
