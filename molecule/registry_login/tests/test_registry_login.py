"""What a login leaves on a host: nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Machine


def test_a_forgotten_login_is_removed_by_the_host(alternative: Machine) -> None:
    """side_effect logged in for two seconds and never logged out."""
    deadline = time.monotonic() + 30
    while left := alternative.output("find /run/davit/registry -mindepth 1"):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_docker_s_own_place_was_never_used(either: Machine) -> None:
    assert either.output("find /root /home -path '*/.docker/config.json'") == ""


def test_without_a_user_nobody_logs_in(default: Machine) -> None:
    assert not default.host.file("/run/davit/registry").exists


def test_the_password_is_nowhere_on_the_host(alternative: Machine, project: Path) -> None:
    """Neither in the journal, which has every argument of what systemd was asked to run, nor in a file."""
    password = (project / ".lab/registry/password").read_text().strip()
    assert password not in alternative.output("journalctl --no-pager --output cat --boot")
    found = alternative.host.run(
        f"grep --recursive --devices=skip --files-with-matches --fixed-strings '{password}' /run /tmp /root /etc /opt"
    )
    assert found.stdout == ""
