"""What the edge counts bears the name of the app that it counts it for, and how the edge itself is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.davit.ec2.plugins.filter.monitoring import monitoring_backends
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
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


def test_what_may_be_called_slow_is_a_bucket_of_the_edge(root: Path) -> None:
    specs = yaml.safe_load((root / "roles/monitoring/meta/argument_specs.yml").read_text(encoding="utf-8"))
    slow = specs["argument_specs"]["main"]["options"]["monitoring_slow_seconds"]
    assert slow["choices"] == variables(root, "edge")["__edge_static"]["metrics"]["prometheus"]["buckets"]
    assert slow["default"] in slow["choices"]


def test_any_answer_proves_the_edge(root: Path) -> None:
    """An app that redirects, refuses or fails has been reached."""
    codes = variables(root, "monitoring")["__monitoring_probe"]["http"]["valid_status_codes"]
    made: object = NativeEnvironment().from_string(codes).render()
    assert made == list(range(200, 600))


def test_who_asks_as_davit_s_probes_do_counts_for_no_figure(root: Path) -> None:
    assert variables(root, "monitoring")["__monitoring_probe"]["http"]["method"] == "HEAD"
    text = (root / "roles/monitoring/files/rules/records.yml").read_text(encoding="utf-8")
    counted = re.findall(r"rate\((?:traefik_router|http)_request\w*\{([^}]*)\}", text)
    assert len(counted) == 7
    assert [one for one in counted if 'method!="HEAD"' not in one] == []


def test_the_names_of_all_apps_are_asked_for_where_the_deploys_write_them(root: Path) -> None:
    monitoring = variables(root, "monitoring")
    (names,) = monitoring["__monitoring_names_scrape"]
    (apps,) = [one for one in monitoring["__monitoring_scrapes"] if one["job_name"] == "app"]
    mounts = dict(one.split(":")[:2] for one in monitoring["__monitoring_always"]["prometheus"]["volumes"])
    layout = AppLayout("shop", "/opt/davit")
    for scrape, written in ((names, layout.names), (apps, layout.targets)):
        (found,) = scrape["file_sd_configs"][0]["files"]
        mounted = mounts["{{ __monitoring_public }}/" + written.parent.name]
        assert (monitoring["__monitoring_public"], f"{mounted}/*.json") == (str(written.parent.parent), found)
    placed = {one["target_label"]: one for one in names["relabel_configs"]}
    assert placed["job"]["replacement"] == "edge"
    # The exporter takes it as the Host header and as the name to TLS.
    assert placed["__param_hostname"]["source_labels"] == ["__address__"]
