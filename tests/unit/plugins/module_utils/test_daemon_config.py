"""What a changed daemon.json asks of a running engine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.daemon_config import plan, render
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


@pytest.mark.parametrize("wanted", [{}, {"data-root": "/var/lib/docker"}, {"data-root": None}])
def test_an_engine_is_not_taken_away_from_its_data(wanted: dict[str, Any]) -> None:
    with pytest.raises(DavitError, match=r"docker_engine_daemon_options: \{data-root: /mnt/docker\}"):
        plan(render({"data-root": "/mnt/docker"}), wanted)


def test_an_engine_may_keep_its_data_elsewhere() -> None:
    kept = {"data-root": "/mnt/docker"}
    assert plan(render({**kept, "bip": "10.1.0.1/24"}), kept).differing == ("bip",)


def test_equal_settings_are_equal_bytes() -> None:
    assert render({"a": 1, "b": {"d": 2, "c": 3}}) == render({"b": {"c": 3, "d": 2}, "a": 1})
