"""Notifications against a real receiver: what arrives, and that one which does not listen stops nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SECRET = "T0PS3CRET"
NOTIFY = {
    "name": "Notify",
    "ansible.builtin.import_role": {"name": "davit.ec2.compose_release", "tasks_from": "notify"},
    "vars": {
        "__compose_release_event": "failed",
        "__compose_release_event_version": "v2",
        "__compose_release_event_hosts": {"web1": "failed in gate", "web2": "not touched"},
        "__compose_release_event_cause": "ready: <503> & more",
        "__compose_release_event_probe": "400 requests, 0 failed",
    },
}
# A become that cannot work: the message is sent from here, by whoever runs the play.
HOSTS = {
    "all": {
        "hosts": {"web1": None, "web2": None},
        "vars": {"ansible_connection": "local", "ansible_become_exe": "/nonexistent/sudo"},
    }
}


def play(url: str) -> list[dict[str, Any]]:
    variables = {
        "compose_release_app": "shop",
        "compose_release_created_by": "alice",
        "compose_release_commit": "c0ffee",
        "compose_release_webhook": url,
    }
    tasks = [NOTIFY, {"name": "Go on", "ansible.builtin.debug": {"msg": "went on"}}]
    return [{"name": "Tell", "hosts": "all", "gather_facts": False, "become": True, "vars": variables, "tasks": tasks}]


@dataclass
class Receiver:
    """A webhook that keeps what it gets."""

    status: int = 200
    silent: bool = False
    got: list[tuple[str, Any]] = field(default_factory=list)
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append((self.path, json.loads(body)))
            if kept.silent:
                kept.ended.wait(60)
                return
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            """What arrives is kept in ``got``."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield kept
        kept.ended.set()
        server.shutdown()
        thread.join()


def tell(folder: Path, url: str, *arguments: str) -> str:
    """What a play over two hosts prints that notifies ``url``; it has to end well."""
    (folder / "play.yml").write_text(yaml.safe_dump(play(url)))
    (folder / "hosts.yml").write_text(yaml.safe_dump(HOSTS))
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(
        ["ansible-playbook", "-vvv", "-i", str(folder / "hosts.yml"), *arguments, str(folder / "play.yml")],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("went on") == 2, said
    assert SECRET not in said
    # The output is wrapped.
    return " ".join(said.split())


def test_one_message_for_the_whole_fleet(receiver: Receiver, tmp_path: Path) -> None:
    said = tell(tmp_path, receiver.url)
    assert "WARNING: the webhook" not in said
    ((path, body),) = receiver.got
    assert path == f"/services/{SECRET}"
    assert body["text"] == "shop: deploy of v2 failed"
    (details,) = body["attachments"]
    assert details["text"].splitlines() == [
        "Cause: ready: &lt;503&gt; &amp; more",
        "Through the edge: 400 requests, 0 failed",
        "By: alice",
        "Commit: c0ffee",
        "• web1: failed in gate",
        "• web2: not touched",
    ]


def test_a_webhook_that_refuses_is_a_warning(receiver: Receiver, tmp_path: Path) -> None:
    receiver.status = 503
    said = tell(tmp_path, receiver.url)
    assert len(receiver.got) == 1
    assert "WARNING: the webhook was not told of the event failed (it answered 503)" in said


def test_a_webhook_that_never_answers_is_a_warning(receiver: Receiver, tmp_path: Path) -> None:
    receiver.silent = True
    assert "WARNING: the webhook was not told of the event failed (timed out)" in tell(tmp_path, receiver.url)


def test_a_webhook_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = tell(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}")
    assert "WARNING: the webhook was not told of the event failed ([Errno 111] Connection refused)" in said


@pytest.mark.parametrize("url", [f"nonsense {SECRET}", f"http://127.0.0.1:{SECRET}/", f"{SECRET}://127.0.0.1/"])
def test_what_is_no_url_is_a_warning_that_does_not_show_it(tmp_path: Path, url: str) -> None:
    assert "WARNING: the webhook was not told of the event failed (" in tell(tmp_path, url)


def test_nobody_is_told_in_check_mode_or_without_a_webhook(receiver: Receiver, tmp_path: Path) -> None:
    tell(tmp_path, receiver.url, "--check")
    tell(tmp_path, "")
    assert receiver.got == []
