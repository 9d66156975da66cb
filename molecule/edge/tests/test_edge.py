"""What an edge without any app answers, and how it runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Machine

TLS = "--resolve shop.example.org:443:127.0.0.1 --insecure"


def container(machine: Machine) -> dict[str, Any]:
    """What the engine knows of the edge's container."""
    name = machine.output("docker ps --quiet --filter label=com.docker.compose.project=davit-edge")
    (found,) = machine.json(f"docker inspect {name}")
    return dict(found)


def listening(machine: Machine) -> set[str]:
    """The addresses with ports on which anything but sshd, containerd and Docker's DNS listens for TCP."""
    lines = machine.output("ss --listening --tcp --numeric --no-header --processes").splitlines()
    others = ('"sshd"', '"containerd"', " 127.0.0.11:")
    return {line.split()[3] for line in lines if not any(other in line for other in others)}


def test_it_says_that_it_is_well(either: Machine) -> None:
    assert either.answer("http://127.0.0.1:8099/ping")[0] == 200


def test_what_it_counts_is_told_on_the_host_alone(default: Machine, alternative: Machine) -> None:
    for machine, public in ((default, "http://127.0.0.1"), (alternative, "https://shop.example.org")):
        status, _headers, body = machine.answer("http://127.0.0.1:8099/metrics")
        assert (status, "traefik_config_reloads_total" in body) == (200, True)
        assert machine.answer(f"{public}/metrics", TLS)[0] == 404


def test_without_a_route_it_answers_404(default: Machine) -> None:
    assert default.answer("http://127.0.0.1/")[0] == 404


def test_without_tls_only_port_80_is_open(default: Machine) -> None:
    assert listening(default) == {"*:80", "127.0.0.1:8099"}


def test_with_a_certificate_https_is_served(alternative: Machine) -> None:
    assert listening(alternative) == {"*:80", "*:443", "127.0.0.1:8099"}
    assert alternative.answer("https://shop.example.org/", TLS)[0] == 404
    shown = alternative.output(
        "echo | openssl s_client -connect 127.0.0.1:443 -servername shop.example.org 2>/dev/null"
        " | openssl x509 -noout -subject"
    )
    assert shown.replace(" ", "") == "subject=CN=shop.example.org"


def test_the_key_is_in_its_file_alone(alternative: Machine) -> None:
    assert "Invoked with" in alternative.output("journalctl --no-pager"), "what Ansible runs is told there"
    assert "PRIVATE KEY" not in alternative.output("journalctl --no-pager")


def test_http_is_sent_to_https(alternative: Machine) -> None:
    status, headers, _body = alternative.answer("http://127.0.0.1/search?q=a", "--header 'Host: shop.example.org'")
    assert status in (301, 308)
    assert headers["location"] == "https://shop.example.org/search?q=a"


def test_requests_are_logged_when_asked_for(default: Machine, alternative: Machine) -> None:
    """The log is written at the latest a moment after the answer."""
    for machine, url, logged in (
        (alternative, "https://shop.example.org/seen", True),
        (default, "http://127.0.0.1/seen", False),
    ):
        machine.answer(url, TLS)
        name = container(machine)["Name"].lstrip("/")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            lines = machine.output(f"docker logs {name} 2>&1").splitlines()
            found = [json.loads(line) for line in lines if '"RequestPath":"/seen"' in line]
            if found or not logged:
                break
            time.sleep(0.2)
        assert bool(found) is logged


def test_it_cannot_do_more_than_it_must(either: Machine) -> None:
    found = container(either)
    host = found["HostConfig"]
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["NetworkMode"]) == (["ALL"], True, "host")
    assert "no-new-privileges=true" in host["SecurityOpt"] or "no-new-privileges:true" in host["SecurityOpt"]
    assert not any("docker.sock" in mount["Source"] for mount in found["Mounts"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_only_root_reads_keys_and_configuration(alternative: Machine) -> None:
    keys = alternative.output("find /opt/davit/edge/certs -name '*.key'").splitlines()
    assert len(keys) == 1
    assert alternative.output(f"stat --format '%a %U' {keys[0]}") in {"600 root", "400 root"}
    assert alternative.host.run("runuser --user nobody -- ls /opt/davit/edge").rc != 0


def test_the_changed_settings_are_the_running_ones(alternative: Machine) -> None:
    settings = alternative.json("cat /opt/davit/edge/traefik.yml")
    entry = settings["entryPoints"]["websecure"]
    assert entry["transport"]["respondingTimeouts"] == {"idleTimeout": "120s", "readTimeout": "60s"}
    assert entry["transport"]["lifeCycle"] == {"graceTimeOut": "3s"}
    assert entry["forwardedHeaders"] == {"trustedIPs": ["192.0.2.0/24"]}
    written = alternative.output("stat --format %Y /opt/davit/edge/traefik.yml")
    started = alternative.output(f"date --date {container(alternative)['State']['StartedAt']} +%s")
    assert int(started) >= int(written) - 1


def test_a_refused_change_has_not_touched_it(default: Machine) -> None:
    """side_effect tried to change the log level beside a broken route."""
    assert default.json("cat /opt/davit/edge/traefik.yml")["log"]["level"] == "INFO"
    assert default.output("docker ps --all --quiet | wc -l") == "1"
