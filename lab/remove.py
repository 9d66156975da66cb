"""Removes from Docker whatever the lab made, found by its label: after a crash as well.

Run as `python -m lab.remove`; prints a JSON object with what was removed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound

LABELLED = {"label": "davit.lab=true"}
BASE = {"label": "davit.lab.base=true"}


def _containers(client: Any) -> Iterator[str]:
    # AWS first: it would start its hosts again.
    found = client.containers.list(all=True, filters=LABELLED)
    for container in sorted(found, key=lambda c: c.name != "davit-lab-aws"):
        try:
            _remove(container)
        except NotFound:
            continue
        yield f"container {container.name}"


def _remove(container: Any) -> None:
    """Remove a container, or wait until whoever is at it, as AWS at a terminated host, has done so."""
    try:
        container.remove(force=True, v=True)
    except APIError as error:
        if "already in progress" not in str(error.explanation):
            raise
        container.wait(condition="removed", timeout=60)


def _volumes(client: Any) -> Iterator[str]:
    for volume in client.volumes.list(filters=LABELLED):
        volume.remove(force=True)
        yield f"volume {volume.name}"


def _networks(client: Any) -> Iterator[str]:
    for network in client.networks.list(filters=LABELLED):
        network.reload()
        for endpoint in (network.attrs.get("Containers") or {}).values():
            network.disconnect(endpoint["Name"], force=True)
        network.remove()
        yield f"network {network.name}"


def _images(client: Any) -> Iterator[str]:
    for wanted in (LABELLED, BASE):
        for image in client.images.list(filters=wanted):
            for name in image.tags or [image.id]:
                # Images that others build on the lab's base carry its label on; they are theirs.
                if wanted is BASE and not name.startswith("debian:"):
                    continue
                try:
                    client.images.remove(name, force=True)
                except ImageNotFound:
                    continue
                except APIError as error:
                    print(f"davit: {name} stays: {error.explanation}", file=sys.stderr)
                    continue
                yield f"image {name}"


def main() -> None:
    """Containers before what they use."""
    client = docker.from_env(timeout=120)
    removed = [what for step in (_containers, _volumes, _networks, _images) for what in step(client)]
    print(json.dumps({"removed": removed}))


if __name__ == "__main__":
    main()
