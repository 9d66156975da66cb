# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""How a port looks from here, whatever stands in front of it."""

from __future__ import annotations

import contextlib
import socket
import ssl
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
    file.write_text("# a comment\na,b ssh-ed25519 AAA\na ssh-rsa BBB\n@revoked * ssh-rsa C\nbroken\n", encoding="utf-8")
    known = doctor_way.known_keys([str(file), str(tmp_path / "absent")])
    assert known == {"a": {"ssh-ed25519": "AAA", "ssh-rsa": "BBB"}, "b": {"ssh-ed25519": "AAA"}}


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
