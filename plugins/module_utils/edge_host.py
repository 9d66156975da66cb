# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The edge's files, container and ports on the host it runs on."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import (
    CONFIG_LABEL,
    PROJECT,
    TLS_FILE,
    Certificate,
    Container,
    Listener,
    describe,
    foreign,
    last_words,
    listeners,
    longest_gap,
    render,
    tls_document,
    unit_of,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.routes import broken_routes

Run = Callable[[list[str]], "tuple[int, str, str]"]

DIRECTORIES = ("", "stage", "dynamic", "certs", "acme")
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
        # Without urllib, which would ask a proxy that the host's environment names.
        url = urlsplit(self.ping_url)
        connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 80, timeout=2)
        try:
            connection.request("GET", url.path or "/")
            return connection.getresponse().status == 200
        except (http.client.HTTPException, OSError):
            return False
        finally:
            connection.close()

    # What is refused

    def require_docker(self) -> None:
        """Raise where the engine is missing."""
        if shutil.which("docker") is None:
            raise DavitError("There is no Docker on this host; run the role davit.ec2.docker_engine first.")

    def refuse_broken_routes(self) -> None:
        """Raise when a route file could not be loaded: it would take down every app at the next start."""
        routes = self.directory / "dynamic"
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(routes.glob("*.y*ml"))}
        broken = broken_routes(texts)
        if broken:
            listed = "; ".join(f"{routes / name}: {reason}" for name, reason in sorted(broken.items()))
            raise DavitError(
                f"The edge is left as it is, since with a broken route file it would serve no app at all. {listed}."
                " Deploy that app again, or remove the file."
            )

    def refuse_foreign_ports(self, ports: Sequence[int]) -> None:
        """Raise when another program listens on one of ``ports``, with its name."""
        code, out, err = self.run(["ss", "-Hltnp"])
        if code != 0:
            raise DavitError(f"Cannot tell who listens on this host: ss -Hltnp says '{err.strip()}'.")
        others = foreign(listeners(out, ports), self.container())
        sentences = [describe(each, self._unit(each.pid), self._publishers(each.port)) for each in others]
        for port in sorted(set(ports) - {each.port for each in others}):
            # Without Docker's userland proxy a published port has no listener.
            names = self._publishers(port)
            if names:
                sentences.append(describe(Listener(port, "", 0), "", names))
        if sentences:
            raise DavitError(f"The edge needs the ports {', '.join(map(str, ports))}. {' '.join(sentences)}")

    def check_certificates(self, certificates: Sequence[Certificate]) -> None:
        """Raise when a key does not belong to its certificate, or one of them cannot be read."""
        for number, certificate in enumerate(certificates, start=1):
            with tempfile.TemporaryDirectory() as scratch:
                chain, key = Path(scratch, "chain"), Path(scratch, "key")
                chain.write_text(certificate.chain, encoding="utf-8")
                key.write_text(certificate.key, encoding="utf-8")
                try:
                    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
                except (ssl.SSLError, ValueError) as error:
                    raise DavitError(
                        f"Certificate {number} and its key are not a usable pair of PEM files ({error})."
                        " Give the chain, leaf first, and its key without a passphrase."
                    ) from error

    # What is changed

    def make_directories(self) -> None:
        """The edge's directories, for root alone; the container's root is the host's."""
        if not self.directory.parent.exists():
            self.directory.parent.mkdir(mode=0o700, parents=True)
        for name in DIRECTORIES:
            path = self.directory / name
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)

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

    def tls_differs(self, certificates: Sequence[Certificate]) -> bool:
        """Whether the certificates that the edge reads are others than these."""
        wanted = render(tls_document(certificates)) if certificates else None
        return self.read(f"dynamic/{TLS_FILE}") != wanted

    def write_certificates(self, certificates: Sequence[Certificate]) -> None:
        """Hand certificates over; a running edge takes them without a restart.

        Those of the time before stay until the next change, since the edge may be reading them.
        """
        if not self.tls_differs(certificates):
            return
        wanted = {each.name for each in certificates}
        former = self.read(f"dynamic/{TLS_FILE}") or ""
        for path in (self.directory / "certs").iterdir():
            if path.stem not in wanted and path.name not in former:
                path.unlink()
        for each in certificates:
            self.write({f"certs/{each.name}.crt": each.chain, f"certs/{each.name}.key": each.key}, mode=0o600)
        if certificates:
            self.write({f"dynamic/{TLS_FILE}": render(tls_document(certificates))})
        else:
            (self.directory / "dynamic" / TLS_FILE).unlink()

    def apply(self, files: Mapping[str, str], image: str, config: str, port: int, timeout: int) -> float:
        """Write ``files``, start or recreate the edge, and wait until it answers; the gap in seconds.

        Raises DavitError after putting the former configuration back when the edge does not come up.
        """
        self._have_image(image)  # before, so that the download is no part of the gap
        self._unpause()
        former = {name: text for name in files if (text := self.read(name)) is not None}
        self.write(files)
        with _watch(port) as samples:
            trouble = self._up(config, timeout)
        if trouble is None:
            return round(longest_gap(samples), 3)
        if set(former) != set(files):
            raise DavitError(f"The edge did not start: {trouble}")
        self.write(former)
        again = self._up(None, timeout)
        outcome = "The former one runs again" if again is None else f"The former one does not start either: {again}"
        raise DavitError(f"The edge did not start with the new configuration: {trouble}. {outcome}.")

    def _have_image(self, image: str) -> None:
        code, _out, _err = self.run(["docker", "image", "inspect", "--format", "{{.Id}}", image])
        if code != 0:
            self._docker("pull", "--quiet", image)

    def _unpause(self) -> None:
        container = self.container()
        if container is not None and container.paused:  # Compose cannot replace it
            self._docker("unpause", container.id)

    def _up(self, config: str | None, timeout: int) -> str | None:
        """Make a new container as the files say and wait for its ping; what went wrong, or None.

        ``config`` is the configuration that must answer (None: any).
        """
        compose = ["docker", "compose", "--ansi", "never", "--file", str(self.directory / "compose.yaml")]
        # Forced: a container that is to be replaced may be stuck with the very configuration that is wanted.
        code, out, err = self.run(
            [*compose, "up", "--detach", "--force-recreate", "--remove-orphans", "--pull", "never"]
        )
        if code != 0:
            return (err or out).strip()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.answers():
                container = self.container()
                if container is not None and container.running and config in (None, container.config):
                    return None
            time.sleep(POLL_SECONDS)
        _code, out, err = self.run([*compose, "logs", "--no-color", "--no-log-prefix", "--tail", "40"])
        return f"no answer from {self.ping_url} within {timeout} s. It said: {last_words(out + err)}"

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

    def _publishers(self, port: int) -> list[str]:
        if shutil.which("docker") is None:
            return []
        return self._docker("ps", "--filter", f"publish={port}", "--format", "{{.Names}}").split()


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
