# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The edge's files, container and ports on the host it runs on."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.davit.ec2.plugins.module_utils import edge
from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import (
    CONFIG_LABEL,
    EDGE_FILE,
    MARK_HEADER,
    MARK_PATH,
    PROJECT,
    Certificate,
    Container,
    Listener,
    describe,
    foreign,
    last_words,
    listeners,
    longest_gap,
    unit_of,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.routes import broken_routes

Run = Callable[[list[str]], "tuple[int, str, str]"]

DIRECTORIES = ("", "stage", "dynamic", "certs", "acme")
EDGE_PATH = f"dynamic/{EDGE_FILE}"
POLL_SECONDS = 0.02


class EdgeHost:
    """What is done on the host. ``run`` takes an argument list and gives exit code, output and errors.

    Methods raise DavitError, with what to do next, when the host is not as it has to be.
    """

    def __init__(self, run: Run, directory: str, ping_url: str) -> None:
        self.run = run
        self.directory = Path(directory)
        self.ping_url = ping_url

    # What is there

    def read(self, name: str) -> str | None:
        """The text of one of the edge's files; None when there is none."""
        try:
            return (self.directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def container(self) -> Container | None:
        """The edge's container, running or not; None also where there is no Docker yet."""
        if shutil.which("docker") is None:
            return None
        found = self._docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        ids = found.split()
        if not ids:
            return None
        details = json.loads(self._docker("inspect", ids[0]))[0]
        state = details["State"]
        return Container(
            id=details["Id"],
            config=(details["Config"]["Labels"] or {}).get(CONFIG_LABEL, ""),
            running=bool(state["Running"]) and not state.get("Restarting", False),
            pid=int(state["Pid"]),
            paused=bool(state.get("Paused", False)),
        )

    def answers(self) -> bool:
        """Whether the edge answers its own ping."""
        return self._ask(urlsplit(self.ping_url).path or "/")[0] == 200

    def mark(self) -> str:
        """The mark of what the running edge has taken over of its dynamic files; '' when it tells none."""
        return self._ask(MARK_PATH)[1]

    def _ask(self, path: str) -> tuple[int, str]:
        """Status and mark of an answer by the way that the edge has for the host alone; 0 for no answer."""
        # Without urllib, which would ask a proxy that the host's environment names.
        url = urlsplit(self.ping_url)
        connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 80, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader(MARK_HEADER) or ""
        except (http.client.HTTPException, OSError):
            return 0, ""
        finally:
            connection.close()

    def yields(self, ports: Sequence[int], project: str) -> bool:
        """Whether the Compose ``project``, and nobody else, has one of ``ports``; '' never has."""
        return project != "" and any(_only(self._publishers(port), project) for port in ports)

    # What is refused

    def require_docker(self) -> None:
        """Raise where the engine is missing."""
        if shutil.which("docker") is None:
            raise DavitError("There is no Docker on this host; run the role davit.ec2.docker_engine first.")

    def refuse_broken_routes(self) -> None:
        """Raise when a route file could not be loaded: it would take down every app at the next start.

        The edge's own is about to be replaced.
        """
        routes = self.directory / "dynamic"
        broken = broken_routes(edge.route_texts(routes, EDGE_FILE))
        if broken:
            listed = "; ".join(f"{routes / name}: {reason}" for name, reason in sorted(broken.items()))
            raise DavitError(
                f"The edge is left as it is, since with a broken route file it would serve no app at all. {listed}."
                " Deploy that app again, or remove the file."
            )

    def refuse_foreign_ports(self, ports: Sequence[int], yields_to: str = "") -> None:
        """Raise when another program listens on one of ``ports``, with its name; the Compose project ``yields_to`` may,
        since a deploy is about to take its place."""
        code, out, err = self.run(["ss", "-Hltnp"])
        if code != 0:
            raise DavitError(f"Cannot tell who listens on this host: ss -Hltnp says '{err.strip()}'.")
        others = foreign(listeners(out, ports), self.container())
        # Without Docker's userland proxy a published port has no listener.
        silent = [Listener(port, "", 0) for port in sorted(set(ports) - {each.port for each in others})]
        sentences = []
        for each in [*others, *silent]:
            published = self._publishers(each.port)
            if (published or each in others) and not _only(published, yields_to):
                sentences.append(describe(each, self._unit(each.pid), published))
        if sentences:
            raise DavitError(f"The edge needs the ports {', '.join(map(str, ports))}. {' '.join(sentences)}")

    # What is changed

    def make_directories(self) -> None:
        """The edge's directories, for root alone; the container's root is the host's."""
        if not self.directory.parent.exists():
            self.directory.parent.mkdir(mode=0o700, parents=True)
        for name in DIRECTORIES:
            path = self.directory / name
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)
        with contextlib.suppress(FileNotFoundError):
            # With keys in it; the edge leaves ACME out altogether when others may read it.
            (self.directory / "acme/acme.json").chmod(0o600)

    def write(self, files: Mapping[str, str], mode: int = 0o644) -> None:
        """Replace files of the edge, each in one rename from the stage, so that nobody reads half of one."""
        for name, text in files.items():
            staged = self.directory / "stage" / Path(name).name
            with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            staged.chmod(mode)
            staged.rename(self.directory / name)

    def write_certificates(self, certificates: Sequence[Certificate]) -> None:
        """Lay certificates and keys down, for root alone; they are served once the dynamic file names them.

        Those of the time before stay until the next change, since the edge may be reading them.
        """
        wanted = {each.name for each in certificates}
        former = self.read(EDGE_PATH) or ""
        for path in (self.directory / "certs").iterdir():
            if path.stem not in wanted and path.name not in former:
                path.unlink()
        for each in certificates:
            self.write({f"certs/{each.name}.crt": each.chain, f"certs/{each.name}.key": each.key}, mode=0o600)

    def reload(self, files: Mapping[str, str], mark: str, timeout: int) -> None:
        """Write ``files``, and wait until the running edge has taken them over; it serves all the while.

        Raises DavitError after putting the former files back when it does not.
        """
        former = self._replace(files)
        end = time.monotonic() + timeout
        while self.mark() != mark:
            if time.monotonic() > end:
                said = self._logs()
                self._restore(former)
                raise DavitError(
                    f"The running edge did not take over {self.directory / EDGE_PATH} within {timeout} s, so the former"
                    f" one is back. It said: {said}"
                )
            time.sleep(POLL_SECONDS)

    def apply(self, files: Mapping[str, str], image: str, made_of: tuple[str, str], port: int, timeout: int) -> float:
        """Write ``files``, start or recreate the edge, and wait until it answers; the gap in seconds.

        ``made_of`` is the configuration of the container that must answer, and the mark that it must answer with.
        Raises DavitError after putting the former configuration back when the edge does not come up.
        """
        self.have_image(image)  # before, so that the download is no part of the gap
        self._unpause()
        former = self._replace(files)
        with _watch(port) as samples:
            trouble = self._up(*made_of, timeout)
        if trouble is None:
            return round(longest_gap(samples), 3)
        if former["traefik.yml"] is None:
            raise DavitError(f"The edge did not start: {trouble}")
        self._restore(former)
        again = self._up(None, None, timeout)
        outcome = "The former one runs again" if again is None else f"The former one does not start either: {again}"
        raise DavitError(f"The edge did not start with the new configuration: {trouble}. {outcome}.")

    def _replace(self, files: Mapping[str, str]) -> dict[str, str | None]:
        """Write ``files``; what was there before, None for nothing."""
        former = {name: self.read(name) for name in files}
        self.write(files)
        return former

    def _restore(self, former: Mapping[str, str | None]) -> None:
        self.write({name: text for name, text in former.items() if text is not None})
        for name in (name for name, text in former.items() if text is None):
            (self.directory / name).unlink()

    def has_image(self, image: str) -> bool:
        """Whether the image is on the host."""
        return self.run(["docker", "image", "inspect", "--format", "{{.Id}}", image])[0] == 0

    def have_image(self, image: str) -> None:
        """Pull the image unless it is on the host."""
        if not self.has_image(image):
            self._docker("pull", "--quiet", image)

    def _unpause(self) -> None:
        container = self.container()
        if container is not None and container.paused:  # Compose cannot replace it
            self._docker("unpause", container.id)

    def _up(self, config: str | None, mark: str | None, timeout: int) -> str | None:
        """Make a new container as the files say and wait for its ping; what went wrong, or None.

        ``config`` is the configuration that must answer, and ``mark`` its dynamic one (None: any). A starting edge
        answers its ping before it has read any route.
        """
        # Forced: a container that is to be replaced may be stuck with the very configuration that is wanted.
        code, out, err = self.run(
            [*self._compose, "up", "--detach", "--force-recreate", "--remove-orphans", "--pull", "never"]
        )
        if code != 0:
            return (err or out).strip()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.answers() and (mark is None or self.mark() == mark):
                container = self.container()
                if container is not None and container.running and config in (None, container.config):
                    return None
            time.sleep(POLL_SECONDS)
        what = "it did not load its routes" if self.answers() else f"no answer from {self.ping_url}"
        return f"{what} within {timeout} s. It said: {self._logs()}"

    @property
    def _compose(self) -> list[str]:
        return ["docker", "compose", "--ansi", "never", "--file", str(self.directory / "compose.yaml")]

    def _logs(self) -> str:
        _code, out, err = self.run([*self._compose, "logs", "--no-color", "--no-log-prefix", "--tail", "40"])
        return last_words(out + err)

    def _docker(self, *arguments: str) -> str:
        code, out, err = self.run(["docker", *arguments])
        if code != 0:
            raise DavitError(f"'docker {' '.join(arguments)}' failed: {(err or out).strip()}")
        return out

    def _unit(self, pid: int) -> str:
        try:
            return unit_of(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
        except OSError:
            return ""

    def _publishers(self, port: int) -> dict[str, str]:
        """Container to Compose project, '' for none."""
        if shutil.which("docker") is None:
            return {}
        told = '{{.Names}} {{.Label "com.docker.compose.project"}}'
        lines = self._docker("ps", "--filter", f"publish={port}", "--format", told).splitlines()
        return {name: project.strip() for name, _, project in (line.partition(" ") for line in lines if line)}


def _only(published: Mapping[str, str], project: str) -> bool:
    """Whether containers of the Compose ``project`` publish a port, and no others."""
    return project != "" and set(published.values()) == {project}


@contextmanager
def _watch(port: int) -> Iterator[list[tuple[float, bool]]]:
    """Connect to ``port`` all the time while the block runs; (when, accepted) in order of time."""
    samples: list[tuple[float, bool]] = []
    done = threading.Event()

    def probe() -> None:
        while not done.wait(POLL_SECONDS):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                accepted = True
            except OSError:
                accepted = False
            samples.append((time.monotonic(), accepted))

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
