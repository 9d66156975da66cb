# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""How a port looks from here, whatever stands in front of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import doctor
from ansible_collections.davit.ec2.plugins.modules import doctor_way


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                stream, _ = listener.accept()
                with stream:
                    answer(stream)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
    thread.join(5)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda stream: stream.sendall(b"SSH-2.0"), doctor.OPEN),
        (lambda stream: stream.close(), doctor.REFUSED),
        (lambda _stream: threading.Event().wait(1), doctor.SILENT),
    ],
)
def test_a_connection_alone_is_no_answer(answer: Callable[[socket.socket], None], state: str) -> None:
    with server(answer) as port:
        assert doctor_way.connect("127.0.0.1", port, 0.4, b"") == state


def test_a_server_of_tls_answers_to_what_is_said_to_443() -> None:
    """One without a certificate, even, as an edge that knows no such name."""

    def answer(stream: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(stream, server_side=True)

    for said, state in ((doctor_way.hello(443), doctor.OPEN), (doctor_way.hello(443)[:6], doctor.SILENT)):
        with server(answer) as port:
            assert doctor_way.connect("127.0.0.1", port, 1, said) == state


def test_a_port_that_nobody_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert doctor_way.connect("127.0.0.1", port, 1, b"x") == doctor.REFUSED


def test_known_keys_are_read_by_name(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    lines = ["# comment", "a,b ssh-ed25519 AAA", "a ssh-rsa BBB", "@revoked * ssh-rsa C", "broken", "|1|x|y ssh-rsa D"]
    file.write_text("\n".join(lines), encoding="utf-8")
    files = [str(file), str(tmp_path / "absent")]
    one, two = ("ssh-ed25519", "AAA"), ("ssh-rsa", "BBB")
    assert doctor_way.all_keys(files) == {"a": {one, two}, "b": {one}}
    assert doctor_way.own_keys("a", files) == {str(file): {one, two}}
    assert doctor_way.own_keys("c", files) == {}


def new_key(folder: Path, name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    return folder / name


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(
    ("port", "alias", "known"), [(22, "", "203.0.113.10"), (2222, "", "[203.0.113.10]:2222"), (2222, "web", "web")]
)
@pytest.mark.parametrize(
    ("same", "what"), [(True, []), (False, ["the host's SSH key is another one"])], ids=["the same", "another"]
)
def test_a_host_s_key_is_found_by_the_name_that_ssh_keeps_it_under(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hashed: bool,
    port: int,
    alias: str,
    known: str,
    same: bool,
    what: list[str],
) -> None:
    keys = [new_key(tmp_path, name).with_suffix(".pub").read_text().strip() for name in ("one", "two")]
    file = tmp_path / "known_hosts"
    file.write_text(f"{known} {keys[0]}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
        assert file.read_text().startswith("|1|")
    kind, key = keys[0 if same else 1].split()
    monkeypatch.setattr(doctor_way, "connect", lambda *_: doctor.OPEN)
    monkeypatch.setattr(doctor_way, "offered_keys", lambda *_: {(kind, key)})
    params = {name: argument.get("default") for name, argument in doctor_way.ARGUMENTS.items()}
    params |= {"address": "203.0.113.10", "port": port, "alias": alias, "known_hosts": [str(file)], "ports": []}
    module: Any = SimpleNamespace(params=params)
    assert [one["what"] for one in doctor_way.work(module)["findings"]] == what


@pytest.mark.parametrize(
    "harm",
    [lambda text: text.rstrip("\n"), lambda text: text.replace("\n", "\r\n").rstrip(), lambda text: f" {text} \t\n"],
    ids=["no last line break", "CRLF", "blanks"],
)
def test_a_key_that_was_harmed_is_whole_again_by_the_remedy(tmp_path: Path, harm: Callable[[str], str]) -> None:
    key = new_key(tmp_path, "key")
    key.write_text(harm(key.read_text()), newline="")
    (finding,) = doctor_way.look_at_key(str(key))
    remedy = finding.remedy.removeprefix("Write it anew: ")
    subprocess.run(["sh", "-ec", remedy], check=True, cwd=tmp_path)
    assert doctor_way.look_at_key(str(tmp_path / "key.pem")) == []


def test_a_name_that_nobody_knows_has_no_address() -> None:
    assert doctor_way.resolve("localhost")
    assert doctor_way.resolve("nowhere.invalid") == []


@pytest.mark.parametrize(("jump", "ssh"), [(False, doctor.REFUSED), (True, doctor.OPEN)])
def test_a_host_behind_another_one_is_not_asked_from_here(jump: bool, ssh: str) -> None:
    """Its port need not be open to this machine; whether it answers is for the next step to tell."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        params = {name: argument.get("default") for name, argument in doctor_way.ARGUMENTS.items()}
        params |= {"address": "127.0.0.1", "port": unheard.getsockname()[1], "ports": [], "jump": jump}
        module: Any = SimpleNamespace(params=params)
        seen = doctor_way.work(module)
    assert (seen["ssh"], [one["what"] for one in seen["findings"]]) == (ssh, [] if jump else ["SSH is refused"])
