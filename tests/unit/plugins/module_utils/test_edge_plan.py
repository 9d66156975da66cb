"""What has to happen to the edge, and what is said about those in its way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import (
    Certificate,
    Container,
    Listener,
    compose_document,
    decide,
    describe,
    edge_document,
    foreign,
    last_words,
    listeners,
    longest_gap,
    unit_of,
    wanted_config,
)

SS = """\
LISTEN 0      4096         0.0.0.0:22         0.0.0.0:*    users:(("sshd",pid=70,fd=7))
LISTEN 0      511          0.0.0.0:80         0.0.0.0:*    users:(("nginx",pid=81,fd=6),("nginx",pid=80,fd=6))
LISTEN 0      511             [::]:80            [::]:*    users:(("nginx",pid=81,fd=7),("nginx",pid=80,fd=7))
LISTEN 0      4096               *:443              *:*    users:(("traefik",pid=99,fd=9))
LISTEN 0      4096       127.0.0.1:8099       0.0.0.0:*
LISTEN 0      4096       127.0.0.1:8443       0.0.0.0:*    users:(("other",pid=5,fd=1))
"""


def container(config: str = "a", running: bool = True, paused: bool = False) -> Container:
    return Container(id="c", config=config, running=running, pid=99 if running else 0, paused=paused)


@pytest.mark.parametrize(
    ("found", "answers", "action", "reason"),
    [
        (None, False, "start", "there is no edge yet"),
        # Something else that answers the ping is no edge.
        (None, True, "start", "there is no edge yet"),
        (container(running=False), False, "start", "the edge is stopped"),
        (container(config="b"), True, "recreate", "its own configuration or image changed"),
        (container(), False, "recreate", "it runs but does not answer its ping"),
        (container(paused=True), False, "recreate", "it is paused"),
        (container(), True, "none", "it runs with this configuration"),
    ],
)
def test_traffic_is_cut_for_a_reason_only(found: Container | None, answers: bool, action: str, reason: str) -> None:
    assert decide(found, "a", answers, differs=False) == (action, reason)


@pytest.mark.parametrize(
    ("found", "differs", "waits_for", "action", "reason"),
    [
        (container(), True, "", "reload", "what it reads while it runs changed"),
        (container(config="b"), True, "", "recreate", "its own configuration or image changed"),
        (
            None,
            True,
            "shop",
            "wait",
            "the Compose project 'shop' has its ports until a deploy takes that project's place",
        ),
        (container(config="b"), False, "shop", "wait", "the Compose project 'shop' has its ports"),
        # It serves beside that project already.
        (container(), True, "shop", "reload", "what it reads while it runs changed"),
        (container(), False, "shop", "none", "it runs with this configuration"),
    ],
)
def test_files_are_taken_over_and_ports_waited_for(
    found: Container | None, differs: bool, waits_for: str, action: str, reason: str
) -> None:
    decided, why = decide(found, "a", found is not None, differs=differs, waits_for=waits_for)
    assert decided == action
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("service", "static"),
    [({"image": "t:2"}, {"ping": 1}), ({"image": "t:1"}, {"ping": 2}), ({"image": "t:1", "user": "0"}, {"ping": 1})],
)
def test_any_change_of_service_or_configuration_is_seen(service: dict[str, str], static: dict[str, int]) -> None:
    former = wanted_config(compose_document({"image": "t:1"}, {"ping": 1}))
    assert wanted_config(compose_document(service, static)) != former
    assert wanted_config(compose_document({"image": "t:1"}, {"ping": 1})) == former


def test_listeners_are_named_once_for_each_process() -> None:
    assert listeners(SS, [80, 443, 8099]) == [
        Listener(80, "nginx", 80),
        Listener(80, "nginx", 81),
        Listener(443, "traefik", 99),
        Listener(8099, "", 0),
    ]


def test_the_edge_is_not_in_its_own_way() -> None:
    assert foreign(listeners(SS, [443]), container()) == []
    assert foreign(listeners(SS, [443]), None) == [Listener(443, "traefik", 99)]
    # A stopped container has no process, and 0 stands for one that cannot be seen.
    assert foreign(listeners(SS, [8099]), container(running=False)) == [Listener(8099, "", 0)]


@pytest.mark.parametrize(
    ("listener", "unit", "containers", "words"),
    [
        (Listener(80, "docker-proxy", 7), "docker.service", {"web-1": ""}, "docker stop web-1"),
        (Listener(80, "", 0), "", {"shop-web-1": "shop"}, "compose_release_adopt: {project: shop}"),
        (Listener(80, "nginx", 7), "nginx.service", {}, "systemctl disable --now nginx.service"),
        (Listener(80, "python3", 7), "", {}, "python3 (pid 7)"),
        (Listener(80, "", 0), "", {}, "ss -ltnp"),
    ],
)
def test_whoever_holds_a_port_is_named_with_what_to_do(
    listener: Listener, unit: str, containers: dict[str, str], words: str
) -> None:
    sentence = describe(listener, unit, containers)
    assert sentence.startswith("Port 80 is ")
    assert words in sentence


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("12:pids:/\n1:name=systemd:/docker/ab/system.slice/web.service\n", "web.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("", ""),
    ],
)
def test_the_unit_of_a_process(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


def served(*certificates: Certificate) -> dict[str, Any]:
    return dict(edge_document({}, certificates, "ping")[0]["tls"])


def test_a_renewed_certificate_is_another_file() -> None:
    first, second, third = (served(Certificate(*pair)) for pair in (("old", "key"), ("new", "key"), ("old", "other")))
    assert first["certificates"] != second["certificates"] != third["certificates"] != first["certificates"]
    assert "key" not in json.dumps(first["certificates"][0]["certFile"])


def test_the_first_certificate_serves_unknown_names() -> None:
    first, second = Certificate("a", "k"), Certificate("b", "k")
    default = served(first, second)["stores"]["default"]["defaultCertificate"]
    assert first.name in default["certFile"]


GIVEN: dict[str, Any] = {
    "http": {"middlewares": {"davit-headers": {"headers": {}}}},
    "tls": {"options": {"default": {}}},
}


def test_what_the_role_gives_stays_beside_certificates_and_mark() -> None:
    document, mark = edge_document(GIVEN, [Certificate("a", "k")], "ping")
    assert set(document["http"]["middlewares"]) == {"davit-headers", "davit-mark"}
    assert set(document["tls"]) == {"options", "certificates", "stores"}
    router = document["http"]["routers"]["davit-mark"]
    assert (router["entryPoints"], router["rule"]) == (["ping"], "Path(`/configuration`)")
    headers = document["http"]["middlewares"]["davit-mark"]["headers"]["customResponseHeaders"]
    assert headers == {"Davit-Edge": mark}
    assert set(GIVEN["http"]["middlewares"]) == {"davit-headers"}, "what was given is not touched"


def test_each_change_has_a_mark_of_its_own() -> None:
    marks = [
        edge_document(*given, "ping")[1]
        for given in ((GIVEN, []), (GIVEN, [Certificate("a", "k")]), ({}, []), (GIVEN, []))
    ]
    assert marks[0] == marks[3]
    assert len(set(marks)) == 3


def test_another_authority_is_another_container() -> None:
    """It is read when the edge starts."""
    wanted = [wanted_config(compose_document({"image": "t"}, {}, authority)) for authority in ("", "one", "two")]
    assert len(set(wanted)) == 3


@pytest.mark.parametrize(
    ("samples", "gap"),
    [
        ([], 0.0),
        ([(0.0, True), (1.0, True)], 0.0),
        ([(0.0, True), (0.1, False), (0.5, True), (0.6, True)], 0.5),
        ([(0.0, False), (1.0, True)], 1.0),
        ([(0.0, True), (0.5, False), (2.0, False)], 2.0),
        ([(0.0, True), (0.1, False), (0.2, True), (0.3, False), (0.9, True)], 0.7),
    ],
)
def test_the_longest_time_between_two_answers(samples: list[tuple[float, bool]], gap: float) -> None:
    assert longest_gap(samples) == pytest.approx(gap)


def test_last_words_are_the_errors() -> None:
    log = "\x1b[2K" + "\n".join(
        [
            json.dumps({"level": "info", "message": "Starting"}),
            json.dumps({"level": "error", "message": "Command error", "error": "bad CIDR"}),
            json.dumps({"level": "error", "message": "Command error", "error": "bad CIDR"}),
        ]
    )
    assert last_words(log) == "Command error bad CIDR"


def test_last_words_without_errors_are_the_last_lines() -> None:
    lines = [json.dumps({"level": "info", "message": f"line {n}"}) for n in range(9)]
    assert last_words("\n".join(lines), lines=2) == "line 7; line 8"
    assert last_words("panic: no JSON\n") == "panic: no JSON"
    assert last_words("") == "(nothing)"
