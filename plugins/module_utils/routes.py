# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Which services receive traffic, and the document that tells the edge so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

RELEASE_HEADER = "Davit-Release"
CANARY_HEADER = "Davit-Canary"

DEFAULT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
"""The role's default. Like that of the hardening it is no part of a release's content, anything else is."""

ARGUMENTS: dict[str, Any] = {
    "service": {"type": "str", "required": True},
    "port": {"type": "int"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "str", "default": "/"},
}
"""A route, as modules take it."""

_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_HEADER, _HEADER_VALUE = re.compile(r"[A-Za-z0-9-]{1,64}"), re.compile(r"[\x20-\x7e]{1,4096}")
PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
# The second form is that of route files which an earlier version has written.
_HIDDEN = re.compile(r"\((?P<plain>.*)\) && !(?:PathRegexp\(`[^`]*`\)|\(Path\(`[^`]*`\) \|\| PathPrefix\(`[^`]*`\)\))")


@dataclass(frozen=True)
class Route:
    """Traffic for ``hosts`` (any when empty) below ``path`` goes to ``port`` of ``service``."""

    service: str
    port: int
    hosts: tuple[str, ...] = ()
    path: str = "/"

    @property
    def rule(self) -> str:
        """The Traefik rule of this route."""
        path = f"PathPrefix(`{self.path}`)"
        if not self.hosts:
            return path
        hosts = " || ".join(f"Host(`{host}`)" for host in self.hosts)
        return f"({hosts}) && {path}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "hosts": list(self.hosts)}


@dataclass(frozen=True)
class Endpoint:
    """A route of one release with the loopback port that the release publishes for it."""

    route: Route
    host_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.host_port}"

    def to_json(self) -> dict[str, Any]:
        return {**self.route.to_json(), "host_port": self.host_port}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Endpoint:
        route = Route(str(record["service"]), int(record["port"]), tuple(record["hosts"]), str(record["path"]))
        return cls(route, int(record["host_port"]))


def parse_routes(
    declared: Iterable[Mapping[str, Any]], model: Mapping[str, Any], stateful: frozenset[str]
) -> tuple[Route, ...]:
    """The routes of an app: those declared, else the one port that the Compose file publishes.

    Raises DavitError when a route names no service of ``model``, is malformed, stands twice, or
    when there is none declared and the file does not tell which port is meant.
    """
    services: Mapping[str, Any] = model.get("services") or {}
    routes = tuple(_declared(entry, services) for entry in declared)
    if not routes:
        routes = (_only_published(services, stateful),)
    rules = [route.rule for route in routes]
    for rule in rules:
        if rules.count(rule) > 1:
            raise DavitError(
                f"compose_release_routes has two routes with the rule {rule}; give each its own path or host."
            )
    for route in routes:
        if route.service in stateful:
            raise DavitError(
                f"'{route.service}' is both routed and in compose_release_stateful. A service that"
                " owns data cannot be started beside itself: put a stateless service before it."
            )
    return routes


def parse_headers(declared: Mapping[str, Any]) -> dict[str, str]:
    """The headers that the edge adds to an app's answers. Raises DavitError for what is none, or is Davit's own."""
    for name, value in declared.items():
        if not _HEADER.fullmatch(str(name)) or not _HEADER_VALUE.fullmatch(str(value)):
            raise DavitError(f"compose_release_headers has {name!r}: {str(value)!r}, which is no header with a value.")
        if str(name).lower().startswith("davit-"):
            raise DavitError(f"compose_release_headers has {name}; Davit's own headers tell which release answers.")
    return {str(name): str(value) for name, value in declared.items()}


def _declared(entry: Mapping[str, Any], services: Mapping[str, Any]) -> Route:
    service = str(entry.get("service", ""))
    if service not in services:
        raise DavitError(
            f"compose_release_routes names the service '{service}', which the Compose file does not"
            f" have; it has {', '.join(sorted(services)) or 'none'}."
        )
    ports = _published(services[service])
    port = entry.get("port") or (ports[0] if len(ports) == 1 else None)
    if port is None or not 0 < int(port) < 65536:
        raise DavitError(f"The route to '{service}' needs 'port:', the port inside the container (1 to 65535).")
    path = str(entry.get("path") or "/")
    hosts = tuple(str(host).lower() for host in entry.get("hosts") or ())
    if not PATH.fullmatch(path):
        raise DavitError(f"The path {path!r} of the route to '{service}' must match {PATH.pattern}.")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise DavitError(f"{host!r} in the route to '{service}' is not a host name.")
    return Route(service, int(port), hosts, path)


def _published(service: Mapping[str, Any]) -> list[int]:
    return [int(port["target"]) for port in service.get("ports") or [] if port.get("protocol", "tcp") == "tcp"]


def _only_published(services: Mapping[str, Any], stateful: frozenset[str]) -> Route:
    found = [(name, port) for name, service in services.items() if name not in stateful for port in _published(service)]
    if len(found) != 1:
        listed = ", ".join(f"{name}:{port}" for name, port in found) or "none"
        raise DavitError(
            f"The Compose file publishes {listed}, so it is not clear what the edge should serve."
            " Say it: compose_release_routes: [{service: web, port: 8000}]."
        )
    return Route(*found[0])


@dataclass(frozen=True)
class Warm:
    """The other release that runs while one serves, and its part in the traffic.

    With ``weight`` None it only stands by: a request that the serving release breaks off is repeated
    on it. Else it is the candidate of a canary, and gets ``weight`` percent.
    """

    release: str
    endpoints: tuple[Endpoint, ...]
    weight: int | None = None


REPLAY_STATUS = ("502", "503")
"""What the edge answers when a backend refuses or breaks off a connection, and what a service answers that cannot serve
yet: one that died is started again by the engine, and loads its model while the route still leads to it."""

_LARGE = "HeaderRegexp(`Content-Length`, `^[0-9]{6,}$`)"
_SIZED = "HeaderRegexp(`Content-Length`, `^[0-9]`)"
UNGUARDED = f"({_LARGE} || (!{_SIZED} && (Method(`POST`) || Method(`PUT`) || Method(`PATCH`))))"
GUARDED = f"(!{_LARGE} && ({_SIZED} || (!Method(`POST`) && !Method(`PUT`) && !Method(`PATCH`))))"
"""A body of 100 kB or more, or of unknown length, is passed through as it comes: to repeat a request, the edge has
to keep its body. The two are opposites, so that neither needs a priority over the other, nor over other apps."""

BODY_KEPT = 100_000
"""Bytes of a body that the edge keeps at most. It takes that much memory for each request that has a body,
however small: 64 MB here made it grow to 13 GB under 100 requests a second."""


def edge_document(
    app: str,
    release_id: str,
    endpoints: Sequence[Endpoint],
    *,
    headers: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
    warm: Warm | None = None,
) -> dict[str, Any]:
    """Traefik's dynamic configuration for one app, whose traffic ``release_id`` gets.

    Without entry points or TLS: a router takes those that the edge has for the public, as it has them at the time.
    The response header names the release, so that a switch can be proved for a stack that knows
    nothing of Davit. ``retry`` repeats a request only when no byte of an answer came, which covers
    the moment in which an old backend closes an idle connection. ``metrics`` is where the app tells
    its metrics (``path``, ``service``); nobody outside sees them, unless a route has that very path.
    """
    routers: dict[str, Any] = {}
    services: dict[str, Any] = {}
    others = {e.route.rule: e for e in warm.endpoints} if warm else {}
    for number, endpoint in enumerate(endpoints):
        name, plain = f"{app}-{number}", endpoint.route.rule
        shown = _shown(endpoint.route, metrics or {}, endpoints[0].route.service)
        routers[name] = {
            "rule": shown,
            # The edge prefers the longer rule; what is added to one must not outdo another app's.
            "priority": len(plain),
            "service": name,
            "middlewares": [f"{app}-release", f"{app}-retry"],
        }
        other = others.get(plain)
        if warm is None or other is None:
            services[name] = _backend(endpoint)
        else:
            services.update(_with_warm(name, endpoint, other, warm.weight))
            rule = f"({shown}) && {UNGUARDED}"
            routers[f"{name}-large"] = {**routers[name], "rule": rule, "service": f"{name}-serving"}
            routers[name]["rule"] = f"({shown}) && {GUARDED}"
    added = {**(headers or {}), RELEASE_HEADER: release_id}
    if warm is not None and warm.weight is not None:
        added[CANARY_HEADER] = canary_value(warm.release, warm.weight)
    middlewares = {
        f"{app}-release": {"headers": {"customResponseHeaders": added}},
        f"{app}-retry": {"retry": {"attempts": 4, "initialInterval": "50ms"}},
    }
    return {"http": {"routers": routers, "services": services, "middlewares": middlewares}}


def canary_value(release_id: str, weight: int) -> str:
    """What the edge answers with while ``release_id`` gets ``weight`` percent."""
    return f"{release_id};{weight}"


def _backend(endpoint: Endpoint) -> dict[str, Any]:
    return {"loadBalancer": {"servers": [{"url": endpoint.url}]}}


def _with_warm(name: str, serving: Endpoint, other: Endpoint, weight: int | None) -> dict[str, Any]:
    """Services for one route: whatever the trial release breaks off is repeated on the proven one."""
    proven, trial = (other, serving) if weight is None else (serving, other)
    guarded = {
        "failover": {
            "service": f"{name}-trial",
            "fallback": f"{name}-proven",
            "errors": {"status": list(REPLAY_STATUS), "maxRequestBodyBytes": BODY_KEPT},
        }
    }
    services = {f"{name}-trial": _backend(trial), f"{name}-proven": _backend(proven)}
    services[f"{name}-serving"] = _backend(serving)
    if weight is None:
        return {**services, name: guarded}
    shares = [{"name": f"{name}-proven", "weight": 100 - weight}, {"name": f"{name}-guarded", "weight": weight}]
    return {**services, f"{name}-guarded": guarded, name: {"weighted": {"services": shares}}}


def served_release(document: Mapping[str, Any] | None, app: str) -> str | None:
    """The release that a route document sends traffic to; None when there is no document."""
    if document is None:
        return None
    middlewares = (document.get("http") or {}).get("middlewares") or {}
    headers = (middlewares.get(f"{app}-release") or {}).get("headers") or {}
    found = (headers.get("customResponseHeaders") or {}).get(RELEASE_HEADER)
    return str(found) if found else None


def broken_routes(texts: Mapping[str, str]) -> dict[str, str]:
    """File name to reason for each route file that the edge could not load.

    One such file disables every app at the edge's next start, whichever app it belongs to.
    """
    broken = {}
    for name, text in texts.items():
        try:
            document = json.loads(text)
        except ValueError as error:
            broken[name] = f"it is not JSON ({error})"
            continue
        # The edge's own file of given certificates has a 'tls' section only.
        if not isinstance(document, dict) or not any(isinstance(document.get(key), dict) for key in ("http", "tls")):
            broken[name] = "it has no 'http' section"
    return broken


def rules_taken(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Rule to app for every router in ``documents``."""
    taken = {}
    for name, document in documents.items():
        for router in ((document.get("http") or {}).get("routers") or {}).values():
            taken[_plain(str(router.get("rule")))] = name
    return taken


def nameless(routes: Iterable[Route], documents: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a route without hosts would answer nobody; '' when it does, or there is none."""
    options = [(document.get("tls") or {}).get("options") or {} for document in documents.values()]
    if not any((option.get("default") or {}).get("sniStrict") for option in options):
        return ""
    return next(
        (
            f"The route {route.rule} to '{route.service}' names no host, and the edge refuses HTTPS clients that name"
            " none (edge_sni_strict). Give it 'hosts' in compose_release_routes."
            for route in routes
            if not route.hosts
        ),
        "",
    )


def _shown(route: Route, metrics: Mapping[str, str], first: str) -> str:
    """The rule of a route without the metrics that are told below it.

    The edge compares a path in which reserved characters are as they came, and passes it on so: what an app takes for
    ``/metrics/`` may be ``/metrics%2F`` here.
    """
    path = metrics.get("path", "").rstrip("/")
    below = path.startswith(route.path) and path != route.path.rstrip("/")
    if not below or route.service != (metrics.get("service") or first):
        return route.rule
    spelled = path[0] + path[1:].replace(".", "[.]").replace("/", "(/|%2[Ff])")
    return f"({route.rule}) && !PathRegexp(`^{spelled}([/;%]|$)`)"


def _plain(rule: str) -> str:
    """A router's rule as the route has it, without what a warm release and hidden metrics add to it."""
    for added in (GUARDED, UNGUARDED):
        rule = rule[1 : -len(f") && {added}")] if rule.endswith(f") && {added}") else rule
    hidden = _HIDDEN.fullmatch(rule)
    return hidden["plain"] if hidden else rule
