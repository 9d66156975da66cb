"""The same stack changed by hand: what the usual workflow does over SSH, and raw Compose for the floor."""

from __future__ import annotations

import shlex

from bench.settings import ROOT
from bench.target import STACK, VERSIONS, Target, await_that

FOLDER = "/srv/bench"
PORT = 8000


def prepare(target: Target) -> None:
    """Put the Compose file onto the host, and have both versions' images there."""
    pulls = "; ".join(f"VERSION={version} docker compose pull --quiet" for version in VERSIONS)
    target.host.shell(
        f"set -e; install -d {FOLDER}; cd {FOLDER}\n"
        f"cat >compose.yaml <<'END'\n{STACK.read_text()}\nEND\n"
        f"{login()}\n{pulls}; docker logout ghcr.io"
    )


def login() -> str:
    """The usual login; the password goes by standard input twice, since the script does so itself."""
    password = (ROOT / ".lab/registry/password").read_text().strip()
    return f"echo {shlex.quote(password)} | docker login ghcr.io -u davit --password-stdin >/dev/null 2>&1"


def release(target: Target) -> tuple[str, str]:
    """The next version, and the words that set it and its label in a shell."""
    values = target.next_release()
    version, label = values["compose_release_version"], values["compose_release_environment"]["LABEL"]
    return version, f"export VERSION={version} LABEL={shlex.quote(label)}"


def change(target: Target, commands: str) -> None:
    """Run the commands for the next version in the stack's folder; return once that version answers."""
    version, words = release(target)
    target.host.shell(f"set -e; cd {FOLDER}; {words}\n{commands}")
    await_that(lambda: target.version(PORT) == version, f"{version} on port {PORT}", pause=0.05)


def down_and_up(target: Target) -> None:
    """The usual workflow: login, pull, down, up."""
    change(target, f"{login()}\ndocker compose pull --quiet; docker compose down 2>&1; docker compose up -d 2>&1")


def in_place(target: Target) -> None:
    """Compose's own way to change what runs."""
    change(target, "docker compose up -d 2>&1")


def remove(target: Target) -> None:
    """Take the stack away, and the login with it."""
    target.host.shell(f"cd {FOLDER} && docker compose down 2>&1; docker logout ghcr.io 2>&1; true")


def raw_floor(target: Target) -> tuple[float, float]:
    """Seconds of `docker compose up -d --wait` in a new project, and of `docker compose start` until it is ready.

    Both timed on the host itself, so that neither SSH nor Ansible is in them.
    """
    _, words = release(target)
    printed = target.host.shell(
        f"set -e; cd {FOLDER}; {words} PUBLISHED=18000 COMPOSE_PROJECT_NAME=raw\n"
        "now() { date +%s%N; }; log=$(mktemp)\n"
        'trap \'docker compose down >"$log" 2>&1; rm -f "$log"\' EXIT\n'
        'a=$(now); docker compose up -d --wait >"$log" 2>&1; b=$(now)\n'
        'docker compose stop >"$log" 2>&1\n'
        'c=$(now); docker compose start >"$log" 2>&1\n'
        "timeout 60 sh -c 'until curl -fso /dev/null http://127.0.0.1:18000/readyz; do sleep 0.02; done'; d=$(now)\n"
        "echo $((b - a)) $((d - c))\n"
    )
    up, start = (int(word) / 1e9 for word in printed.split())
    return up, start
