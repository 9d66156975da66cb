"""What the edge counts bears the name of the app that it counts it for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.filter.monitoring import monitoring_backends
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route, Warm, edge_document

RELEASES = [
    None,
    Warm("20260101-000000-0000000-1", (Endpoint(Route("web", 80), 20002),), None),
    Warm("20260101-000000-0000000-1", (Endpoint(Route("web", 80), 20002),), 5),
]
"""One that serves alone, one with a standby, one with a canary."""


def variables(root: Path, role: str) -> dict[str, Any]:
    """The internal variables of a role; what is made of others is a text."""
    found: dict[str, Any] = yaml.safe_load((root / "roles" / role / "vars/main.yml").read_text(encoding="utf-8"))
    return found


def app_of(root: Path, service: str) -> str | None:
    """The app that Prometheus takes from Traefik's name of a service; its expressions are anchored at both ends."""
    (scrape,) = [one for one in variables(root, "monitoring")["__monitoring_scrapes"] if one["job_name"] == "traefik"]
    (relabel,) = scrape["metric_relabel_configs"]
    assert (relabel["source_labels"], relabel["target_label"]) == (["service"], "app")
    found = re.fullmatch(relabel["regex"], service)
    return found[1] if found else None


@pytest.mark.parametrize("app", ["shop", "shop-0", "shop-0-serving", "web-shop", "own-shop-1", "a1"])
@pytest.mark.parametrize("warm", RELEASES, ids=["alone", "standby", "canary"])
def test_each_router_counts_for_its_app(root: Path, app: str, warm: Warm | None) -> None:
    endpoints = [Endpoint(Route("web", 80), 20000), Endpoint(Route("web", 80, path="/api"), 20001)]
    routers = edge_document(app, "20260101-000000-0000000-2", endpoints, warm=warm)["http"]["routers"]
    assert len(routers) == (3 if warm else 2)
    assert {app_of(root, f"{router['service']}@file") for router in routers.values()} == {app}


def test_what_is_the_host_s_own_counts_for_no_app(root: Path) -> None:
    own = [f"{name}@file" for name in monitoring_backends({"": 9090, "/alerts": 9093, "/grafana": 9103})]
    assert [app_of(root, service) for service in [*own, "ping@internal", "prometheus@internal"]] == [None] * 5


def test_the_edge_counts_by_router_on_loopback_where_prometheus_asks(root: Path) -> None:
    edge = variables(root, "edge")
    told = edge["__edge_static"]["metrics"]["prometheus"]
    entry = re.search(rf"'{told['entryPoint']}': {{'address': (\w+)}}", edge["__edge_entry_points"])
    assert entry is not None
    (scrape,) = [one for one in variables(root, "monitoring")["__monitoring_scrapes"] if one["job_name"] == "traefik"]
    assert scrape["static_configs"] == [{"targets": [edge[entry[1]]]}]
    assert edge[entry[1]].startswith("127.0.0.1:")
    labels = {key: value for key, value in told.items() if key.startswith("add")}
    assert labels == {"addRoutersLabels": True, "addServicesLabels": False, "addEntryPointsLabels": False}
    assert 0.25 in told["buckets"]
