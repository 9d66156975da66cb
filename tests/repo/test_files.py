"""Rules that every file of the repository keeps."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

LONGEST_PYTHON_FILE = 400
SELF_LINK = ".ansible/collections/ansible_collections/davit/ec2"

# Put together here, so that this file does not break its own rule.
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(name))
        for name in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("deb", "debian", "org"),
            ("archive", "ubuntu", "com"),
            ("galaxy", "ansible", "com"),
        )
    )
)
# A home folder or a checkout's place is of one machine; a managed host's and an image's are of all.
MACHINE_PATH = re.compile(
    "|".join(
        ("/" + "work/", "/" + r"root/(?!\.(?:cache|config|docker|ssh)\b)", "/" + "Users/", r"/home/(?!ubuntu\b)\w")
    )
)


def text_of(root: Path, name: Path) -> str:
    """The file's text, or nothing when it is binary."""
    content = (root / name).read_bytes()
    return "" if b"\0" in content else content.decode()


def matches(root: Path, files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` of each line that matches."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name in files
        for number, line in enumerate(text_of(root, name).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_registry_host(root: Path, project_files: list[Path]) -> None:
    """Each machine has its own index or mirror; a lock file that names another one breaks there."""
    assert matches(root, project_files, REGISTRIES) == []


def test_no_file_names_a_path_of_one_machine(root: Path, project_files: list[Path]) -> None:
    assert matches(root, project_files, MACHINE_PATH) == []


@pytest.mark.parametrize(
    "bad", ["/" + "root/.pyenv/versions", "/" + "home/alice/x", "https://" + "pypi" + ".org/simple"]
)
def test_the_patterns_find_what_they_are_for(bad: str) -> None:
    assert REGISTRIES.search(bad) or MACHINE_PATH.search(bad)


def test_python_files_stay_readable(root: Path, project_files: list[Path]) -> None:
    lengths = {name: text_of(root, name).count("\n") for name in project_files if name.suffix == ".py"}
    assert {str(name): lines for name, lines in lengths.items() if lines > LONGEST_PYTHON_FILE} == {}


def test_scripts_can_be_run(root: Path, project_files: list[Path]) -> None:
    """A script that Make calls needs its execute bit, which is easily lost in a copy."""
    scripts = [name for name in project_files if name.suffix == ".sh" or name == Path(".ci/run")]
    assert scripts
    assert [str(name) for name in scripts if not (root / name).stat().st_mode & 0o111] == []


def left_out(root: Path) -> list[str]:
    """What archives leave out: files, and folders, with which all that is in them goes."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    names = {name for name in files.split("\0") if name}
    names |= {f"{folder}/" for name in names for folder in Path(name).parents if folder != Path()}
    asked = ["git", "check-attr", "--stdin", "-z", "export-ignore"]
    told = subprocess.run(
        asked, cwd=root, check=True, capture_output=True, text=True, input="\0".join(sorted(names))
    ).stdout.split("\0")
    return [name for name, value in zip(told[0::3], told[2::3], strict=False) if value not in ("unspecified", "unset")]


def test_an_archive_holds_every_file_but_the_self_link(root: Path) -> None:
    """GitHub runs a workflow's action from one."""
    assert left_out(root) == [SELF_LINK]


@pytest.fixture(scope="module")
def archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What GitHub unpacks for an action, with the script as it is now."""
    place = tmp_path_factory.mktemp("archive")
    made = subprocess.run(
        ["git", "archive", "--worktree-attributes", "HEAD"], cwd=root, check=True, capture_output=True
    )
    subprocess.run(["tar", "--extract", "--directory", place], input=made.stdout, check=True)
    shutil.copy(root / "requirements/install.sh", place / "requirements/install.sh")
    return place


def test_a_copy_of_an_archive_that_follows_links_ends(archive: Path, tmp_path: Path) -> None:
    """GitHub's runner makes one in the step "Set up job"."""
    assert [path for path in archive.rglob("*") if path.is_symlink() and path.is_dir()] == []
    shutil.copytree(archive, tmp_path / "copy")
    assert (tmp_path / "copy/inventories/ssh/group_vars/davit/app.yml").is_file()


def test_a_set_up_makes_the_self_link_also_when_nothing_else_is_to_do(archive: Path, tmp_path: Path) -> None:
    shutil.copytree(archive, tmp_path, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "requirements/venv.sh").write_text("#!/bin/sh\nmkdir -p .cache\n")
    collections = tmp_path / ".ansible/collections"
    (collections / "ansible_collections/amazon/aws").mkdir(parents=True)
    names = ("collections.txt", "unpack_collections.py")
    complete = b"".join((tmp_path / "requirements" / name).read_bytes() for name in names)
    (collections / "complete").write_text(hashlib.sha256(complete).hexdigest())
    for _ in range(2):
        subprocess.run([tmp_path / "requirements/install.sh"], check=True)
        assert (tmp_path / SELF_LINK).resolve() == tmp_path.resolve()


@pytest.mark.parametrize("pattern", [".link", "/.link/", ".link/deep/self"])
def test_what_an_archive_leaves_out_is_found(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ".link/deep").mkdir(parents=True)
    (tmp_path / ".link/deep/self").symlink_to("../..")
    (tmp_path / ".gitattributes").write_text(f"{pattern} export-ignore\n")
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert [name.rstrip("/") for name in left_out(tmp_path)] == [pattern.strip("/")]


def test_the_self_link_makes_names_resolve_in_a_bare_clone(root: Path) -> None:
    link = root / SELF_LINK
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == root
