#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Look at the way from here to a host, and explain what is wrong with it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_way
short_description: Look at the way from here to a host, and explain what is wrong with it
version_added: 0.1.0
description:
  - For the controller. Looks at the SSH key's file, at the SSH port and the host's key, at public ports and at DNS, and
    changes nothing.
options:
  address:
    description: Address of the host.
    type: str
    required: true
  port:
    description: SSH port.
    type: int
    default: 22
  key_file:
    description: File of the private key; not looked at when empty.
    type: path
  known_hosts:
    description: Files with known host keys.
    type: list
    elements: path
    default: []
  alias:
    description: Name under which the host's key is kept, when it is not the address.
    type: str
    default: ""
  jump:
    description: Whether SSH goes by way of another host, so that port and host key are not asked for from here.
    type: bool
    default: false
  ports:
    description: Public ports that have to answer.
    type: list
    elements: int
    default: [80]
  names:
    description: Host names that have to point to O(address).
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 5.0
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Look at the way to the host
  davit.ec2.doctor_way:
    address: "{{ hostvars[inventory_hostname].ansible_host | default(inventory_hostname) }}"
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What is wrong, with evidence and remedy.
  type: list
  elements: dict
  returned: success
ssh:
  description: Whether SSH can be tried, as V(open), V(refused) or V(silent).
  type: str
  returned: success
outside:
  description: How each port looks from here.
  type: dict
  returned: success
now:
  description: This machine's time in seconds since 1970.
  type: float
  returned: success
"""

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.davit.ec2.plugins.module_utils import doctor
from ansible_collections.davit.ec2.plugins.module_utils.doctor import HostKey
from ansible_collections.davit.ec2.plugins.module_utils.module_run import run_module

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "key_file": {"type": "path", "no_log": False},
    "known_hosts": {"type": "list", "elements": "path", "default": []},
    "alias": {"type": "str", "default": ""},
    "jump": {"type": "bool", "default": False},
    "ports": {"type": "list", "elements": "int", "default": [80]},
    "names": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 5.0},
}


def hello(port: int) -> bytes:
    """What anybody who serves on a public port answers to: a request, or the first message of a TLS handshake.

    A whole one, since a server waits for the rest of half a one.
    """
    if port != 443:
        return b"HEAD / HTTP/1.0\r\n\r\n"
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


def connect(address: str, port: int, timeout: float, said: bytes) -> str:
    """How a TCP port looks from here: whether anything answers to ``said``.

    A connection alone says little: what stands in front of a host may take it, and then nobody is there.
    """
    try:
        with socket.create_connection((address, port), timeout) as stream:
            stream.settimeout(timeout)
            stream.sendall(said)
            return doctor.OPEN if stream.recv(1) else doctor.REFUSED
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return doctor.REFUSED
    except OSError:
        return doctor.SILENT


def look_at_key(path: str) -> list[doctor.Finding]:
    """The findings on the key's file."""
    file = Path(path)
    try:
        text, mode = file.read_text(encoding="utf-8", errors="replace"), file.stat().st_mode
    except OSError:
        return doctor.judge_key(None, 0, False, path)
    usable = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", str(file)], capture_output=True, check=False)
    # It refuses a file that others may read, whatever is in it.
    return doctor.judge_key(text, mode, usable.returncode == 0 or bool(mode & 0o077) or in_agent(file), path)


def in_agent(key: Path) -> bool:
    """Whether an agent holds the key, so that its passphrase is not asked for."""
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=False)
    held = subprocess.run(["ssh-add", "-l"], capture_output=True, text=True, check=False)
    fingerprint = told.stdout.split()[1:2]
    return held.returncode == 0 and bool(fingerprint) and fingerprint[0] in held.stdout.split()


def offered_keys(address: str, port: int, timeout: float, known: Iterable[str]) -> set[HostKey]:
    """The host's keys: of the types that are ``known``, or of one.

    Each type is a connection without a login, and sshd puts off who makes many of those.
    """
    kinds = {name for kind in known for name in ("ed25519", "ecdsa", "rsa") if name in kind} or {"ed25519"}
    argv = ["ssh-keyscan", "-T", str(int(timeout)), "-p", str(port), "-t", ",".join(sorted(kinds)), "--", address]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return {key for _, key in _known(done.stdout)}


def own_keys(name: str, files: Iterable[str]) -> dict[str, set[HostKey]]:
    """The keys that each file has for ``name``: as ssh finds them, also where names are hashed."""
    found: dict[str, set[HostKey]] = {}
    for file in files:
        argv = ["ssh-keygen", "-F", name, "-f", file]
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
        keys = {key for _, key in _known(done.stdout)}
        if keys:
            found[file] = keys
    return found


def all_keys(files: Iterable[str]) -> dict[str, set[HostKey]]:
    """All keys of the files by name, but for those whose names are hashed."""
    found: dict[str, set[HostKey]] = {}
    for file in files:
        with contextlib.suppress(OSError):
            for names, key in _known(Path(file).read_text(encoding="utf-8", errors="replace")):
                for name in names.split(","):
                    if not name.startswith("|"):
                        found.setdefault(name, set()).add(key)
    return found


def _known(text: str) -> Iterator[tuple[str, HostKey]]:
    """Names and key of each line of known keys; those with a marker, as of revoked ones, are left out."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 and not line.startswith(("#", "@")):
            yield fields[0], (fields[1], fields[2])


def resolve(name: str) -> list[str]:
    """The addresses of a name."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)})
    except OSError:
        return []


def work(module: AnsibleModule) -> dict[str, Any]:
    given = module.params
    address, timeout = given["address"], given["timeout"]
    findings = look_at_key(given["key_file"]) if given["key_file"] else []
    ssh = doctor.OPEN if given["jump"] else connect(address, given["port"], timeout, b"")
    findings += doctor.judge_ssh(ssh, address, given["port"])
    if ssh == doctor.OPEN and not given["jump"]:
        name = given["alias"] or (address if given["port"] == 22 else f"[{address}]:{given['port']}")
        own = own_keys(name, given["known_hosts"])
        offered = offered_keys(address, given["port"], timeout, {kind for keys in own.values() for kind, _ in keys})
        findings += doctor.judge_host_key(name, offered, own, all_keys(given["known_hosts"]))
    # The host may itself be known by a name.
    findings += doctor.judge_names(resolve(address) or [address], {name: resolve(name) for name in given["names"]})
    return {
        "changed": False,
        "findings": [finding.to_json() for finding in findings],
        "ssh": ssh,
        "outside": {str(port): connect(address, port, timeout, hello(port)) for port in given["ports"]},
        "now": time.time(),
    }


def main() -> None:
    run_module(ARGUMENTS, work)


if __name__ == "__main__":
    main()
