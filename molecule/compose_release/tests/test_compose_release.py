"""What a deploy leaves on a host, asked through the edge, of the engine and of the records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

testinfra_hosts = ["docker://davit-molecule-release"]

APPS = "/opt/davit/apps"
APP = f"{APPS}/restaurant-search"


@pytest.fixture(autouse=True)
def logs(host: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the last words of every container beside a failure."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for name in host.run("docker ps --all --format '{{.Names}}'").stdout.split():
            sys.stdout.write(f"--- {name}\n{host.run(f'docker logs --tail 40 {name} 2>&1').stdout}")


def output(host: Any, command: str) -> str:
    """What the command prints; it must succeed."""
    result = host.run(command)
    assert result.rc == 0, f"{command}: {result.stdout}{result.stderr}"
    return str(result.stdout).strip()


def live(host: Any) -> str:
    """The id of the release that the link `live` names."""
    return output(host, f"basename $(readlink {APP}/live)")


def containers(host: Any) -> list[dict[str, Any]]:
    """What the engine knows of each container of the live release's Compose project."""
    project = json.loads(host.file(f"{APP}/live/release.json").content_string)["project"]
    names = output(host, f"docker ps --all --quiet --filter label=com.docker.compose.project={project}").split()
    assert names, output(host, "docker ps --all")
    found: list[dict[str, Any]] = json.loads(output(host, f"docker inspect {' '.join(names)}"))
    return found


def test_the_live_release_answers_through_the_edge(host: Any) -> None:
    answer = output(host, "curl --silent --show-error --fail --include --max-time 5 http://127.0.0.1/readyz")
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    assert headers["davit-release"] == live(host)
    assert json.loads(body)["status"] == "ready"


def test_the_version_that_was_asked_for_answers(host: Any) -> None:
    answer = output(host, "curl --silent --show-error --fail --max-time 5 http://127.0.0.1/version")
    assert json.loads(answer)["version"] == "v1"


def test_only_loopback_publishes_the_release(host: Any) -> None:
    bindings = [
        binding
        for container in containers(host)
        for published in container["HostConfig"]["PortBindings"].values()
        for binding in published
    ]
    assert len(bindings) == 1
    assert bindings[0]["HostIp"] == "127.0.0.1"
    port = int(bindings[0]["HostPort"])
    assert 20000 <= port <= 29999
    addresses = output(host, "hostname -I").split()
    assert addresses
    for address in addresses:
        refused = host.run(f"curl --silent --max-time 5 http://{address}:{port}/readyz")
        assert refused.rc == 7, f"{address}:{port} answers: {refused.stdout}"
    output(host, f"curl --silent --show-error --fail --max-time 5 http://127.0.0.1:{port}/readyz")


def test_the_engine_is_told_to_start_the_release_at_boot(host: Any) -> None:
    policies = [container["HostConfig"]["RestartPolicy"]["Name"] for container in containers(host)]
    assert set(policies) == {"unless-stopped"}


def test_only_root_reads_the_records(host: Any) -> None:
    assert output(host, f"stat --format '%a %U' {APPS} {APP}").splitlines() == ["700 root", "700 root"]
    release = f"{APP}/releases/{live(host)}"
    records = f"{release}/release.json {release}/verdict.json {APP}/history.jsonl"
    assert output(host, f"stat --format '%a %U' {records}").splitlines() == ["600 root"] * 3
    assert host.run(f"runuser --user nobody -- ls {APPS}").rc != 0


def test_the_live_release_is_the_last_good_one(host: Any) -> None:
    assert output(host, f"readlink {APP}/live") == output(host, f"readlink {APP}/last_good")


def test_the_history_tells_one_success(host: Any) -> None:
    """The second run of the scenario changed nothing, and so says nothing."""
    lines = [json.loads(line) for line in host.file(f"{APP}/history.jsonl").content_string.splitlines()]
    assert [(line["release"], line["result"]) for line in lines] == [(live(host), "succeeded")]


def test_no_login_is_left(host: Any) -> None:
    homes = output(host, "find /root /home -path '*/.docker/config.json'")
    assert homes == ""
    assert output(host, "find /run -path '/run/davit/registry/*'") == ""
