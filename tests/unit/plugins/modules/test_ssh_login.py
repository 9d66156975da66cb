"""Who would be locked out by an sshd that takes keys alone."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.ssh_login import Account, key_files, user_of
from ansible_collections.davit.ec2.plugins.modules import ssh_login

TOLD = {
    "passwordauthentication": "yes",
    "kbdinteractiveauthentication": "no",
    "gssapiauthentication": "no",
    "hostbasedauthentication": "no",
    "authorizedkeyscommand": "none",
    "trustedusercakeys": "none",
    "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
}
KEY = "# mine\n\nssh-ed25519 AAAA me\n"


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({"SUDO_USER": "admin", "LOGNAME": "root"}, "admin"),
        # A user of ~/.ssh/config is unknown to Ansible, which then runs sudo as root too.
        ({"SUDO_USER": "root", "LOGNAME": "root"}, "root"),
        ({"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22", "LOGNAME": "root"}, "root"),
        ({"SSH_CONNECTION": "192.0.2.1 5 192.0.2.2 22", "LOGNAME": "admin"}, "admin"),
        # Another way of becoming root, or no SSH at all.
        ({"LOGNAME": "root"}, ""),
        ({}, ""),
    ],
)
def test_who_logged_in_is_told_by_the_environment(environment: dict[str, str], user: str) -> None:
    assert user_of(environment) == user


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the user 'admin', the only one."""
    account = SimpleNamespace(pw_uid=1000, pw_dir=str(tmp_path))
    monkeypatch.setattr(ssh_login, "pwd", SimpleNamespace(getpwnam={"admin": account}.__getitem__))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, told: dict[str, str], started: str = "/usr/sbin/sshd -D") -> None:
    said = {"/usr/sbin/sshd": "".join(f"{keyword} {value}\n" for keyword, value in told.items()), "systemctl": started}
    monkeypatch.setattr(ssh_login, "said", lambda *argv: said[argv[0]])


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n"])
def test_a_user_without_a_key_came_in_by_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    answer(monkeypatch, TOLD)
    if text is not None:
        (home / ".ssh/authorized_keys").write_text(text)
    expected = f"as 'admin', who has no key in {home}/.ssh/authorized_keys or {home}/.ssh/authorized_keys2"
    assert ssh_login.closed("admin") == expected


@pytest.mark.parametrize("name", ["authorized_keys", "authorized_keys2"])
def test_a_user_with_a_key_comes_in(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    answer(monkeypatch, TOLD)
    (home / ".ssh" / name).write_text(KEY)
    assert ssh_login.closed("admin") == ""


@pytest.mark.parametrize(
    ("differing", "started"),
    [
        ({"passwordauthentication": "no"}, ""),
        ({"authorizedkeyscommand": "/usr/bin/sss_ssh_authorizedkeys"}, ""),
        ({"trustedusercakeys": "/etc/ssh/ca.pub"}, ""),
        ({"gssapiauthentication": "yes"}, ""),
        (
            {},
            "argv[]=/usr/sbin/sshd -D -o AuthorizedKeysCommand=/usr/share/ec2-instance-connect/eic_run_authorized_keys",
        ),
    ],
)
def test_what_may_be_another_way_in_refuses_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch, differing: dict[str, str], started: str
) -> None:
    assert not (home / ".ssh/authorized_keys").exists()
    answer(monkeypatch, {**TOLD, **differing}, started)
    assert ssh_login.closed("admin") == ""


def test_what_cannot_be_asked_refuses_nobody(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.is_dir()
    answer(monkeypatch, {})
    assert [ssh_login.closed(user) for user in ("", "nobody-here", "admin")] == ["", "", ""]
    assert ssh_login.closed("root") == "as root"


@pytest.mark.parametrize(
    ("written", "files"),
    [
        ("none", []),
        ("/etc/ssh/keys/%u %h/.keys", ["/etc/ssh/keys/admin", "/srv/admin/.keys"]),
        ("keys-%U", ["/srv/admin/keys-1000"]),
    ],
)
def test_sshd_s_own_names_of_key_files_are_followed(written: str, files: list[str]) -> None:
    assert key_files({"authorizedkeysfile": written}, Account("admin", 1000, "/srv/admin")) == files


def test_the_module_asks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"SUDO_USER": "root"})
    module: Any = None
    assert ssh_login.work(module) == {"changed": False, "closed": "as root"}
