"""The record of a release, and the gate that it declares."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import release
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.release import Image, Release
from ansible_collections.davit.ec2.plugins.module_utils.routes import Endpoint, Route

PINNED = "web:1@sha256:" + "a" * 64
ENDPOINTS = (
    Endpoint(Route("web", 8000), 20000),
    Endpoint(Route("api", 9000, ("a.example",), "/api"), 20001),
    Endpoint(Route("api", 9001, (), "/admin"), 20002),
)
RELEASE = Release(
    id="20260131-120000-0a1b2c3-12",
    sequence=12,
    app="shop",
    project="shop-12-0a1b2c3",
    version="v1",
    content_hash="0a1b2c3d",
    created_at="2026-01-31T12:00:00Z",
    created_by="ann",
    commit="",
    images={"web": Image("web:1", PINNED), "api": Image("web:1", PINNED)},
    services=("web", "api"),
    stateful=("db",),
    jobs=(),
    endpoints=ENDPOINTS,
    gate={"http": [{"path": "/ready"}]},
)


def test_a_record_brings_the_release_back_as_it_was() -> None:
    assert Release.from_json(json.loads(json.dumps(RELEASE.to_json()))) == RELEASE


def test_a_release_that_was_told_how_the_edge_serves_can_still_be_brought_back() -> None:
    assert Release.from_json({**RELEASE.to_json(), "tls": True, "resolver": "davit"}) == RELEASE


@pytest.mark.parametrize("key", ["id", "images", "endpoints", "services", "project"])
def test_a_record_that_lacks_something_is_damaged(key: str) -> None:
    record = RELEASE.to_json()
    del record[key]
    with pytest.raises(DavitError, match="is damaged"):
        Release.from_json(record)


def test_a_record_of_the_first_version_is_whole() -> None:
    """It knew neither workers nor metrics nor drills."""
    record = RELEASE.to_json()
    for key in ("workers", "metrics", "drill"):
        del record[key]
    assert Release.from_json(record) == RELEASE


def test_ports_and_images_of_a_release() -> None:
    assert RELEASE.pinned_images == (PINNED,)
    assert RELEASE.images["web"].digest == "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("v${V}-${W}", "v1-2"),
        ("$V $${", "$V $${"),
        ({"${V}": ["${V}", 1, None]}, {"${V}": ["1", 1, None]}),
        (("${W}",), ["2"]),
    ],
)
def test_fill_in(value: Any, filled: Any) -> None:
    assert release.fill_in(value, {"V": "1", "W": "2"}) == filled


def test_filling_is_not_repeated() -> None:
    assert release.fill_in("${V}", {"V": "${W}", "W": "no"}) == "${W}"


@pytest.mark.parametrize(("variables", "known"), [({}, "none"), ({"B": "", "A": ""}, "A, B")])
def test_an_unknown_variable_is_named(variables: dict[str, str], known: str) -> None:
    with pytest.raises(DavitError, match=rf"\$\{{V\}}.*known: {known}"):
        release.fill_in({"a": ["${V}"]}, variables)


def test_without_a_gate_each_route_has_to_answer() -> None:
    gate = release.parse_gate({}, ENDPOINTS)
    assert [c.url for c in gate.http] == [
        "http://127.0.0.1:20000/",
        "http://127.0.0.1:20001/api",
        "http://127.0.0.1:20002/admin",
    ]
    assert all(c.readiness for c in gate.http)
    assert {200, 404, 499} <= set(gate.http[0].status)
    assert not {0, 500, 502, 503} & set(gate.http[0].status)


@pytest.mark.parametrize(
    ("http", "urls", "readiness"),
    [
        ([{"path": "/a"}], ["http://127.0.0.1:20000/a"], [True]),
        (
            [{"path": "/a"}, {"path": "/b", "service": "api"}],
            ["http://127.0.0.1:20000/a", "http://127.0.0.1:20001/b"],
            [True, False],
        ),
        (
            [{"path": "/a"}, {"path": "/b", "readiness": True}],
            ["http://127.0.0.1:20000/a", "http://127.0.0.1:20000/b"],
            [False, True],
        ),
    ],
)
def test_declared_checks(http: list[dict[str, Any]], urls: list[str], readiness: list[bool]) -> None:
    gate = release.parse_gate({"http": http}, ENDPOINTS)
    assert [c.url for c in gate.http] == urls
    assert [c.readiness for c in gate.http] == readiness


def test_patience_is_what_is_declared_else_the_default() -> None:
    gate = release.parse_gate({"timeout": 5, "successes": None, "unknown": 1, "failures": "2"}, ENDPOINTS)
    assert (gate.timeout, gate.successes, gate.failures) == (5, 3, 2)
    with pytest.raises(DavitError, match=r"are numbers: .*'long'"):
        release.parse_gate({"timeout": "long"}, ENDPOINTS)


def test_one_status_may_be_given_without_a_list() -> None:
    gate = release.parse_gate({"http": [{"path": "/", "status": 204}]}, ENDPOINTS)
    assert gate.http[0].status == (204,)


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ([{"path": "/a", "service": "db"}], "'/a' names the service 'db', which has no route; routed are api, web"),
        ([{"path": "/a"}, {"path": "/a"}], "same name"),
    ],
)
def test_gates_that_are_refused(http: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(DavitError, match=said):
        release.parse_gate({"http": http}, ENDPOINTS)
