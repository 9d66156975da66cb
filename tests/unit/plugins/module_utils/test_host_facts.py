"""Paths, ports and logins: small things that the rest takes for granted."""

from __future__ import annotations

import base64
import json
import os
import socket
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import distribution, ports, registry
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout


@pytest.mark.parametrize("app", ["a", "shop", "restaurant-search", "a" * 30])
def test_names_of_apps(app: str) -> None:
    assert AppLayout(app).home == Path("/opt/davit/apps") / app


@pytest.mark.parametrize("app", ["", "Shop", "1shop", "-a", "a_b", "a/b", "..", "a\n", "a b", "a" * 31, "é"])
def test_names_that_could_not_be_a_directory_and_a_project(app: str) -> None:
    with pytest.raises(DavitError, match="cannot be the name of an app"):
        AppLayout(app)


HOSTILE = ("probe", "registry", "stage", "davit", "shop", "shop-json")


def within(inner: Path, outer: Path) -> bool:
    return inner == outer or outer in inner.parents


@pytest.mark.parametrize("app", HOSTILE)
def test_no_name_of_an_app_puts_its_stage_where_others_have_theirs(app: str) -> None:
    """A stage is removed whole; that of an app called probe took with it what the probes of all apps had written."""
    stage = AppLayout(app).stage
    others = [getattr(AppLayout(other), what) for other in HOSTILE for what in ("stage", "probe") if other != app]
    for place in (registry.LOGINS, AppLayout(app).probe, *others):
        assert not within(place, stage), place
        assert not within(stage, place), place


@pytest.mark.parametrize("release_id", ["", "live", "../../etc", "20260131-120000-0a1b2c3-12/..", "20260131-1-a-1"])
def test_a_release_id_cannot_lead_elsewhere(release_id: str) -> None:
    with pytest.raises(DavitError, match="is not a release id"):
        AppLayout("shop").release(release_id)


def test_the_route_is_staged_on_the_disk_of_the_watched_directory_but_outside_of_it() -> None:
    layout = AppLayout("shop", "/x")
    assert layout.route == Path("/x/edge/dynamic/shop.yml")
    assert layout.routes not in layout.route_stage.parents
    assert layout.route_stage.parent == layout.routes.parent


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listener_is_seen_with_its_process(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError as error:
            if family == socket.AF_INET:
                raise
            pytest.skip(f"no IPv6 here: {error}")
        port = server.getsockname()[1]
        assert port not in ports.listening(), "bound is not listening"
        server.listen()
        assert port in ports.listening()
        assert ports.owners([port])[port].endswith(f", pid {os.getpid()}")
        with socket.create_connection((address, port)) as client:
            assert client.getsockname()[1] not in ports.listening(), "a connection is no listener"
    assert port not in ports.listening()
    assert ports.owners([port]) == {}


HUB = distribution.HUB


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("traefik:v3", HUB),
        ("library/traefik", HUB),
        ("ghcr.io/a/b:1", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("localhost:5000/a:1", "localhost:5000"),
        ("host:5000/a", "host:5000"),
        ("a.b:1", HUB),
        # The client keeps its login under another name than the images are written with.
        ("docker.io/acme/app:1", HUB),
        ("registry-1.docker.io/acme/app", HUB),
    ],
)
def test_registry_of(reference: str, registry: str) -> None:
    assert distribution.registry_of(reference) == registry


LOGIN = {"auths": {"ghcr.io": {"auth": base64.b64encode(b"ann:pass:word").decode()}, "x.io": {}}}


@pytest.mark.parametrize(
    ("config", "registry", "login"),
    [
        (LOGIN, "ghcr.io", {"username": "ann", "password": "pass:word", "serveraddress": "ghcr.io"}),
        (LOGIN, "x.io", {}),
        (LOGIN, HUB, {}),
        ({}, "ghcr.io", {}),
        ("broken", "ghcr.io", {}),
        (None, "ghcr.io", {}),
    ],
)
def test_credentials(tmp_path: Path, config: object, registry: str, login: dict[str, str]) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text("{" if config == "broken" else json.dumps(config))
    header = distribution.credentials(str(tmp_path), registry)
    assert json.loads(base64.urlsafe_b64decode(header)) == login


def test_no_directory_means_no_login() -> None:
    assert json.loads(base64.urlsafe_b64decode(distribution.credentials(None, "ghcr.io"))) == {}
