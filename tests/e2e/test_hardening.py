"""What host, engine and security group let through, asked of each of them; and a reboot that waits for a deploy."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.e2e.support.app import App
from tests.e2e.support.host import Host
from tests.e2e.support.wait import until

PORT = 8000
WEAK = ("sha1", "nistp", "group14-", "group1-", "group-exchange")


def sshd(host: Host) -> dict[str, str]:
    """What sshd says of itself, by keyword."""
    lines = host.shell("/usr/sbin/sshd -T").splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def try_ssh(host: Host, *options: str) -> str:
    """What a client on the host itself is told: sshd holds failed tries against the address that they come from."""
    given = " ".join(f"-o {option}" for option in ("BatchMode=yes", "StrictHostKeyChecking=no", *options))
    return host.shell(f"ssh {given} -o UserKnownHostsFile=/dev/null 127.0.0.1 true 2>&1; true")


def test_sshd_takes_keys_alone_and_never_root(host: Host) -> None:
    told = sshd(host)
    for keyword in (
        "passwordauthentication",
        "kbdinteractiveauthentication",
        "permitrootlogin",
        "permitemptypasswords",
    ):
        assert told[keyword] == "no", keyword
    assert "Permission denied (publickey)" in try_ssh(host, "PreferredAuthentications=password,keyboard-interactive")
    # With a key that the host itself knows, as who it is.
    key = "/root/.ssh/davit-test"
    host.shell(f"mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f {key}")
    try:
        host.shell(f"cat {key}.pub >> /root/.ssh/authorized_keys")
        assert "Permission denied (publickey)" in try_ssh(host, f"IdentityFile={key}", "User=root")
    finally:
        host.shell("rm -f /root/.ssh/davit-test* /root/.ssh/authorized_keys")


@pytest.mark.parametrize(
    ("keyword", "option"),
    [
        ("kexalgorithms", "KexAlgorithms=diffie-hellman-group14-sha256"),
        ("kexalgorithms", "KexAlgorithms=ecdh-sha2-nistp256"),
        # With GCM no MAC would be agreed on.
        ("macs", "Ciphers=aes128-ctr -o MACs=hmac-sha1"),
    ],
    ids=lambda value: value.rpartition("=")[2],
)
def test_sshd_agrees_to_strong_algorithms_alone(host: Host, keyword: str, option: str) -> None:
    offered = sshd(host)[keyword].split(",")
    assert offered
    assert [name for name in offered if any(weak in name for weak in WEAK)] == []
    assert option.rpartition("=")[2] not in offered
    assert "no matching" in try_ssh(host, option)


def test_sshd_still_speaks_to_clients_of_today(host: Host) -> None:
    told = sshd(host)
    assert {"curve25519-sha256", "sntrup761x25519-sha512@openssh.com"} <= set(told["kexalgorithms"].split(","))
    assert told["macs"].split(",")[0] == "hmac-sha2-512-etm@openssh.com"
    assert {name.split("@")[0] for name in told["ciphers"].split(",")} == {
        *("chacha20-poly1305", "aes256-gcm", "aes128-gcm", "aes256-ctr", "aes192-ctr", "aes128-ctr"),
    }


def test_the_engine_is_reached_by_root_alone_and_follows_its_file(host: Host) -> None:
    written = json.loads(host.shell("cat /etc/docker/daemon.json"))
    assert "hosts" not in written
    assert (written["live-restore"], written["no-new-privileges"], written["userland-proxy"]) == (True, True, False)
    assert written["log-opts"] == {"max-size": "10m", "max-file": "5"}
    followed = json.loads(host.shell("docker info --format '{{json .SecurityOptions}}'"))
    assert "name=no-new-privileges" in followed
    listening = host.shell("ss --listening --tcp --processes --numeric --no-header").splitlines()
    # On loopback it keeps the ports of what is live from being taken by another.
    assert [line for line in listening if "dockerd" in line and not line.split()[3].startswith("127.0.0.1:2")] == []
    assert host.shell("getent group docker").strip().endswith(":")
    held = host.shell("apt-mark showhold").split()
    assert "docker.io" in held


def test_upgrades_come_by_themselves_and_a_reboot_only_in_its_window(host: Host) -> None:
    settings = host.shell("apt-config dump | grep -E '^(APT::Periodic|Unattended-Upgrade)::'")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings, "its reboot does not ask whether a deploy is on"
    assert "apt-daily-upgrade.timer" in host.shell("systemctl list-timers --no-pager --plain")
    timer = host.shell("systemctl show davit-reboot.timer -p TimersCalendar -p RandomizedDelayUSec -p ActiveState")
    assert "OnCalendar=*-*-* 03:30:00" in timer
    assert "RandomizedDelayUSec=1h" in timer
    assert "ActiveState=active" in timer
    assert host.shell("systemctl is-enabled davit-reboot.timer").strip() == "enabled"


def test_the_live_release_has_no_more_rights_than_its_compose_file_says(host: Host) -> None:
    """The reference service is stricter than the defaults, which must not soften it."""
    running = host.shell("docker ps -q --filter label=davit.app=restaurant-search").split()
    if not running:
        result = host.deploy()
        assert result.rc == 0, str(result)
        running = host.shell("docker ps -q --filter label=davit.app=restaurant-search").split()
    for one in json.loads(host.shell(f"docker inspect {' '.join(running)}")):
        settings = one["HostConfig"]
        assert (settings["ReadonlyRootfs"], settings["Privileged"], settings["PidsLimit"]) == (True, False, 128)
        assert settings["CapDrop"] == ["ALL"]
        assert any(option.startswith("no-new-privileges") for option in settings["SecurityOpt"])
        assert settings["Memory"] == 512 << 20
        assert one["Config"]["User"] not in ("", "0", "root")


@pytest.fixture
def published(host: Host) -> Iterator[None]:
    """A container that is published on every address of the host, as a stack without Davit is."""
    image = host.shell(
        "docker image ls --format '{{.Repository}}@{{.Digest}}' --digests | grep /tiny@ | head -1"
    ).strip()
    if not image:
        app = App(host, "published", "rollout")
        app.deployed()
        image = host.shell(
            "docker image ls --format '{{.Repository}}@{{.Digest}}' --digests | grep /tiny@ | head -1"
        ).strip()
    host.shell(f"docker run --detach --name published --publish {PORT}:8080 {image}")
    try:
        own = "$(hostname --all-ip-addresses | cut -d ' ' -f 1)"
        until(lambda: host.shell(f"curl -s -m 2 http://{own}:{PORT}/readyz; true") != "", 30)
        yield
    finally:
        host.shell("docker rm --force published")


def answers(host: Host) -> bool:
    """Whether the published port answers to somebody outside, at the host's Elastic IP."""
    connection = http.client.HTTPConnection(host.address, PORT, timeout=3)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    # Also of a connection that is accepted and then cut, as while the port is being closed.
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@pytest.mark.usefixtures("published")
def test_a_published_port_is_closed_to_the_world_until_it_is_asked_for(host: Host) -> None:
    """Published ports pass host firewalls by, so the security group is what closes it."""
    assert not answers(host)
    asked = {"security_group_public_ports": [80, 443, PORT], "security_group_world_ports_allowed": [PORT]}
    opened = host.fleet.run("provision", **asked)
    assert opened.rc == 0, str(opened)
    until(lambda: answers(host), 30)
    closed = host.fleet.run("provision")
    assert closed.rc == 0, str(closed)
    until(lambda: not answers(host), 30)


def booted(host: Host) -> str:
    """When the host's first process began; empty while nobody can be asked."""
    try:
        return host.shell("stat -c %Z /proc/1").strip()
    except AssertionError:
        return ""


def test_a_reboot_for_an_upgrade_waits_until_the_deploy_has_ended(host: Host) -> None:
    app = App(host, "reboots", "rollout")
    app.deployed()
    before = booted(host)
    with app.start_deploy(compose_release_soak_seconds=6) as run:
        trial = app.await_soak()
        host.shell("touch /run/reboot-required && systemctl start --no-block davit-reboot.service")
        said = "journalctl --no-pager --output cat --unit davit-reboot.service"
        until(lambda: "waiting: 'reboots' is locked by tests" in host.shell(said), 20)
        result = run.wait()
    assert result.rc == 0, str(result)
    until(lambda: booted(host) not in ("", before), 60)
    until(lambda: app.ask("/readyz").release == trial, 60)
    assert (app.live(), app.history()[-1]["result"]) == (trial, "succeeded")
    assert host.shell("test -e /run/reboot-required && echo there || echo gone").strip() == "gone"
    until(lambda: host.shell("systemctl is-system-running; true").strip() in ("running", "degraded"), 60)
