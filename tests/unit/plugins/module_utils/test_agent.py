"""The program that the host runs by itself: made anywhere, the same each time, and whole."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import agent, journal, plan
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from tests.unit.support.host import Host, install


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made = tmp_path / "lib" / "davit.pyz"
    made.parent.mkdir()
    made.write_bytes(agent.archive())
    return made


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a unit of the host does: elsewhere, and with nothing of this checkout in reach."""
    return subprocess.run(
        [sys.executable, "-I", str(program), *arguments], cwd="/", env={}, capture_output=True, text=True, check=False
    )


def test_the_same_code_is_the_same_program() -> None:
    assert agent.archive() == agent.archive()


def test_the_program_needs_nothing_but_itself(program: Path) -> None:
    done = run(program, "recover", str(program.parent.parent))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("arguments", [(), ("dance",)])
def test_a_wrong_call_is_told_how_to_call(program: Path, arguments: tuple[str, ...]) -> None:
    done = run(program, *arguments)
    assert done.returncode == 2
    assert "davit.pyz recover ROOT" in done.stderr


def test_every_module_in_it_can_be_imported_from_it_alone(program: Path) -> None:
    names = [n for n in zipfile.ZipFile(io.BytesIO(program.read_bytes())).namelist() if not n.startswith("__main__")]
    modules = [n.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for n in names]
    assert f"{agent.PACKAGE}.ending" in modules
    code = f"import sys; sys.path.insert(0, {str(program)!r}); import importlib\n"
    code += f"for name in {modules!r}: assert 'davit.pyz' in importlib.import_module(name).__file__"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd="/", env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_modules_of_the_steps_take_them_from_the_program(program: Path, tmp_path: Path) -> None:
    """A module is sent with what it imports openly, and finds the rest on the host."""
    here = Path(agent.__file__).parent
    sent = tmp_path / "sent" / agent.PACKAGE.replace(".", "/")
    sent.mkdir(parents=True)
    for folder in (sent, *sent.relative_to(tmp_path / "sent").parents):
        (tmp_path / "sent" / folder / "__init__.py").touch()
    for name in ("module_run", "apps", "errors", "journal", "layout", "leases", "masking", "store", "plan", "command"):
        (sent / f"{name}.py").write_bytes((here / f"{name}.py").read_bytes())
    brought = AppLayout("shop", str(tmp_path)).program
    brought.parent.mkdir(parents=True)
    brought.write_bytes(program.read_bytes())
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += f"from {agent.PACKAGE} import layout, module_run\n"
    code += "print(module_run._steps(layout.AppLayout('shop', sys.argv[2])).start.__code__.co_filename)"
    command = [sys.executable, "-c", code, str(tmp_path / "sent")]
    done = subprocess.run([*command, str(tmp_path)], cwd="/", capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(brought)), done.stderr
    brought.unlink()
    gone = subprocess.run([*command, str(tmp_path)], cwd="/", capture_output=True, text=True, check=False)
    assert "which this deploy's preflight put there, cannot be used" in gone.stderr


def test_the_host_frees_a_lock_whose_deploy_had_not_begun(program: Path) -> None:
    root = program.parent.parent
    layout = AppLayout("shop", str(root))
    with journal.acquire(layout, journal.Claim("alice", "deploy v2", plan.DEPLOY, 60, {})):
        pass
    assert run(program, "recover", str(root)).returncode == 0
    assert layout.journal.exists(), "its lease has not ended"
    layout.journal.write_text(json.dumps({**json.loads(layout.journal.read_text()), "boot": "an earlier one"}))
    done = run(program, "recover", str(root))
    assert done.returncode == 0, done.stderr
    assert "shop: failed" in done.stdout
    assert not layout.journal.exists()


def test_an_app_that_cannot_be_recovered_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Host(tmp_path), monkeypatch)
    for app in ("a", "b"):
        layout = AppLayout(app, str(tmp_path))
        layout.home.mkdir(parents=True)
        layout.journal.write_text("{")
    (tmp_path / "apps" / "a" / "lock").mkdir()
    # Somebody's copy, which is no app.
    shutil.copytree(tmp_path / "apps" / "b", tmp_path / "apps" / "b.bak")
    assert agent.recover_all(str(tmp_path)) == 1
    assert not (tmp_path / "apps" / "b" / "deploy.json").exists()
    assert capsys.readouterr().out.count("\n") == 2


def test_the_units_run_the_program_only_where_something_is_under_way() -> None:
    units = agent.units("/opt/davit")
    assert "ConditionPathExistsGlob=/opt/davit/apps/*/deploy.json\n" in units[agent.SERVICE]
    assert "ExecStart=/usr/bin/python3 /opt/davit/lib/davit.pyz recover /opt/davit\n" in units[agent.SERVICE]
    assert f"Unit={agent.SERVICE}\n" in units[agent.TIMER]


def test_units_that_an_earlier_run_did_not_get_to_enable_are_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = list[list[str]]()
    monkeypatch.setattr(agent, "UNITS", tmp_path / "units")
    monkeypatch.setattr(agent, "run", called.append)
    wants = agent.UNITS / "multi-user.target.wants"
    wants.mkdir(parents=True)
    layout = AppLayout("shop", str(tmp_path))
    enable = ["systemctl", "enable", "--quiet", agent.SERVICE]
    for _ in range(2):
        called.clear()
        agent.install(layout)
        assert enable in called
    (wants / agent.SERVICE).symlink_to(agent.UNITS / agent.SERVICE)
    called.clear()
    agent.install(layout)
    assert called == [["systemctl", "start", "--no-block", agent.TIMER]]
