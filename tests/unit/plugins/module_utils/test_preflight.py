"""Who has the ports of the edge, and what is said of it."""

from __future__ import annotations

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import edge, ports, preflight
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError


@pytest.mark.parametrize(
    ("up", "published", "listens", "said"),
    [
        (True, {}, {}, None),
        # Without Docker's own proxy nobody listens, and the edge is up all the same.
        (True, {80: ["shop-web-1"]}, {}, "The edge gets no traffic, and port 80 is owned by container shop-web-1"),
        (False, {80: ["shop-web-1"]}, {80: "docker-proxy, pid 7"}, "port 80 is owned by container shop-web-1"),
        (False, {}, {443: "nginx, pid 8"}, "The edge is not running, and port 443 is owned by nginx, pid 8"),
        (False, {}, {}, "Run playbooks/configure.yml"),
    ],
)
def test_whoever_has_the_ports_of_the_edge_is_named(
    up: bool,
    published: dict[int, list[str]],
    listens: dict[int, str],
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge, "is_up", lambda: up)
    monkeypatch.setattr(ports, "owners", lambda _: listens)
    monkeypatch.setattr(Engine, "publishers", lambda _self, port: published.get(port, []))
    if said is None:
        preflight._check_edge(Engine())
        return
    with pytest.raises(DavitError, match=said):
        preflight._check_edge(Engine())
