"""What a changed daemon.json asks of a running engine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.daemon_config import in_use, plan, refuse_hiding, render
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError


@pytest.mark.parametrize(
    ("current", "wanted", "differing", "action"),
    [
        ({}, {}, (), "none"),
        ({"live-restore": True}, {"live-restore": True}, (), "none"),
        ({"live-restore": False}, {"live-restore": True}, ("live-restore",), "reload"),
        ({}, {"registry-mirrors": ["https://m"]}, ("registry-mirrors",), "reload"),
        ({"registry-mirrors": ["https://m"]}, {}, ("registry-mirrors",), "reload"),
        ({}, {"log-opts": {"max-size": "1m"}}, ("log-opts",), "restart"),
        ({"bip": "10.1.0.1/24"}, {}, ("bip",), "restart"),
        ({"debug": True, "bip": "10.1.0.1/24"}, {"debug": False}, ("bip", "debug"), "restart"),
        # A setting that is null is not the same as one that is missing.
        ({}, {"data-root": None}, ("data-root",), "restart"),
    ],
)
def test_the_smallest_step_that_is_enough(
    current: dict[str, Any], wanted: dict[str, Any], differing: tuple[str, ...], action: str
) -> None:
    planned = plan(render(current), wanted)
    assert (planned.differing, planned.action) == (differing, action)


@pytest.mark.parametrize("current", [None, "", "{broken", "[1]", '"text"'])
def test_a_file_that_started_no_engine_counts_as_empty(current: str | None) -> None:
    assert plan(current, {"bip": "10.1.0.1/24"}).action == "restart"


def test_what_the_running_engine_has_read_is_what_counts() -> None:
    """A run that died after the write left the file as it is wanted; one that takes it back has nothing to do."""
    written, taken = render({"bip": "10.2.0.1/24"}), render({"bip": "10.1.0.1/24"})
    assert plan(written, {"bip": "10.2.0.1/24"}, taken).action == "restart"
    assert plan(written, {"bip": "10.1.0.1/24"}, taken).action == "none"
    assert plan(written, {"bip": "10.2.0.1/24"}, "").differing == ("bip",)


BY_CONTAINERD = {"features.containerd-snapshotter": True, "storage-driver": "overlayfs"}
BY_DRIVER = {"features.containerd-snapshotter": False, "storage-driver": "overlay2"}


@pytest.mark.parametrize(
    ("current", "wanted", "chosen", "way_out"),
    [
        ({"data-root": "/mnt/docker"}, {}, {}, r"options: \{data-root: /mnt/docker\}"),
        ({"data-root": "/mnt/docker"}, {"data-root": None}, {}, r"options: \{data-root: /mnt/docker\}"),
        ({"data-root": "/mnt/docker"}, {"data-root": "/var/lib/docker"}, {}, r"options: \{data-root: /mnt/docker\}"),
        ({}, {"data-root": "/mnt/docker"}, {}, "Take data-root out of"),
        ({"userns-remap": "default"}, {}, {}, r"options: \{userns-remap: default\}"),
        ({}, {"userns-remap": "default"}, {}, "Take userns-remap out of"),
        (
            {"features": {"containerd-snapshotter": True}},
            {},
            BY_CONTAINERD,
            r"options: \{features: \{containerd-snapshotter: true\}\}",
        ),
        ({}, {"features": {"containerd-snapshotter": True}}, BY_DRIVER, "Take features"),
        ({}, {"features": {"containerd-snapshotter": False}}, BY_CONTAINERD, "Take features"),
        ({"storage-driver": "vfs"}, {}, {}, r"options: \{storage-driver: vfs\}"),
        ({"storage-driver": "vfs"}, {"storage-driver": "overlay2"}, {}, r"options: \{storage-driver: vfs\}"),
        ({}, {"storage-driver": "btrfs"}, BY_DRIVER, "overlay2, and would start without them with btrfs"),
        ({}, {"storage-driver": "overlay2"}, {}, "Take storage-driver out of"),
    ],
)
def test_an_engine_is_not_taken_away_from_its_data(
    current: dict[str, Any], wanted: dict[str, Any], chosen: dict[str, Any], way_out: str
) -> None:
    with pytest.raises(DavitError, match=way_out):
        refuse_hiding(render(current), wanted, chosen)


@pytest.mark.parametrize(
    ("current", "wanted", "chosen"),
    [
        ({"data-root": "/mnt/docker", "bip": "10.1.0.1/24"}, {"data-root": "/mnt/docker"}, {}),
        ({}, {"data-root": "/var/lib/docker"}, {}),
        ({}, {"features": {"buildkit": True}}, BY_CONTAINERD),
        ({"features": {"containerd-snapshotter": False}}, {}, BY_DRIVER),
        ({}, {"features": {"containerd-snapshotter": True}}, BY_CONTAINERD),
        ({}, {"storage-driver": "overlay2"}, BY_DRIVER),
        ({"userns-remap": ""}, {}, {}),
    ],
)
def test_an_engine_may_keep_its_data_where_it_has_it(
    current: dict[str, Any], wanted: dict[str, Any], chosen: dict[str, Any]
) -> None:
    refuse_hiding(render(current), wanted, chosen)


@pytest.mark.parametrize(
    ("status", "driver", "chosen"),
    [
        ([["Backing Filesystem", "extfs"]], "overlay2", BY_DRIVER),
        ([["driver-type", "io.containerd.snapshotter.v1"]], "overlayfs", BY_CONTAINERD),
        (None, "overlay2", BY_DRIVER),
    ],
)
def test_a_running_engine_tells_what_it_chose(status: Any, driver: str, chosen: dict[str, Any]) -> None:
    assert in_use({"DriverStatus": status, "Driver": driver}) == chosen


def test_equal_settings_are_equal_bytes() -> None:
    assert render({"a": 1, "b": {"d": 2, "c": 3}}) == render({"b": {"c": 3, "d": 2}, "a": 1})
