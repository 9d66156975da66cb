"""What the engine is asked, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import engine_api
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine


def container(name: str, **mount: Any) -> dict[str, Any]:
    return {
        "Id": name,
        "State": "running",
        "Names": [f"/{name}"],
        "Labels": {"com.docker.compose.project": name},
        "Mounts": [{"RW": True, **mount}],
    }


class Socket:
    """The engine's answers: a list as it was written down, and what each container's own record says."""

    def __init__(self, listed: list[dict[str, Any]], stopped: Sequence[str] = (), gone: Sequence[str] = ()) -> None:
        self.listed, self.stopped, self.gone = listed, stopped, gone
        self.graces: dict[str, int] = {}

    def __call__(self, _method: str, path: str, *_: Any, **__: Any) -> tuple[int, Any]:
        if path == "/containers/json":
            return 200, self.listed
        name = path.split("/")[2]
        record = {"State": {"Running": name not in self.stopped}, "Config": {"StopTimeout": self.graces.get(name)}}
        return (404, {}) if name in self.gone else (200, record)


@pytest.mark.parametrize(
    ("status", "directory"),
    [
        (None, "/mnt/docker"),
        ([["Backing Filesystem", "extfs"]], "/mnt/docker"),
        ([["driver-type", "io.containerd.snapshotter.v1"]], "/var/lib/containerd"),
    ],
)
def test_where_images_are_kept(monkeypatch: pytest.MonkeyPatch, status: Any, directory: str) -> None:
    told = {"DockerRootDir": "/mnt/docker", "DriverStatus": status}
    monkeypatch.setattr(engine_api, "call", lambda *_, **__: (200, told))
    assert Engine().image_directory() == directory
    assert Engine().root_directory() == "/mnt/docker"


@pytest.mark.parametrize(
    ("data", "found"),
    [("shop_data", ["by-name"]), ("/srv/db", ["by-path"]), ("/var/lib/mysql", [])],
)
def test_the_users_of_data_are_those_that_can_write_it(
    data: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own filter goes by the path inside of the container as well."""
    listed = [
        container("by-name", Type="volume", Name="shop_data", Source="/var/lib/docker/volumes/shop_data/_data"),
        container("by-path", Type="bind", Source="/srv/db", Destination="/var/lib/mysql"),
        container("reader", Type="volume", Name="shop_data", Source="/x", RW=False),
        container("backup", Type="bind", Source="/srv/db", RW=False),
    ]
    monkeypatch.setattr(engine_api, "call", Socket(listed))
    assert list(Engine().users(data)) == found


def test_what_has_just_stopped_does_not_run_though_it_is_still_listed_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine answers a stop before it has noted it for its lists."""
    mount = {"Type": "volume", "Name": "shop_data"}
    listed = [container(name, **mount) for name in ("runs", "stopped", "gone")]
    listed.append({**container("ended", **mount), "State": "exited"})
    monkeypatch.setattr(engine_api, "call", Socket(listed, stopped=["stopped"], gone=["gone"]))
    assert list(Engine().users("shop_data")) == ["runs"]
    assert list(Engine().publishers(80)) == ["runs"]
    assert Engine().projects("shop") == {"runs": True, "stopped": False, "gone": False, "ended": False}


@pytest.mark.parametrize(
    ("graces", "patience", "timeout"),
    [({}, 60, 60), ({}, 5, 20), ({"a": 300}, 60, 310), ({"a": 0, "b": 90}, 60, 100), ({"a": 0, "b": 0}, 30, 30)],
)
def test_a_stop_is_waited_for_as_long_as_the_engine_takes(
    graces: dict[str, int], patience: float, timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that gave up earlier would leave a container that ends when it is thought to run."""
    socket = Socket([], gone=["gone"])
    socket.graces = graces
    waited = list[float]()
    monkeypatch.setattr(engine_api, "call", socket)
    monkeypatch.setattr(Engine, "docker", lambda *_, timeout: waited.append(timeout))
    Engine().stop(["a", "b", "gone"], patience)
    Engine().stop([], patience)
    assert waited == [timeout]
