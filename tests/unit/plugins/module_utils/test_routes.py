"""Which routes an app may have, and the documents that the edge is given."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import edge, routes
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route

ID = "20260131-120000-0a1b2c3-12"
NO_STATE: frozenset[str] = frozenset()
MODEL: dict[str, Any] = {
    "services": {
        "web": {"ports": [{"target": 8000, "protocol": "tcp"}]},
        "api": {},
        "dns": {"ports": [{"target": 53, "protocol": "udp"}]},
    }
}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ([], [Route("web", 8000)]),
        ([{"service": "web"}], [Route("web", 8000)]),
        ([{"service": "api", "port": 9000, "path": "/api"}], [Route("api", 9000, (), "/api")]),
        ([{"service": "web", "hosts": ["Shop.Example"]}], [Route("web", 8000, ("shop.example",))]),
        ([{"service": "web"}, {"service": "web", "path": "/v2"}], [Route("web", 8000), Route("web", 8000, (), "/v2")]),
    ],
)
def test_parse_routes(declared: list[dict[str, Any]], expected: list[Route]) -> None:
    assert routes.parse_routes(declared, MODEL, NO_STATE) == tuple(expected)


HOSTILE_HOSTS = ["a`) || Host(`b", "a b", "*.example", "-a.example", "a..b", "a/b", "a:80", "a\n", "", "x" * 64, "ü.de"]
HOSTILE_PATHS = ["x", "/`) || PathPrefix(`/", "/a b", "/a?b", "/a\n", "/{x}", "//é"]


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_hostile_hosts_are_refused(host: str) -> None:
    with pytest.raises(DavitError, match="is not a host name"):
        routes.parse_routes([{"service": "web", "hosts": ["good.example", host]}], MODEL, NO_STATE)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(DavitError, match="must match"):
        routes.parse_routes([{"service": "web", "path": path}], MODEL, NO_STATE)


@pytest.mark.parametrize(
    ("declared", "services", "said"),
    [
        ([{"service": "nope"}], MODEL["services"], "does not have; it has api, dns, web"),
        ([{"service": "api"}], MODEL["services"], "needs 'port:'"),
        ([{"service": "dns"}], MODEL["services"], "needs 'port:'"),
        ([{"service": "web", "port": 65536}], MODEL["services"], "1 to 65535"),
        ([{"service": "web", "port": -1}], MODEL["services"], "1 to 65535"),
        ([{"service": "web"}, {"service": "api", "port": 1}], MODEL["services"], "two routes with the rule"),
        ([{"service": "db", "port": 1}], {"db": {}}, "both routed and in compose_release_stateful"),
        ([], {"api": {}}, "publishes none"),
        ([], {"db": {"ports": [{"target": 5432}]}}, "publishes none"),
        ([], {"a": {"ports": [{"target": 1}, {"target": 2}]}}, "publishes a:1, a:2"),
    ],
)
def test_routes_that_are_refused(declared: list[dict[str, Any]], services: dict[str, Any], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        routes.parse_routes(declared, {"services": services}, frozenset({"db"} & set(services)))


@pytest.mark.parametrize(
    ("hosts", "rule"),
    [
        ((), "PathPrefix(`/x`)"),
        (("a.example",), "(Host(`a.example`)) && PathPrefix(`/x`)"),
        (("a.example", "b.example"), "(Host(`a.example`) || Host(`b.example`)) && PathPrefix(`/x`)"),
    ],
)
def test_rules(hosts: tuple[str, ...], rule: str) -> None:
    assert Route("web", 80, hosts, "/x").rule == rule


ENDPOINTS = [Endpoint(Route("web", 8000, ("a.example",)), 20000), Endpoint(Route("api", 9000, (), "/api"), 20001)]


def test_the_edge_document() -> None:
    """How the public comes in is the edge's own affair: a route that named it would be cut off when that changes."""
    http = routes.edge_document("shop", ID, ENDPOINTS, headers={"X-Frame-Options": "DENY"})["http"]
    assert [r["rule"] for r in http["routers"].values()] == [e.route.rule for e in ENDPOINTS]
    assert {key for r in http["routers"].values() for key in r} == {"rule", "priority", "service", "middlewares"}
    urls = [http["services"][r["service"]]["loadBalancer"]["servers"] for r in http["routers"].values()]
    assert urls == [[{"url": "http://127.0.0.1:20000"}], [{"url": "http://127.0.0.1:20001"}]]
    for router in http["routers"].values():
        assert set(router["middlewares"]) <= set(http["middlewares"])
    added = http["middlewares"]["shop-release"]["headers"]["customResponseHeaders"]
    assert added == {"X-Frame-Options": "DENY", routes.RELEASE_HEADER: ID}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"Davit-Release": "me"}, "Davit's own headers"),
        ({"davit-canary": "me"}, "Davit's own headers"),
        ({"X Y": "a"}, "no header"),
        ({"X-Y": "a\r\nSet-Cookie: b"}, "no header"),
        ({"X-Y": ""}, "no header"),
    ],
)
def test_headers_that_are_refused(declared: dict[str, str], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        routes.parse_headers(declared)


def test_headers_may_be_numbers_and_none_may_be_wanted() -> None:
    assert routes.parse_headers({"X-Max": 3}) == {"X-Max": "3"}
    assert routes.parse_headers({}) == {}


STRICT = {"_edge": {"tls": {"options": {"default": {"sniStrict": True}}}}, "blog": {"http": {}}}
LENIENT = {"_edge": {"tls": {"options": {"default": {"sniStrict": False}}}}}


@pytest.mark.parametrize(
    ("hosts", "documents", "refused"),
    [
        ((), STRICT, True),
        (("a.example",), STRICT, False),
        ((), LENIENT, False),
        ((), {}, False),
        ((), {"_edge": {}}, False),
    ],
)
def test_an_edge_that_wants_names_serves_no_route_without(
    hosts: tuple[str, ...], documents: dict[str, Any], refused: bool
) -> None:
    assert ("names no host" in routes.nameless([Route("web", 80, hosts)], documents)) is refused


def test_a_document_tells_which_release_it_serves() -> None:
    document = json.loads(json.dumps(routes.edge_document("shop", ID, ENDPOINTS)))
    assert routes.served_release(document, "shop") == ID
    assert routes.served_release(document, "other") is None


@pytest.mark.parametrize("document", [None, {}, {"http": None}, {"http": {"middlewares": {"shop-release": None}}}])
def test_other_documents_tell_of_no_release(document: dict[str, Any] | None) -> None:
    assert routes.served_release(document, "shop") is None


def test_an_endpoint_survives_its_record() -> None:
    for endpoint in ENDPOINTS:
        assert Endpoint.from_json(json.loads(json.dumps(endpoint.to_json()))) == endpoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"http": {}}', None),
        ('{"tls": {"certificates": []}}', None),
        ("", "it is not JSON"),
        ('{"http": {', "it is not JSON"),
        ("http:\n  routers: {}\n", "it is not JSON"),
        ("[]", "no 'http' section"),
        ("{}", "no 'http' section"),
        ('{"http": []}', "no 'http' section"),
    ],
)
def test_broken_routes(text: str, reason: str | None) -> None:
    broken = routes.broken_routes({"good": '{"http": {}}', "shop": text})
    assert set(broken) == ({"shop"} if reason else set())
    assert reason is None or reason in broken["shop"]


def test_rules_taken_names_the_app() -> None:
    document = routes.edge_document("shop", ID, ENDPOINTS)
    taken = routes.rules_taken({"shop": document, "certificates": {"tls": {}}})
    assert taken == {e.route.rule: "shop" for e in ENDPOINTS}


@pytest.fixture
def layout(tmp_path: Path) -> AppLayout:
    made = AppLayout("shop", str(tmp_path))
    made.routes.mkdir(parents=True)
    made.route_stage.mkdir()
    return made


def test_a_route_is_put_read_and_taken_away(layout: AppLayout) -> None:
    assert edge.read_route(layout) is None
    document = routes.edge_document("shop", ID, ENDPOINTS)
    edge.put_route(layout, document)
    assert edge.read_route(layout) == document
    assert layout.route.stat().st_mode & 0o777 == 0o644
    assert list(layout.route_stage.iterdir()) == []
    edge.put_route(layout, None)
    edge.put_route(layout, None)
    assert not layout.route.exists()


def test_on_a_full_disk_only_the_route_that_was_kept_can_be_put(
    layout: AppLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = ({"http": {"routers": {name: {"rule": "Path(`/`)", "service": "s"}}}} for name in ("old", "new"))
    edge.keep_way_back(layout, before)
    edge.put_route(layout, now)
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(edge, "_write", Mock(side_effect=full))
    with pytest.raises(OSError, match="No space left"):
        edge.put_route(layout, {"http": {}})
    assert edge.read_route(layout) == now
    edge.put_route(layout, before)
    assert edge.read_route(layout) == before
    assert layout.route.stat().st_mode & 0o777 == 0o644


def test_a_document_that_the_edge_would_refuse_leaves_the_old_one(layout: AppLayout) -> None:
    document = routes.edge_document("shop", ID, ENDPOINTS)
    edge.put_route(layout, document)
    with pytest.raises(DavitError, match="the old one stays"):
        edge.put_route(layout, {"https": {}})
    assert edge.read_route(layout) == document


def test_a_broken_file_of_another_app_stops_a_switch(layout: AppLayout) -> None:
    layout.route.write_text("broken, but about to be replaced")
    (layout.routes / "blog.yml").write_text('{"http": {}}')
    assert edge.read_routes(layout) == {"blog": {"http": {}}}
    (layout.routes / "wiki.yml").write_text('{"http": ')
    with pytest.raises(DavitError, match=r"wiki\.yml: it is not JSON") as error:
        edge.read_routes(layout)
    assert set(error.value.facts["broken_routes"]) == {"wiki.yml"}


def test_a_broken_file_does_not_hide_behind_a_good_one_of_the_same_stem(layout: AppLayout) -> None:
    (layout.routes / "wiki.yaml").write_text("{")
    (layout.routes / "wiki.yml").write_text('{"http": {}}')
    with pytest.raises(DavitError, match=r"wiki\.yaml"):
        edge.read_routes(layout)


@pytest.mark.parametrize(
    ("route", "tls", "address"),
    [
        (Route("web", 80), False, "http://127.0.0.1/"),
        (Route("web", 80, ("a.example", "b.example"), "/x"), True, "https://a.example/x"),
    ],
)
def test_the_address_that_a_client_would_use(route: Route, tls: bool, address: str) -> None:
    assert edge.address_of(Endpoint(route, 20000), tls) == address


@pytest.mark.parametrize(
    ("static", "tls"),
    [
        (None, False),
        ("{", False),
        ('{"entryPoints": {"web": {}, "ping": {}}}', False),
        ('{"entryPoints": {"web": {}, "websecure": {}}}', True),
    ],
)
def test_whether_clients_come_by_https_is_asked_of_the_edge(layout: AppLayout, static: str | None, tls: bool) -> None:
    if static is not None:
        layout.edge_static.write_text(static)
    assert edge.uses_tls(layout) is tls


WEB = Endpoint(Route("web", 8080, ("a.test",), "/"), 20001)
OTHER = Endpoint(WEB.route, 20000)


@pytest.mark.parametrize("weight", [None, 10])
def test_a_warm_release_changes_neither_the_precedence_nor_the_owner_of_a_route(weight: int | None) -> None:
    """The edge prefers the longest rule: what tells large bodies apart must not win over another app's host."""
    warm = routes.Warm("old", (OTHER,), weight)
    document = routes.edge_document("a", "new", (WEB,), warm=warm)
    routers = document["http"]["routers"]
    assert {router["priority"] for router in routers.values()} == {len(WEB.route.rule)}
    assert routes.rules_taken({"a": document}) == {WEB.route.rule: "a"}


HIDDEN = "!PathRegexp(`^/metrics([/;%]|$)`)"
OPEN = Endpoint(Route("web", 8080, (), "/metrics"), 20001)
DEEP = Endpoint(Route("web", 8080, (), "/shop"), 20001)


@pytest.mark.parametrize(
    ("endpoints", "metrics", "hidden"),
    [
        ((WEB,), {}, [False]),
        ((WEB,), {"path": "/metrics", "service": ""}, [True]),
        ((WEB,), {"path": "/metrics/", "service": "web"}, [True]),
        # Whoever routes exactly there wants it seen, and a route that is nothing else is not taken away.
        ((WEB, OPEN), {"path": "/metrics", "service": ""}, [True, False]),
        ((WEB,), {"path": "/", "service": ""}, [False]),
        # Not below the route, so that it is not seen anyway; and another service has pages of its own.
        ((DEEP,), {"path": "/metrics", "service": ""}, [False]),
        ((WEB, *ENDPOINTS[1:]), {"path": "/metrics", "service": "api"}, [False, False]),
    ],
)
@pytest.mark.parametrize("weight", ["no warm release", None, 10])
def test_metrics_are_not_served_to_the_public(
    endpoints: tuple[Endpoint, ...], metrics: dict[str, str], hidden: list[bool], weight: Any
) -> None:
    warm = None if isinstance(weight, str) else routes.Warm("old", endpoints, weight)
    document = routes.edge_document("a", "new", endpoints, metrics=metrics, warm=warm)
    routers = document["http"]["routers"]
    by_endpoint = [[r for name, r in routers.items() if name.startswith(f"a-{n}")] for n in range(len(endpoints))]
    assert [{HIDDEN in router["rule"] for router in some} for some in by_endpoint] == [{one} for one in hidden]
    # Neither precedence nor ownership of a route is changed by it.
    plain = [endpoint.route.rule for endpoint in endpoints]
    assert [{router["priority"] for router in some} for some in by_endpoint] == [{len(rule)} for rule in plain]
    assert routes.rules_taken({"a": document}) == dict.fromkeys(plain, "a")


@pytest.mark.parametrize(
    ("path", "asked", "hidden"),
    [
        *(("/metrics", f"/metrics{end}", True) for end in ("", "/", "/a", "%2F", "%2f", "%2Fa", "%3Ba", ";a", "%2525")),
        *(("/metrics", asked, False) for asked in ("/", "/metricsa", "/metrics-a", "/a/metrics", "/metrics.json")),
        *(("/a/b.c", asked, True) for asked in ("/a/b.c", "/a%2Fb.c", "/a%2fb.c/", "/a/b.c%2F")),
        *(("/a/b.c", asked, False) for asked in ("/a/b-c", "/a/b", "/b.c", "/a/b.cd")),
    ],
)
def test_no_spelling_of_the_metrics_path_gets_by(path: str, asked: str, hidden: bool) -> None:
    """As the edge compares it: reserved characters stay encoded."""
    document = routes.edge_document("a", "new", (WEB,), metrics={"path": path, "service": ""})
    (pattern,) = re.findall(r"!PathRegexp\(`(.*)`\)", document["http"]["routers"]["a-0"]["rule"])
    assert bool(re.search(pattern, asked)) is hidden


@pytest.mark.parametrize("added", [HIDDEN, "!(Path(`/metrics`) || PathPrefix(`/metrics/`))"])
@pytest.mark.parametrize("guard", ["", f" && {routes.GUARDED}", f" && {routes.UNGUARDED}"])
def test_a_route_is_known_whichever_version_has_written_its_file(added: str, guard: str) -> None:
    rule = f"({WEB.route.rule}) && {added}"
    written = f"({rule}){guard}" if guard else rule
    assert routes.rules_taken({"a": {"http": {"routers": {"a-0": {"rule": written}}}}}) == {WEB.route.rule: "a"}


def test_what_the_edge_keeps_of_a_body_is_no_more_than_what_it_is_asked_to_repeat() -> None:
    """It takes the whole of it for every request that has a body."""
    document = routes.edge_document("a", "new", (WEB,), warm=routes.Warm("old", (OTHER,)))
    errors = document["http"]["services"]["a-0"]["failover"]["errors"]
    assert errors == {"status": ["502", "503"], "maxRequestBodyBytes": 100_000}
    assert document["http"]["routers"]["a-0-large"]["service"] == "a-0-serving"
    assert document["http"]["services"]["a-0-serving"] == {"loadBalancer": {"servers": [{"url": WEB.url}]}}


@pytest.mark.parametrize(
    ("weight", "trial", "proven"),
    [(None, WEB, OTHER), (10, OTHER, WEB)],
)
def test_what_a_trial_breaks_off_is_repeated_on_what_is_proven(
    weight: int | None, trial: Endpoint, proven: Endpoint
) -> None:
    """After a switch the new release is on trial, in a canary the other one, which gets its share."""
    document = routes.edge_document("a", "new", (WEB,), warm=routes.Warm("old", (OTHER,), weight))
    services = document["http"]["services"]
    assert services["a-0-trial"]["loadBalancer"]["servers"] == [{"url": trial.url}]
    assert services["a-0-proven"]["loadBalancer"]["servers"] == [{"url": proven.url}]
    assert services["a-0-serving"]["loadBalancer"]["servers"] == [{"url": WEB.url}]
    headers = document["http"]["middlewares"]["a-release"]["headers"]["customResponseHeaders"]
    assert headers[routes.RELEASE_HEADER] == "new"
    if weight is not None:
        shares = {s["name"]: s["weight"] for s in services["a-0"]["weighted"]["services"]}
        assert shares == {"a-0-proven": 90, "a-0-guarded": 10}
        assert headers[routes.CANARY_HEADER] == "old;10"
