"""Faults of a host, each for as long as its block lasts. All stay inside the host's own container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.e2e.support.fleet import ec2_client
from tests.e2e.support.playbook import ROOT
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until

PROXY_PORT, PROXY_MARK = 5999, "0x5f"  # as in registry_proxy.py
LAB_KEYS = ROOT / ".lab/ca/ghcr.io"


@contextlib.contextmanager
def _filtered(target: Target, *rules: str) -> Iterator[None]:
    """iptables rules in front of all others, gone again at the end of the block."""
    for rule in rules:
        target.inside(f"iptables -w {rule.replace('CHAIN', '-I')}")
    try:
        yield
    finally:
        for rule in rules:
            target.inside(f"iptables -w {rule.replace('CHAIN', '-D')}")


@contextlib.contextmanager
def ssh_cut(target: Target) -> Iterator[None]:
    """Every SSH connection breaks, and none can be made."""
    with _filtered(target, "CHAIN INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"):
        yield


def _registry(target: Target) -> str:
    return target.inside("awk '$2 == \"ghcr.io\" { print $1 }' /etc/hosts").strip()


@contextlib.contextmanager
def registry_down(target: Target) -> Iterator[None]:
    """Nobody listens at the registry's address."""
    rule = f"CHAIN OUTPUT -d {_registry(target)} -p tcp --dport 443 -j REJECT --reject-with tcp-reset"
    with _filtered(target, rule):
        yield


@contextlib.contextmanager
def registry_that(target: Target, fault: str) -> Iterator[None]:
    """A registry with a fault (see registry_proxy.py) stands in for the real one."""
    files = {
        "proxy.py": ROOT / "tests/e2e/support/registry_proxy.py",
        "tls.crt": LAB_KEYS / "tls.crt",
        "tls.key": LAB_KEYS / "tls.key",
    }
    target.inside("install -d -m 700 /run/davit-test")
    for name, path in files.items():
        target.inside(f"cat > /run/davit-test/{name} <<'END-OF-FILE'\n{path.read_text()}\nEND-OF-FILE\n")
    address = _registry(target)
    words = f"{address} /run/davit-test/tls.crt /run/davit-test/tls.key {fault}"
    target.inside(
        "systemd-run --quiet --collect --unit davit-test-registry --property=RuntimeMaxSec=300"
        f" python3 /run/davit-test/proxy.py {words}"
    )
    try:
        until(lambda: f":{PROXY_PORT}" in target.inside("ss -Hltn"), 10)
        rule = (
            f"-t nat CHAIN OUTPUT -d {address} -p tcp --dport 443 -m mark ! --mark {PROXY_MARK}"
            f" -j REDIRECT --to-ports {PROXY_PORT}"
        )
        with _filtered(target, rule):
            yield
    finally:
        target.inside("systemctl stop davit-test-registry; rm -r /run/davit-test")


@contextlib.contextmanager
def little_space_for_pulls(target: Target, megabytes: int) -> Iterator[None]:
    """Where the engine keeps a layer while it comes in, only so much fits.

    A small file system over that one directory: to fill the disk would fill the machine's, which all hosts share.
    """
    place = "/var/lib/docker/tmp"
    target.inside(f"mount -t tmpfs -o size={megabytes}m,mode=700 tmpfs {place}")
    try:
        yield
    finally:
        target.inside(f"umount --lazy {place}")


@contextlib.contextmanager
def small_disk(target: Target, megabytes: int) -> Iterator[None]:
    """Davit's own directory on a file system that `fill` can fill, and that is taken away again at the end.

    The edge is started anew at both ends, since it has the old directory open.
    """
    place, old = "/opt/davit", "/run/davit-test-disk"
    edge = "docker restart --time 2 $(docker ps --quiet --filter label=com.docker.compose.project=davit-edge)"
    live = target.live()
    target.inside(
        f"install -d {old}; mount --bind {place} {old}; mount -t tmpfs -o size={megabytes}m,mode=755 tmpfs {place};"
        f" cp -a {old}/. {place}; {edge}"
    )
    try:
        until(lambda: target.answering() == live, 30)
        yield
    finally:
        target.inside(
            f"find {old} -mindepth 1 -delete; cp -a {place}/. {old}; umount --lazy {place}; umount {old}; {edge}"
        )


@contextlib.contextmanager
def fill(target: Target) -> Iterator[None]:
    """The directory of `small_disk` full to its last byte until the end of the block."""
    filling = "/opt/davit/filling"
    target.inside(f"dd if=/dev/zero of={filling} bs=512 status=none || test $(stat -c %s {filling}) -gt 0")
    try:
        yield
    finally:
        target.inside(f"rm {filling}")


def forget_images(target: Target) -> None:
    """Remove all images that no container uses, so that the next deploy has to pull."""
    listed = "docker image ls --digests --format '{{.Repository}}@{{.Digest}}' | grep /tiny@sha256"
    target.inside(f"for image in $({listed}); do docker image rm $image || true; done")


def booted(target: Target) -> str:
    """When the host's first process began; empty while nobody can be asked."""
    try:
        return target.inside("stat -c %Z /proc/1").strip()
    except AssertionError:
        return ""


def reboot(target: Target) -> None:
    """Reboot through AWS, and wait until the host has begun anew."""
    instance = next(iter(target.fleet.instances().values()))["InstanceId"]
    before = booted(target)
    ec2_client().reboot_instances(InstanceIds=[instance])
    until(lambda: booted(target) not in ("", before), 90)


def ensure_faketime(target: Target) -> None:
    """Have the program that runs others under a false clock; the clock itself is the machine's."""
    target.inside("command -v faketime || (apt-get -qq update && apt-get -qq install -y faketime) >/dev/null")
