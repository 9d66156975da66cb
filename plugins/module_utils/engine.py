# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The Docker engine of the host: one question or command per function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils import engine_api
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError, GiveUp, run
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Container

DEFAULT_GRACE = 10.0
"""Seconds that the engine gives a container to stop which does not say."""
_CONTAINERD = "/var/lib/containerd"
STOP_MARGIN = 10.0
"""Seconds between the end of a grace period and giving up on a stop."""
_NO_COMPOSE = re.compile("is not a docker command|unknown (shorthand )?flag.*--project-directory")
_UNSET = re.compile(r'The \\?"(?P<name>[^"\\]+)\\?" variable is not set')


class Engine:
    """Commands to the engine; ``docker_config`` is the directory with the registry's login."""

    def __init__(self, docker_config: str | None = None) -> None:
        self._environment = {"DOCKER_CONFIG": docker_config or "/nonexistent", "HOME": "/nonexistent"}

    def docker(self, *argv: str, timeout: float = 120.0, hopeless: GiveUp | None = None) -> str:
        return run(["docker", *argv], environment=self._environment, timeout=timeout, hopeless=hopeless).stdout

    def compose(self, file: Path | str, *argv: str, timeout: float = 300.0, hopeless: GiveUp | None = None) -> str:
        return self.docker("compose", "--file", str(file), *argv, timeout=timeout, hopeless=hopeless)

    def config(
        self,
        files_dir: Path,
        file: str,
        variables: Mapping[str, str],
        profiles: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The canonical model of a Compose file.

        Variables come from ``variables`` and the project's ``.env`` alone. Raises DavitError for a
        file that Compose cannot read and for a variable that has neither value nor default.
        """
        argv = ["docker", "compose", "--project-directory", str(files_dir), "--project-name", "davit"]
        argv += ["--file", str(files_dir / file)]
        for profile in profiles:
            argv += ["--profile", profile]
        try:
            done = run(
                [*argv, "config", "--format", "json"],
                environment={**self._environment, **variables},
                timeout=60,
            )
        except CommandError as error:
            # What the Docker client says of a plugin that it does not have.
            if _NO_COMPOSE.search(error.stderr):
                raise DavitError("Compose v2 is not installed on this host. Run playbooks/configure.yml.") from error
            raise DavitError(f"Compose cannot read {file}: {error.stderr.strip() or error}") from error
        unset = sorted(set(_UNSET.findall(done.stderr)))
        if unset:
            raise DavitError(
                f"{file} uses {', '.join(unset)}, which has no value. Set it in"
                " compose_release_environment or compose_release_secrets, or give it a default in the"
                " file: ${NAME:-default}."
            )
        model: dict[str, Any] = json.loads(done.stdout)
        return model

    def pull(self, reference: str, timeout: float) -> None:
        self.docker("pull", "--quiet", reference, timeout=timeout)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """What the engine's API answers; None for what is not there. Raises DavitError."""
        status, answer = engine_api.call(method, path, body, **more)
        if status == 404:
            return None
        if status >= 400:
            raise DavitError(f"The Docker engine refused {method} {path}: {answer.get('message', status)}")
        return answer

    def root_directory(self) -> str:
        """Where the engine keeps its volumes, and its images unless containerd does."""
        return str(self._ask("GET", "/info")["DockerRootDir"])

    def image_directory(self) -> str:
        """Where images are kept: from engine 29 on by containerd, on hosts that are new."""
        told = self._ask("GET", "/info")
        by_containerd = ["driver-type", "io.containerd.snapshotter.v1"] in (told.get("DriverStatus") or [])
        return _CONTAINERD if by_containerd else str(told["DockerRootDir"])

    def has_image(self, reference: str) -> bool:
        return self._ask("GET", f"/images/{reference}/json") is not None

    def size_mb(self, references: Iterable[str]) -> int:
        """MiB of those of the images that are here; layers that they share count for each."""
        found = (self._ask("GET", f"/images/{reference}/json") for reference in references)
        return sum(int(image["Size"]) for image in found if image) >> 20

    def containers(self, project: str) -> list[Container]:
        """The containers of a Compose project, running or not."""
        wanted = {"label": [f"com.docker.compose.project={project}"]}
        listed = self._ask("GET", "/containers/json", query={"all": "1", "filters": wanted})
        oneoff = "com.docker.compose.oneoff"
        own = [c["Id"] for c in listed if (c.get("Labels") or {}).get(oneoff) != "True"]
        # One that went between the two questions is no longer there.
        records = (self._ask("GET", f"/containers/{identity}/json") for identity in own)
        return [Container.from_inspect(record) for record in records if record]

    def stack(self, project: str) -> list[dict[str, Any]]:
        """What the engine knows of each container of a Compose project, whoever made it."""
        wanted = {"label": [f"com.docker.compose.project={project}"]}
        listed = self._ask("GET", "/containers/json", query={"all": "1", "filters": wanted})
        records = (self._ask("GET", f"/containers/{container['Id']}/json") for container in listed)
        return [record for record in records if record]

    def stack_volumes(self, project: str) -> dict[str, str]:
        """Key in the Compose file to the engine's name, for each volume that Compose made for ``project``."""
        wanted = {"label": [f"com.docker.compose.project={project}"]}
        listed = self._ask("GET", "/volumes", query={"filters": wanted})["Volumes"] or []
        labels = ((volume["Labels"] or {}, str(volume["Name"])) for volume in listed)
        return {own["com.docker.compose.volume"]: name for own, name in labels if "com.docker.compose.volume" in own}

    def publishers(self, port: int) -> dict[str, Mapping[str, str]]:
        """Name to labels of the running containers that publish ``port`` of the host."""
        return self._running(publish=str(port))

    def users(self, data: str) -> dict[str, Mapping[str, str]]:
        """Name to labels of the running containers that can write ``data``, a volume or a path of the host."""

        # The engine's filter also finds those that mount something else at a path of that name.
        def writes(container: Mapping[str, Any]) -> bool:
            return any(m.get("RW") and data in (m.get("Name"), m.get("Source")) for m in container["Mounts"])

        return self._running(writes, volume=data)

    def _running(
        self, chosen: Callable[[Mapping[str, Any]], bool] = lambda _: True, **wanted: str
    ) -> dict[str, Mapping[str, str]]:
        filters = {key: [value] for key, value in wanted.items()}
        listed = self._ask("GET", "/containers/json", query={"filters": filters})
        own = [container for container in listed if chosen(container) and self._runs(container)]
        return {name.lstrip("/"): container.get("Labels") or {} for container in own for name in container["Names"]}

    def _runs(self, listed: Mapping[str, Any]) -> bool:
        """Whether a container of a list still runs. The engine lists what it last wrote down: one whose stop has
        just returned may stand there as running for a moment, and only its own record says that it is not."""
        if listed["State"] not in ("running", "restarting", "paused"):
            return False
        record = self._ask("GET", f"/containers/{listed['Id']}/json")
        return bool(record) and bool(record["State"]["Running"])

    def repo_digests(self, image: str) -> list[str]:
        """The names with digest that an image was pulled by."""
        found = self._ask("GET", f"/images/{image}/json")
        return list(found.get("RepoDigests") or []) if found else []

    def logs(self, container: str, lines: int) -> list[str]:
        """The last ``lines`` lines that a container wrote, to either stream."""
        try:
            done = run(["docker", "logs", "--tail", str(lines), container], environment=self._environment)
        except CommandError as error:
            return [f"(its log cannot be read: {error})"]
        return (done.stdout + done.stderr).splitlines()[-lines:]

    def restart_policy(self, ids: Sequence[str], policy: str, retries: int = 0) -> None:
        """``retries`` goes with the policy on-failure alone."""
        wanted = {"Name": policy, "MaximumRetryCount": retries}
        for identity in ids:
            self._ask("POST", f"/containers/{identity}/update", {"RestartPolicy": wanted})

    def start(self, ids: Sequence[str], timeout: float) -> None:
        if ids:
            self.docker("start", *ids, timeout=timeout)

    def stop(self, ids: Sequence[str], timeout: float) -> None:
        """Stop containers, each with the grace period that its Compose file gives it; returns once they are down.

        ``timeout`` is for what ends at once: a client that gave up earlier than the engine would leave a container that
        still runs, cannot be started, and ends for good a moment later.
        """
        records = (self._ask("GET", f"/containers/{identity}/json") for identity in ids)
        graces = [(record["Config"] or {}).get("StopTimeout") for record in records if record]
        if ids:
            longest = max([DEFAULT_GRACE, *(grace for grace in graces if grace is not None)])
            self.docker("stop", *ids, timeout=max(timeout, longest + STOP_MARGIN))

    def remove_project(self, project: str) -> None:
        """Remove all that Compose made for ``project``: containers, networks, and volumes that are not
        external. Found by label, so that it works also when the project's file is gone or damaged."""
        own = ("--quiet", "--filter", f"label=com.docker.compose.project={project}")
        found = self.docker("ps", "--all", "--no-trunc", *own).split()
        if found:
            self.docker("rm", "--force", "--volumes", *found)
        for kind in ("network", "volume"):
            left = self.docker(kind, "ls", *own).split()
            if left:
                self.docker(kind, "rm", *left)

    def projects(self, app: str) -> dict[str, bool]:
        """The Compose projects of an app's releases, and whether anything of each runs."""
        listed = self._ask("GET", "/containers/json", query={"all": "1", "filters": {"label": [f"davit.app={app}"]}})
        found: dict[str, bool] = {}
        for container in listed:
            project = container["Labels"]["com.docker.compose.project"]
            found[project] = found.get(project, False) or self._runs(container)
        return found

    def connect(self, network: str, ids: Iterable[str]) -> None:
        """Join containers to a network. Done by hand, since Compose would add the service name as
        an alias there, and then the names of two releases would meet."""
        for container in ids:
            try:
                self.docker("network", "connect", network, container)
            except CommandError as error:
                if "already exists in network" not in error.stderr:
                    raise

    def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        if not self._exists("network", name):
            self.docker("network", "create", *_labels(labels), name)

    def has_volume(self, name: str) -> bool:
        return self._exists("volume", name)

    def ensure_volume(self, name: str, settings: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        if self._exists("volume", name):
            return
        driver = str(settings.get("driver") or "local")
        # Over the socket, since options may hold a password, and arguments of a process are there for all to see.
        wanted = {"Name": name, "Driver": driver, "DriverOpts": _options(settings), "Labels": dict(labels)}
        if self._ask("POST", "/volumes/create", wanted, timeout=120.0) is None:
            raise DavitError(f"The volume {name} cannot be made: the Docker engine knows no driver '{driver}'.")

    def _exists(self, kind: str, name: str) -> bool:
        try:
            self.docker(kind, "inspect", name)
        except CommandError as error:
            if "no such" in error.stderr.lower() or "not found" in error.stderr.lower():
                return False
            raise
        return True

    def remove_image(self, reference: str) -> None:
        try:
            self.docker("image", "rm", reference)
        except CommandError as error:
            if "no such image" not in error.stderr.lower():
                raise


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]


def _options(settings: Mapping[str, Any]) -> dict[str, str]:
    """The options for a volume's driver, with each ``$`` that Compose has doubled as it was meant."""
    return {str(key): str(value).replace("$$", "$") for key, value in (settings.get("driver_opts") or {}).items()}
