"""The output of a real ansible-playbook with the project's own configuration: to a pipe, to a terminal, with -v."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- name: Say and change
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: shop is live
    - name: Write a file
      ansible.builtin.copy:
        content: "b\\n"
        dest: "{{ place }}/written"
        mode: "0644"
    - name: Take a while
      ansible.builtin.command: sleep {{ lasts | default(0) }}
      changed_when: false
    - name: Leave out
      ansible.builtin.meta: noop
      when: false
    - name: Fail in the end
      ansible.builtin.fail:
        msg: "never ready; say more of it"
      when: fails | default(false) | bool
"""


@pytest.fixture
def play(tmp_path: Path) -> Path:
    local = f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}"
    (tmp_path / "hosts.yml").write_text(f"all: {{hosts: {{localhost: {local}}}}}\n")
    path = tmp_path / "play.yml"
    path.write_text(PLAY)
    return path


def argv(play: Path, *more: str, **variables: str) -> list[str]:
    given = [
        word for name, value in {"place": str(play.parent), **variables}.items() for word in ("-e", f"{name}={value}")
    ]
    return ["ansible-playbook", "-i", str(play.with_name("hosts.yml")), str(play), *given, *more]


def environment(**more: str) -> dict[str, str]:
    dropped = ("ANSIBLE_", "NO_COLOR", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8", **more}


def piped(play: Path, *more: str, **variables: str) -> tuple[int, str]:
    command = argv(play, *more, **variables)
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout


def on_terminal(play: Path, **variables: str) -> str:
    """What a terminal is sent."""
    main, side = pty.openpty()
    with subprocess.Popen(
        argv(play, **variables),
        cwd=ROOT,
        env=environment(TERM="xterm", COLUMNS="100"),
        stdout=side,
        stderr=side,
        stdin=side,
    ) as run:
        os.close(side)
        read, end = b"", time.monotonic() + 120
        while time.monotonic() < end:
            ready, _, _ = select.select([main], [], [], 1)
            try:
                chunk = os.read(main, 65536) if ready else b""
            except OSError:
                break
            read += chunk
            if ready and not chunk:
                break
    os.close(main)
    assert run.returncode == 0, read
    return read.decode()


def test_what_is_well_is_short_and_the_recap_stays(play: Path) -> None:
    rc, shown = piped(play, "--diff")
    assert rc == 0, shown
    lines = [line for line in shown.splitlines() if line.strip()]
    assert lines[:2] == ["Say and change", "shop is live"]
    assert "+b" in lines, "a diff is shown"
    assert "         changed  localhost  Write a file" in lines
    assert re.search(r"^localhost\s+: ok=3\s+changed=1\s+unreachable=0\s+failed=0", shown, re.MULTILINE)
    assert "Take a while" not in shown
    assert "\x1b" not in shown


def test_a_failure_is_told_in_full_with_what_to_do(play: Path) -> None:
    rc, shown = piped(play, "--check", fails="true")
    assert rc == 2, shown
    assert "would change  localhost  Write a file" in shown
    assert "fatal: [localhost]: FAILED! =>" in shown
    assert "never ready; say more of it" in shown
    assert "To do:" in shown


def test_with_v_it_is_the_default_output(play: Path) -> None:
    _rc, shown = piped(play, "-v")
    assert "PLAY [Say and change] ***" in shown
    assert "TASK [Take a while] ***" in shown
    assert "ok: [localhost] =>" in shown


def test_on_a_terminal_what_lasts_is_told_while_it_lasts(play: Path) -> None:
    shown = on_terminal(play, lasts="4")
    drawn = re.findall(r"\r\x1b\[2K +\d:\d\d  localhost  … Take a while  (\d) s\r", shown)
    assert drawn, shown
    assert drawn == sorted(drawn)
    assert shown.index("… Take a while") < shown.index("PLAY RECAP")
    # The last thing that is done to the line is to erase it.
    assert shown.rindex("… Take a while") < shown.rindex("\r\x1b[2K")
