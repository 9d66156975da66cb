# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Where everything of an app lies on a host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils import apps
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

RELEASE_ID = re.compile(r"(?P<date>\d{8}-\d{6})-(?P<hash>[0-9a-f]{7})-(?P<sequence>\d+)")

DEFAULT_ROOT = "/opt/davit"


@dataclass(frozen=True)
class AppLayout:
    """Paths of one app below ``root``. Nothing here touches the disk.

    Raises DavitError for an app name that could not be a directory, a Compose project and a
    Traefik router at once.
    """

    app: str
    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        if not apps.NAME.fullmatch(self.app):
            raise DavitError(
                f"'{self.app}' cannot be the name of an app: it must match {apps.NAME.pattern}"
                " (it becomes a directory, a Compose project and a route)."
            )

    @property
    def home(self) -> Path:
        return Path(self.root) / "apps" / self.app

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    def release(self, release_id: str) -> Path:
        """The directory of one release. Raises DavitError unless the id is well formed."""
        if not RELEASE_ID.fullmatch(release_id):
            raise DavitError(
                f"'{release_id}' is not a release id (like 20260131-120000-0a1b2c3-12);"
                " playbooks/status.yml lists those that are kept."
            )
        return self.releases / release_id

    @property
    def live(self) -> Path:
        return self.home / "live"

    @property
    def last_good(self) -> Path:
        return self.home / "last_good"

    @property
    def journal(self) -> Path:
        """Known by this name to `apps.py` as well."""
        return self.home / "deploy.json"

    @property
    def history(self) -> Path:
        return self.home / "history.jsonl"

    @property
    def content_key(self) -> Path:
        """What the content hashes of this app are keyed with."""
        return self.home / "content.key"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def tidy_lock(self) -> Path:
        """Held by the clean-up, and by a rollback, which may want what is being stopped."""
        return self.home / "tidy.lock"

    @property
    def abort(self) -> Path:
        """A person's wish to stop the deploy that is under way."""
        return self.home / "abort.json"

    @property
    def probe(self) -> Path:
        """Where the load probe of the deploy under way writes what it saw."""
        return Path("/run/davit/probe") / f"{self.app}.json"

    @property
    def metrics(self) -> Path:
        """The state of its deploys, for node_exporter."""
        return Path(self.root) / "public" / "metrics" / f"davit_{self.app}.prom"

    @property
    def targets(self) -> Path:
        """Where its releases tell their metrics, for Prometheus."""
        return Path(self.root) / "public" / "targets" / f"{self.app}.json"

    @property
    def names(self) -> Path:
        """The host names of its routes, for Prometheus."""
        return Path(self.root) / "public" / "names" / f"{self.app}.json"

    @property
    def agent(self) -> Path:
        """The program that the host's own timer runs, for all apps."""
        return Path(self.root) / "lib" / "davit.pyz"

    @property
    def program(self) -> Path:
        """The same program as this app's deploy has brought it: that of another app may bring another version."""
        return self.home / "davit.pyz"

    @property
    def stateful_file(self) -> Path:
        return self.home / "stateful.yaml"

    @property
    def stateful_before(self) -> Path:
        """The file before a change that has not been seen healthy yet."""
        return self.home / "stateful.before.yaml"

    @property
    def stateful_files(self) -> Path:
        """What the stateful services mount of the project, in a folder for each state of it."""
        return self.home / "stateful"

    @property
    def adoption(self) -> Path:
        """What was taken over from a stack of before, and how to give it back while that is not final."""
        return self.home / "adoption.json"

    @property
    def stage(self) -> Path:
        """Where a deploy in preparation lies: memory-backed, since it holds secrets.

        In a folder of its own, so that no app's name can be that of what else lies in /run/davit.
        """
        return Path("/run/davit/stage") / self.app

    @property
    def edge(self) -> Path:
        return Path(self.root) / "edge"

    @property
    def edge_static(self) -> Path:
        """The edge's own configuration, which a deploy only reads."""
        return self.edge / "traefik.yml"

    @property
    def routes(self) -> Path:
        return self.edge / "dynamic"

    @property
    def route(self) -> Path:
        return self.routes / f"{self.app}.yml"

    @property
    def route_stage(self) -> Path:
        return self.edge / "stage"

    @property
    def way_back(self) -> Path:
        """The route with which the release of before serves, written before the switch away from it."""
        return self.route_stage / f"{self.app}.back"

    @property
    def reserve(self) -> Path:
        """Room on the disk for a way back on a full one."""
        return Path(self.root) / "reserve"

    @property
    def ports_lock(self) -> Path:
        """Held while ports are given out, which all apps of a host share."""
        return Path(self.root) / "ports.lock"

    @property
    def stateful_project(self) -> str:
        return f"{self.app}-stateful"

    @property
    def stateful_network(self) -> str:
        return f"{self.app}-stateful"


def apps_of(root: str) -> list[AppLayout]:
    """The apps that a host has, by name."""
    return [AppLayout(home.name, root) for home in apps.homes(root)]
