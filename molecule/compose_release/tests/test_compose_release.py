"""What a deploy leaves on a host, asked through the edge, of the engine and of the records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

APPS = "/opt/davit/apps"
NAMES = {"default": "plain", "alternative": "restaurant-search"}
HOST = "food.example.org"
PLACES = {
    "default": ("http://127.0.0.1/ping", ""),
    "alternative": ("http://127.0.0.1/readyz", f"--header 'Host: {HOST}'"),
}


class Deployed:
    """A host with its app."""

    def __init__(self, machine: Machine, kind: str) -> None:
        self.machine = machine
        self.app = f"{APPS}/{NAMES[kind]}"
        self.place = PLACES[kind]

    @property
    def live(self) -> str:
        """The id of the release that the link `live` names."""
        return self.machine.output(f"basename $(readlink {self.app}/live)")

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.machine.output(f"cat {self.app}/history.jsonl").splitlines()]

    def record(self) -> dict[str, Any]:
        return dict(self.machine.json(f"cat {self.app}/live/release.json"))

    def containers(self) -> list[dict[str, Any]]:
        """What the engine knows of each container of the live release's Compose project."""
        chosen = f"--filter label=com.docker.compose.project={self.record()['project']}"
        names = self.machine.output(f"docker ps --all --quiet {chosen}").split()
        assert names, self.machine.output("docker ps --all")
        return list(self.machine.json(f"docker inspect {' '.join(names)}"))


@pytest.fixture(params=NAMES)
def deployed(request: pytest.FixtureRequest) -> Deployed:
    """Each host with its app."""
    return Deployed(request.getfixturevalue(str(request.param)), str(request.param))


@pytest.fixture
def service(alternative: Machine) -> Deployed:
    """The example service."""
    return Deployed(alternative, "alternative")


def test_the_live_release_answers_through_the_edge(deployed: Deployed) -> None:
    status, headers, _body = deployed.machine.answer(*deployed.place)
    assert (status, headers["davit-release"]) == (200, deployed.live)


def test_the_version_that_was_asked_for_answers_with_its_environment(service: Deployed) -> None:
    _status, _headers, body = service.machine.answer("http://127.0.0.1/version", service.place[1])
    told = json.loads(body)
    assert (told["version"], told["deploy_label"]) == ("v1", "summer menu")


def test_another_host_name_has_no_route(service: Deployed) -> None:
    assert service.machine.answer("http://127.0.0.1/readyz")[0] == 404


def test_only_loopback_publishes_the_release(deployed: Deployed) -> None:
    bindings = [
        binding
        for container in deployed.containers()
        for published in container["HostConfig"]["PortBindings"].values()
        for binding in published
    ]
    assert len(bindings) == 1
    assert bindings[0]["HostIp"] == "127.0.0.1"
    port = int(bindings[0]["HostPort"])
    assert 20000 <= port <= 29999
    addresses = deployed.machine.output("hostname -I").split()
    assert addresses
    for address in addresses:
        refused = deployed.machine.host.run(f"curl --silent --max-time 5 http://{address}:{port}/")
        assert refused.rc == 7, f"{address}:{port} answers: {refused.stdout}"
    deployed.machine.output(f"curl --silent --show-error --max-time 5 http://127.0.0.1:{port}/")


def test_the_engine_is_told_to_start_the_release_at_boot(deployed: Deployed) -> None:
    policies = {container["HostConfig"]["RestartPolicy"]["Name"] for container in deployed.containers()}
    assert policies == {"unless-stopped"}


def test_only_root_reads_the_records(deployed: Deployed) -> None:
    machine, app = deployed.machine, deployed.app
    assert machine.output(f"stat --format '%a %U' {APPS} {app}").splitlines() == ["700 root", "700 root"]
    release = f"{app}/releases/{deployed.live}"
    records = f"{release}/release.json {release}/verdict.json {app}/history.jsonl"
    assert machine.output(f"stat --format '%a %U' {records}").splitlines() == ["600 root"] * 3
    assert machine.host.run(f"runuser --user nobody -- ls {APPS}").rc != 0


def test_the_live_release_is_the_last_good_one(deployed: Deployed) -> None:
    assert deployed.machine.output(f"basename $(readlink {deployed.app}/last_good)") == deployed.live


def test_the_history_tells_one_success(deployed: Deployed) -> None:
    """The second run of the scenario changed nothing, and so says nothing."""
    assert [(line["release"], line["result"]) for line in deployed.history()] == [(deployed.live, "succeeded")]


def test_the_record_says_who_and_what(service: Deployed) -> None:
    record = service.record()
    assert (record["created_by"], record["commit"], record["version"]) == ("molecule", "c0ffee", "v1")
    assert all("@sha256:" in image["pinned"] for image in record["images"].values())
    assert "warning" not in json.dumps(record)


def test_no_login_is_left(deployed: Deployed) -> None:
    assert deployed.machine.output("find /root /home -path '*/.docker/config.json'") == ""
    assert deployed.machine.output("find /run -path '/run/davit/registry/*'") == ""


def shell_blocks(document: Path) -> str:
    """All that the document's `sh` blocks hold, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return re.sub(r"\\\n\s*", "", "".join(blocks))


def test_the_runbook_s_commands_work(service: Deployed, project: Path) -> None:
    """What docs/operations.md has a person type on the host, word for word but for the names."""
    programs = ("tail", "readlink", "docker compose", "curl", "journalctl", "cat", "python3")
    lines = [line for line in shell_blocks(project / "docs/operations.md").splitlines() if line.startswith(programs)]
    assert {line.split()[0] for line in lines} == {program.split()[0] for program in programs}
    answers = {}
    for line in lines:
        command = line.replace("<app>", "restaurant-search").replace("<id>", service.live)
        command = command.replace("<host>", HOST)
        if command.startswith("cat "):
            # It is there while a deploy is under way, or was left unfinished.
            assert "No such file" in service.machine.host.run(command).stderr
            continue
        answers[line.split()[0]] = service.machine.output(command)
    assert json.loads(answers["tail"].splitlines()[-1])["result"] == "succeeded"
    assert answers["readlink"] == f"releases/{service.live}"
    assert f"davit-release: {service.live}" in answers["curl"].lower()


@pytest.fixture
def by_itself(service: Deployed, project: Path) -> Iterator[Machine]:
    """The service's folder on the host, with the image that its Compose file names."""
    machine = service.machine
    (image,) = {container["Image"] for container in service.containers()}
    machine.output(f"docker tag {image} ghcr.io/davit-ec2/restaurant-search:v1 && mkdir -p /srv/service")
    text = (project / "service/compose.yaml").read_text(encoding="utf-8")
    machine.output(f"cat > /srv/service/compose.yaml <<'END'\n{text}\nEND")
    yield machine
    machine.output("cd /srv/service && docker compose down")


def test_the_service_s_own_commands_work(by_itself: Machine, project: Path) -> None:
    """What service/README.md has a person type, word for word but that it does not wait in a terminal."""
    commands = shell_blocks(project / "service/README.md").splitlines()
    assert [line for line in commands if re.match(r"docker compose up\s+#", line)]
    by_itself.output("cd /srv/service && docker compose up --detach --wait")
    searches = [line for line in commands if line.startswith("curl ")]
    assert len(searches) == 2
    for line in searches:
        answer = json.loads(
            by_itself.output(line.replace("curl ", "curl --silent --show-error --fail --max-time 10 ", 1))
        )
        assert answer["count"] > 0, line
