"""The action's script, with a set-up and a playbook that only say what they were given."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ADDRESS = "203.0.113.7"
PLAY = """#!/bin/sh
[ "$1" != -i ] || cp -R "$2" "$SEEN/inventory"
for word in "$@"; do
    case $word in @*) cp "${word#@}" "$SEEN"; echo "$word" >>"$SEEN/order" ;; esac
done
echo "$DAVIT_RESUME_COMMANDS" >"$SEEN/word"
echo 'the play says this'
[ -z "${LASTS:-}" ] || exec python "$SEEN/../lasting.py"
exit "${CODE:-0}"
"""
# As Ansible: it hears INT and TERM once it plays, and has a part at work. Both go on until they are stopped.
LASTING = """
import os, pathlib, signal, subprocess, sys, time
seen = pathlib.Path(os.environ["SEEN"])
def hear(number, _frame):
    (seen / "heard").write_text(signal.Signals(number).name)
    sys.exit(99)
for name in ("SIGINT", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_IGN if name in os.environ["DEAF"].split() else hear)
(seen / "part").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
(seen / "play.new").write_text(str(os.getpid()))
(seen / "play.new").rename(seen / "play")
while True:
    time.sleep(1)
"""
MAKE = """#!/bin/sh
echo "make $*"
[ -z "${SETUP_LASTS:-}" ] || { echo "$$" >"$SEEN/play.new"; mv "$SEEN/play.new" "$SEEN/play"; sleep 600; }
"""

# As GitHub's answer to who is allowed to ask: the commit alone.
CURL = """#!/bin/sh
cat >"$SEEN/header"
echo "$*" >"$SEEN/asked"
echo "$NEWEST"
exit "${CURL_CODE:-0}"
"""


def alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.05)


@dataclass(frozen=True)
class Step:
    """A checkout with the action in it, and a job's workspace."""

    top: Path
    environment: Mapping[str, str]

    @property
    def seen(self) -> Path:
        return self.top / "seen"

    def begin(self, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            # As the runner starts a step, with the words of action.yml; tests that run in the background ignore INT.
            ["env", "--default-signal=INT", "sh", "-e", "-c", 'exec "$GITHUB_ACTION_PATH/run.sh"'],
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **more: str) -> tuple[int, str]:
        with self.begin(**more) as process:
            said, _ = process.communicate(timeout=60)
            return process.returncode, said

    def left(self) -> list[str]:
        """What is in the runner's folder for temporary files, and in the system's."""
        return [path.name for place in ("temp", "tmp") for path in (self.top / place).iterdir()]


@pytest.fixture
def step(root: Path, tmp_path: Path) -> Iterator[Step]:
    for folder in ("seen", "temp", "tmp", "fakes", ".venv/bin", "inventories/ssh", "deploy/inventory"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copytree(root / ".github/actions/davit", tmp_path / ".github/actions/davit")
    for name, text in (("fakes/make", MAKE), ("fakes/curl", CURL), (".venv/bin/ansible-playbook", PLAY)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "lasting.py").write_text(LASTING)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / "key")],
        check=True,
    )
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "inventories/ssh/known_hosts").write_text(f"{ADDRESS} {public}")
    environment = {
        "PATH": os.pathsep.join([str(tmp_path / "fakes"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "SEEN": str(tmp_path / "seen"),
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_ACTION_PATH": str(tmp_path / ".github/actions/davit"),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "EC2_HOST": ADDRESS,
        "DAVIT_SSH_KEY": (tmp_path / "key").read_text(),
    }
    made = Step(tmp_path, environment)
    yield made
    for name in ("play", "part"):
        if (made.seen / name).exists() and alive(pid := int((made.seen / name).read_text())):
            os.kill(pid, signal.SIGKILL)


def test_what_set_up_and_play_say_and_how_the_play_ends_is_passed_on(step: Step) -> None:
    code, said = step.run(CODE="4")
    lines = said.splitlines()
    assert (code, lines[0], lines[2:-1]) == (4, f"make --directory {step.top} setup", ["the play says this"])
    assert step.left() == []
    assert step.run()[0] == 0


def test_no_line_of_a_play_is_a_command_and_only_the_play_knows_the_word_that_ends_this(step: Step) -> None:
    """The logs of a container, which a play shows, could mask words or forge an annotation."""
    words = set()
    for code in ("0", "4"):
        lines = step.run(CODE=code)[1].splitlines()
        word = (step.seen / "word").read_text().strip()
        assert lines[1:] == [f"::stop-commands::{word}", "the play says this", f"::{word}::"]
        assert re.fullmatch("[0-9a-f]{32}", word)
        words.add(word)
    assert len(words) == 2


def test_a_port_that_may_still_be_open_is_said(step: Step) -> None:
    code, said = step.run(CODE="2", DAVIT_PLAYBOOK="close", DAVIT_INVENTORY="deploy/inventory")
    assert code == 2
    word = (step.seen / "word").read_text().strip()
    assert f"::{word}::\n::error title=Davit::Port 22 may still be open for this runner" in said


ON_MAIN = {
    "DAVIT_ONLY_NEWEST": "true",
    "DAVIT_GITHUB_TOKEN": "token of the job",
    "GITHUB_API_URL": "https://github.test/api",
    "GITHUB_REPOSITORY": "octo/shop",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": "c0ffee",
}


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ({"NEWEST": "c0ffee"}, 0, "the play says this"),
        ({"NEWEST": "decade"}, 0, "::notice title=Davit::main has gone on to decade, so deploy of c0ffee is left out."),
        ({"NEWEST": "", "CURL_CODE": "22"}, 2, "::error title=Davit::GitHub did not say which commit of main is the"),
        # A deploy by hand is of the version that a person has chosen.
        ({"NEWEST": "decade", "DAVIT_ONLY_NEWEST": "false"}, 0, "the play says this"),
    ],
)
def test_an_older_commit_does_not_replace_a_newer_one(step: Step, more: dict[str, str], code: int, told: str) -> None:
    got, said = step.run(**{**ON_MAIN, **more})
    assert got == code, said
    assert told in said
    assert ("the play says this" in said) == told.startswith("the play")
    if (asked := step.seen / "asked").exists():
        assert asked.read_text().split()[-1] == "https://github.test/api/repos/octo/shop/commits/heads/main"
        assert (step.seen / "header").read_text() == "Authorization: Bearer token of the job\n"
        assert "token" not in asked.read_text() + said
    assert step.left() == []


@pytest.mark.parametrize(
    ("deaf", "signals", "heard", "expected"),
    [
        ("", [signal.SIGINT], "SIGINT", 130),
        ("", [signal.SIGTERM], "SIGINT", 143),
        # Before a play begins Ansible may not hear INT; GitHub's second signal must not cut the end short.
        ("SIGINT", [signal.SIGINT, signal.SIGTERM], "SIGTERM", 130),
        ("SIGINT SIGTERM", [signal.SIGINT, signal.SIGTERM], "", 130),
    ],
)
def test_a_cancelled_step_leaves_nothing_at_work_and_no_file(
    step: Step, deaf: str, signals: list[signal.Signals], heard: str, expected: int
) -> None:
    with step.begin(LASTS="yes", DEAF=deaf) as process:
        until((step.seen / "play").exists)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.5)
        assert process.wait(60) == expected
    assert [name for name in ("play", "part") if alive(int((step.seen / name).read_text()))] == []
    assert ((step.seen / "heard").read_text() if heard else "") == heard
    assert step.left() == []


def test_a_cancelled_set_up_is_the_end(step: Step) -> None:
    with step.begin(SETUP_LASTS="yes") as process:
        until((step.seen / "play").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout is not None
        assert "the play" not in process.stdout.read()
    assert not alive(int((step.seen / "play").read_text()))
    assert step.left() == []


def test_what_is_typed_into_a_form_is_no_template_and_the_callers_own_login_is_used(step: Step) -> None:
    """Asked of Ansible itself, since it is the one that would take a string for a template."""
    (step.top / "deploy/davit.yml").write_text(
        "registry_login_registry: registry.test\n"
        "registry_login_username: 'caller{{ 1 + 1 }}'\nregistry_login_password: callers\n"
    )
    cause = {"compose_release_rollback_cause": "{{ 7*7 }}", "deep": [{"er": "{{ 7*7 }}"}, 3, True, None]}
    code, said = step.run(
        DAVIT_VERSION="{{ 6*6 }}",
        DAVIT_EXTRA=json.dumps(cause),
        DAVIT_VARIABLES="deploy/davit.yml",
        DAVIT_REGISTRY_USERNAME="octocat",
        DAVIT_REGISTRY_TOKEN="token of the job\n",
    )
    assert code == 0, said
    order = [Path(line).name for line in (step.seen / "order").read_text().split()]
    assert order == ["login.json", "davit.yml", "variables.json"]
    assert json.loads((step.seen / "login.json").read_text()) == {
        "registry_login_registry": {"__ansible_unsafe": "ghcr.io"},
        "registry_login_username": {"__ansible_unsafe": "octocat"},
        "registry_login_password": {"__ansible_unsafe": "token of the job"},
    }
    login = [f"registry_login_{name}" for name in ("registry", "username", "password")]
    names = [*cause, "compose_release_version", *login]
    pairs = ", ".join(f"'{name}': {name}" for name in names)
    copy = {"dest": str(step.top / "took"), "mode": "0600", "content": "{{ {" + pairs + "} | to_json }}"}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.copy": copy}]}
    (step.top / "play.yml").write_text(json.dumps([play]))
    python = Path(sys.executable)
    argv = [str(python.parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(step.top / "play.yml")]
    for file in order:
        argv += ["-e", f"@{step.seen / file}"]
    result = subprocess.run(
        [*argv, "-e", f"ansible_python_interpreter={python}"],
        cwd=step.top,
        # Not in the test's own TMPDIR: Ansible makes a socket there, whose path may have no more than 107 characters.
        env={**step.environment, "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(step.top / ".ansible")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((step.top / "took").read_text()) == {
        **cause,
        "compose_release_version": "{{ 6*6 }}",
        "registry_login_registry": "registry.test",
        "registry_login_username": "caller2",
        "registry_login_password": "callers",
    }


@pytest.mark.parametrize(("caller", "app"), [(".", "restaurant-search"), ("elsewhere", None)])
def test_another_repository_s_app_gets_nothing_of_the_reference_service(
    root: Path, step: Step, caller: str, app: str | None
) -> None:
    shutil.copytree(root / "inventories/ssh", step.top / "inventories/ssh", symlinks=True, dirs_exist_ok=True)
    (step.top / "service").mkdir()
    shutil.copy(root / "service/deploy.yml", step.top / "service")
    pinned = step.top / caller / "inventories/ssh/known_hosts"
    pinned.parent.mkdir(parents=True, exist_ok=True)
    if caller != ".":
        shutil.copy(step.top / "inventories/ssh/known_hosts", pinned)
    code, said = step.run(GITHUB_WORKSPACE=str(step.top / caller))
    assert code == 0, said
    asked = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(step.seen / "inventory"), "--host", "ec2"],
        env={**step.environment, "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(step.top / ".ansible")},
        cwd=step.top,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    variables = json.loads(asked.stdout)
    assert variables.get("compose_release_app") == app
    assert {"ansible_host", "ansible_user", "ec2_instance_enabled"} <= set(variables)
    assert [name for name in variables if name.startswith("compose_release_")] == [] or app
    assert step.left() == []


def test_a_key_that_is_not_pinned_is_told_in_words_that_a_caller_can_follow(step: Step) -> None:
    (step.top / "inventories/ssh/known_hosts").unlink()
    code, said = step.run()
    assert code == 2
    assert f"Run 'ssh-keyscan {ADDRESS} >>inventories/ssh/known_hosts'" in said
    assert "make" not in said


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("{", "'extra' is no JSON object"),
        ("3", "'extra' is no JSON object"),
        ('{"a": [{"__ansible_unsafe": "b"}]}', "'extra' has a name that begins with __ansible_"),
    ],
)
def test_an_extra_that_cannot_be_used_is_refused(step: Step, extra: str, told: str) -> None:
    code, said = step.run(DAVIT_EXTRA=extra)
    assert code == 1
    assert f"::error title=Davit::{told}" in said
    assert "the play" not in said
