"""Planted secrets, and the search for them: in texts, files, the journal, and the processes of a machine at work."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

# Both scripts run inside the host and read the needles from their input: as arguments they would find themselves.
SEARCH = r"""
import json, os, pathlib, stat, subprocess, sys
needles = {n: name for name, own in json.load(sys.stdin).items() for n in map(str.encode, own)}
SKIP = ("/proc", "/sys", "/dev", "/var/lib/docker", "/var/lib/containerd", "/run/containerd", "/run/docker")
def look(place, content):
    for name in {name for needle, name in needles.items() if needle in content}:
        print(json.dumps([name, place]))
for top, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(top, f) not in SKIP]
    for file in files:
        path = os.path.join(top, file)
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                look(path, pathlib.Path(path).read_bytes())
        except OSError:
            pass
look("journal", subprocess.run(["journalctl", "--no-pager", "-o", "export"], capture_output=True).stdout)
print(json.dumps("done"))
"""
SAMPLE = r"""
import json, os, select, sys
needles = {n: name for name, own in json.loads(sys.stdin.readline()).items() for n in map(str.encode, own)}
own = os.readlink("/proc/self/ns/pid")
others = set(sys.argv[1:])
def of_another(pid):
    while pid not in ("0", "1"):
        if pid in others:
            return True
        try:
            with open(f"/proc/{pid}/stat") as stream:
                pid = stream.read().rpartition(")")[2].split()[1]
        except OSError:
            return False
    return False
found, rounds, seen = set(), 0, set()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    rounds += 1
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("cmdline", "environ"):
            try:
                # A container's processes have its secrets, which is what they are for.
                if os.readlink(f"/proc/{pid}/ns/pid") != own:
                    continue
                with open(f"/proc/{pid}/{kind}", "rb") as stream:
                    content = stream.read()
            except OSError:
                continue
            if kind == "cmdline":
                seen.add(content.split(b"\0")[0].rpartition(b"/")[2].decode(errors="replace"))
            for needle, name in needles.items():
                if needle in content and not of_another(pid):
                    found.add((name, kind, content[:60].decode(errors="replace")))
print(json.dumps({"rounds": rounds, "found": sorted(found), "seen": sorted(seen)}))
"""


class Canary:
    """A secret that no program would print by chance, with all that needs care in between its two halves."""

    def __init__(self, name: str, between: str) -> None:
        self.name = name
        self.halves = (f"canary{secrets.token_hex(9)}", f"bird{secrets.token_hex(9)}")
        self.value = self.halves[0] + between + self.halves[1]

    @property
    def needles(self) -> list[str]:
        return needles_of(self.halves)


def needles_of(words: Iterable[str]) -> list[str]:
    """The words, which no escape changes, and what Base64 makes of them, wherever in a longer text they stand."""
    made = []
    for word in words:
        made.append(word)
        for offset, start in ((0, 0), (1, 2), (2, 3)):
            encoded = base64.b64encode(b"x" * offset + word.encode()).decode().rstrip("=")
            made.append(encoded[start : (offset + len(word)) * 8 // 6])
    return made


def found_in(text: str, needles: Mapping[str, list[str]]) -> list[str]:
    """The names of the secrets that a text holds."""
    return [name for name, own in needles.items() if any(needle in text for needle in own)]


def found_below(folders: Iterable[Path], needles: Mapping[str, list[str]], since: float) -> list[tuple[str, str]]:
    """Name and file for each secret in the files that were written since a time, in seconds since 1970."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        try:
            if not path.is_symlink() and path.is_file() and path.stat().st_mtime >= since:
                text = path.read_bytes().decode(errors="replace")
                found += [(name, str(path)) for name in found_in(text, needles)]
        except OSError:
            continue
    return found


def found_on_host(container: str, needles: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Name and place for each secret in the files and the journal of a host, Docker's own left out."""
    done = subprocess.run(
        ["docker", "exec", "-i", container, "python3", "-c", SEARCH],
        input=json.dumps(needles),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    *lines, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert end == "done", done.stderr
    return [(name, place) for name, place in lines]


def other_workers() -> list[str]:
    """The processes that run other tests beside this one; a job of GitHub's has its secrets in its environment."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return []
    parent = os.getppid()
    children = {
        pid for task in Path(f"/proc/{parent}/task").iterdir() for pid in (task / "children").read_text().split()
    }
    return sorted(children - {str(os.getpid())})


class Sampler:
    """Looks at the arguments and the environment of all processes of a host, or of this machine, until it is read."""

    def __init__(self, container: str, needles: Mapping[str, list[str]]) -> None:
        argv = ["python3", "-c", SAMPLE]
        argv = ["docker", "exec", "-i", container, *argv] if container else [*argv, *other_workers()]
        self._argv, self._needles = argv, needles

    def __enter__(self) -> Sampler:
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._needles) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)

    def read(self) -> dict[str, list[object]]:
        """End it; the rounds that it made, what it found, and the programs that it saw."""
        told, _error = self._process.communicate(timeout=60)
        return dict(json.loads(told))
