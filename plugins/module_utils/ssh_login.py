# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Whether whoever came in by SSH comes in again when sshd takes keys alone, and root not at all; plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OTHER_SOURCES = ("authorizedkeyscommand", "trustedusercakeys")
"""Where sshd knows keys from that are in no file of the user."""
OTHER_WAYS = ("gssapiauthentication", "hostbasedauthentication")
PASSWORDS = ("passwordauthentication", "kbdinteractiveauthentication")


@dataclass(frozen=True)
class Account:
    """A user as far as sshd's file names ask for one."""

    name: str
    number: int
    home: str


def user_of(environment: Mapping[str, str]) -> str:
    """Who logged in; '' where nobody can tell. sudo says it; su, or a login as root, leaves the variables of SSH."""
    if environment.get("SUDO_USER"):
        return environment["SUDO_USER"]
    return environment.get("LOGNAME", "") if environment.get("SSH_CONNECTION") else ""


def settings(told: str) -> dict[str, str]:
    """Keyword to value of what ``sshd -T`` prints."""
    pairs = (line.partition(" ") for line in told.splitlines())
    return {keyword.lower(): value.strip() for keyword, _, value in pairs}


def needs_key_file(told: Mapping[str, str]) -> bool:
    """Whether a key in a file of the user is the only thing that lets the user in beside a password."""
    if not any(told.get(keyword) == "yes" for keyword in PASSWORDS):
        # Then it was no password.
        return False
    others = any(told.get(keyword, "none") != "none" for keyword in OTHER_SOURCES)
    return not others and not any(told.get(keyword) == "yes" for keyword in OTHER_WAYS)


def key_files(told: Mapping[str, str], account: Account) -> list[str]:
    """Where sshd looks for the user's keys."""
    found = []
    for word in told.get("authorizedkeysfile", ".ssh/authorized_keys").split():
        name = word
        for token, value in (("%h", account.home), ("%u", account.name), ("%U", str(account.number)), ("%%", "%")):
            name = name.replace(token, value)
        if name != "none":
            found.append(name if name.startswith("/") else f"{account.home}/{name}")
    return found


def has_key(text: str) -> bool:
    """Whether an authorized_keys file holds any key."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())
