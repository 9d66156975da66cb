"""The edge's files and refusals, with a host that is a folder and a Docker that is a table."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.edge_host import EDGE_PATH, EdgeHost
from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import (
    CONFIG_LABEL,
    EDGE_FILE,
    MARK_HEADER,
    Certificate,
    edge_document,
    render,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.routes import broken_routes

PING = "http://127.0.0.1:9/ping"  # nothing answers there


class Engine:
    """Answers commands from a table of (words that the command begins with, output); keeps what it was asked."""

    def __init__(self, *answers: tuple[str, int, str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        line = " ".join(command)
        self.asked.append(line)
        for words, code, out in self.answers:
            if line.startswith(words):
                return code, out if code == 0 else "", "" if code == 0 else out
        return 0, "", ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with Docker, whatever this machine has."""
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")


def made(tmp_path: Path, engine: Engine) -> EdgeHost:
    host = EdgeHost(engine, str(tmp_path / "davit/edge"), PING)
    host.make_directories()
    return host


def inspected(config: str) -> str:
    state = {"Running": True, "Restarting": False, "Paused": False, "Pid": 99}
    return json.dumps([{"Id": "c1", "Config": {"Labels": {CONFIG_LABEL: config}}, "State": state}])


def test_directories_are_for_root_alone(tmp_path: Path) -> None:
    made(tmp_path, Engine())
    for path in [tmp_path / "davit", *(tmp_path / "davit/edge").iterdir()]:
        assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("docker")
def test_the_container_is_what_the_engine_reports(tmp_path: Path) -> None:
    engine = Engine(("docker ps", 0, "c1\n"), ("docker inspect", 0, inspected("abc")))
    container = EdgeHost(engine, str(tmp_path), PING).container()
    assert container is not None
    assert (container.config, container.pid, container.running) == ("abc", 99, True)


@pytest.mark.usefixtures("docker")
def test_an_engine_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    engine = Engine(("docker ps", 1, "Cannot connect to the Docker daemon"))
    with pytest.raises(DavitError, match=r"Cannot connect to the Docker daemon"):
        EdgeHost(engine, str(tmp_path), PING).container()


def test_without_docker_there_is_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    host = EdgeHost(Engine(), str(tmp_path), PING)
    assert host.container() is None
    with pytest.raises(DavitError, match=r"davit\.ec2\.docker_engine"):
        host.require_docker()


def test_a_broken_route_file_is_named(tmp_path: Path) -> None:
    host = made(tmp_path, Engine())
    host.write({"dynamic/good.yml": '{"http": {}}', EDGE_PATH: "{broken"})
    host.refuse_broken_routes()
    host.write({"dynamic/shop.yml": "{broken"})
    with pytest.raises(DavitError, match=r"dynamic/shop\.yml: it is not JSON"):
        host.refuse_broken_routes()


def test_the_edge_s_own_file_breaks_nothing() -> None:
    for certificates in ([], [Certificate("chain", "key")]):
        assert broken_routes({EDGE_FILE: render(edge_document({}, certificates, "ping")[0])}) == {}


def hand_over(host: EdgeHost, *certificates: Certificate) -> None:
    host.write_certificates(certificates)
    host.write({EDGE_PATH: render(edge_document({}, certificates, "ping")[0])})


def test_certificates_come_change_and_go(tmp_path: Path) -> None:
    host = made(tmp_path, Engine())
    first, second, third = (Certificate(name, f"{name}-key") for name in ("one", "two", "three"))
    hand_over(host, first)
    key = tmp_path / f"davit/edge/certs/{first.name}.key"
    assert key.read_text() == "one-key"
    assert key.stat().st_mode & 0o777 == 0o600
    hand_over(host, second)
    assert key.exists(), "the edge may still be reading it"
    hand_over(host, third)
    assert not key.exists()
    hand_over(host)
    hand_over(host)
    assert list((tmp_path / "davit/edge/certs").iterdir()) == []


def test_what_acme_keeps_is_for_root_alone(tmp_path: Path) -> None:
    host = made(tmp_path, Engine())
    kept = tmp_path / "davit/edge/acme/acme.json"
    kept.write_text("{}")
    kept.chmod(0o644)
    host.make_directories()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeHost]:
    """A host whose edge answers with the mark that its dynamic file names, unless the file says 'bad'."""
    taken = {"mark": ""}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = (tmp_path / "davit/edge" / EDGE_PATH).read_text()
            if text != "bad":
                taken["mark"] = text
            self.send_response(200)
            self.send_header(MARK_HEADER, taken["mark"])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    engine = Engine(("docker compose", 0, '{"level":"error","message":"field not found"}'))
    host = EdgeHost(engine, str(tmp_path / "davit/edge"), f"http://127.0.0.1:{server.server_port}/ping")
    host.make_directories()
    yield host
    server.shutdown()
    server.server_close()


def test_a_running_edge_takes_a_file_over(edge: EdgeHost) -> None:
    edge.write({EDGE_PATH: "one"})
    edge.reload({EDGE_PATH: "two", "traefik.yml": "new"}, "two", timeout=5)
    assert (edge.mark(), edge.read("traefik.yml")) == ("two", "new")


def test_a_file_that_the_running_edge_does_not_take_is_put_back(edge: EdgeHost) -> None:
    edge.write({EDGE_PATH: "one"})
    with pytest.raises(DavitError, match=r"did not take over .*_edge\.yml within 0 s.*field not found"):
        edge.reload({EDGE_PATH: "bad", "traefik.yml": "new"}, "two", timeout=0)
    assert (edge.read(EDGE_PATH), edge.read("traefik.yml"), edge.mark()) == ("one", None, "one")


def test_half_a_file_is_never_in_place(tmp_path: Path) -> None:
    host = made(tmp_path, Engine())
    host.write({"dynamic/a.yml": "old"})
    with pytest.raises(TypeError):
        host.write({"dynamic/a.yml": None})  # type: ignore[dict-item]
    assert host.read("dynamic/a.yml") == "old"


@pytest.mark.usefixtures("docker")
def test_a_port_published_without_a_proxy_process_is_seen(tmp_path: Path) -> None:
    engine = Engine(("ss ", 0, ""), ("docker ps --filter publish=80 ", 0, "web-1\n"))
    with pytest.raises(DavitError, match=r"Port 80 is published by the container web-1"):
        EdgeHost(engine, str(tmp_path), PING).refuse_foreign_ports([80, 8099])


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize(("published", "yields_to"), [("shop-web-1 shop\n", "shop"), ("shop-web-1 shop\nx \n", "")])
def test_only_the_stack_that_is_to_be_adopted_may_keep_a_port(tmp_path: Path, published: str, yields_to: str) -> None:
    engine = Engine(("ss ", 0, ""), ("docker ps --filter publish=80 ", 0, published))
    host = EdgeHost(engine, str(tmp_path), PING)
    for project in ("shop", "", "other"):
        assert host.yields([80, 443], project) == bool(project and project == yields_to)
        assert not host.yields([443], project)
        if project and project == yields_to:
            host.refuse_foreign_ports([80, 443], project)
            continue
        with pytest.raises(DavitError, match=r"Port 80 is published by the container shop-web-1"):
            host.refuse_foreign_ports([80, 443], project)


@pytest.mark.usefixtures("docker")
def test_the_former_configuration_comes_back(tmp_path: Path) -> None:
    engine = Engine(("docker compose", 1, "no such option"))
    host = made(tmp_path, engine)
    former = {"traefik.yml": "old", "compose.yaml": "old"}
    new = {EDGE_PATH: "new", "traefik.yml": "new", "compose.yaml": "new"}
    host.write(former)
    with pytest.raises(DavitError, match=r"no such option.*The former one does not start either"):
        host.apply(new, "traefik:1", ("abc", "m"), 9, timeout=1)
    assert {name: host.read(name) for name in new} == {**former, EDGE_PATH: None}
    assert sum("up --detach" in line for line in engine.asked) == 2


@pytest.mark.usefixtures("docker")
def test_an_image_that_cannot_be_pulled_changes_nothing(tmp_path: Path) -> None:
    engine = Engine(("docker image inspect", 1, "no such image"), ("docker pull", 1, "manifest unknown"))
    host = made(tmp_path, engine)
    with pytest.raises(DavitError, match=r"manifest unknown"):
        host.apply({"traefik.yml": "new", "compose.yaml": "new"}, "traefik:0", ("abc", "m"), 9, timeout=1)
    assert host.read("traefik.yml") is None
    assert not any("compose" in line for line in engine.asked)
