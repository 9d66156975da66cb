"""doctor.yml: each fault that is planted is found by its name, and nothing is found on a host that is well."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lab.images import REGISTRIES
from tests.e2e.support import faults
from tests.e2e.support.fleet import ec2_client
from tests.e2e.support.playbook import ROOT, Result
from tests.e2e.support.target import APP, Target

LAB = ROOT / ".lab"
Plant = Callable[[Target, Path], "AbstractContextManager[dict[str, Any]]"]


def examine(target: Target, **variables: Any) -> Result:
    return target.fleet.run("doctor", **{"compose_release_app": APP, "compose_release_routes": [], **variables})


@contextlib.contextmanager
def planted(target: Target, plant: str, mend: str) -> Iterator[dict[str, Any]]:
    """A fault by one script, gone again by another one."""
    target.inside(plant)
    try:
        yield {}
    finally:
        target.inside(mend)


@contextlib.contextmanager
def _with_nothing(block: AbstractContextManager[None]) -> Iterator[dict[str, Any]]:
    with block:
        yield {}


def script(plant: str, mend: str) -> Plant:
    return lambda target, _folder: planted(target, plant, mend)


def variables(make: Callable[[Target, Path], dict[str, Any]]) -> Plant:
    return lambda target, folder: contextlib.nullcontext(make(target, folder))


@contextlib.contextmanager
def closed_in_the_cloud(target: Target, port: int) -> Iterator[dict[str, Any]]:
    """Port of the security group, taken away and given back."""
    group = target.fleet.security_groups()[target.fleet.name]
    rules = [rule for rule in group["IpPermissions"] if rule["FromPort"] == port]
    ec2_client().revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)
    try:
        yield {}
    finally:
        ec2_client().authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)


def key_file(folder: Path, text: str, mode: int = 0o600) -> dict[str, Any]:
    path = folder / "key.pem"
    path.write_text(text, newline="")
    path.chmod(mode)
    return {"ansible_ssh_private_key_file": str(path)}


def key() -> str:
    return (LAB / "ssh/id_ed25519").read_text()


def known(folder: Path, line: str) -> dict[str, Any]:
    """SSH words of an inventory that keeps keys by address, with this one known."""
    path = folder / "known_hosts"
    path.write_text(line + "\n")
    files = f"-o UserKnownHostsFile={path} -o GlobalKnownHostsFile=/dev/null"
    return {"ansible_ssh_common_args": f"-F /dev/null -o StrictHostKeyChecking=accept-new {files}"}


def offered(target: Target) -> str:
    """The host's own key: type and key."""
    scan = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", target.address], capture_output=True, text=True, check=True
    ).stdout
    return " ".join(next(line for line in scan.splitlines() if not line.startswith("#")).split()[1:3])


def other_key(folder: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True)
    return " ".join((folder / "other.pub").read_text().split()[:2])


MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def registry(method: str, tag: str, kind: str, body: bytes = b"") -> bytes:
    """Ask the lab's registry for a manifest of the image `tiny`, or give it one."""
    context = ssl.create_default_context(cafile=str(LAB / "ca/ca.crt"))
    context.check_hostname = False  # it is known as ghcr.io, and published here
    account = base64.b64encode(f"davit:{(LAB / 'registry/password').read_text().strip()}".encode()).decode()
    header = {"Authorization": f"Basic {account}", "Content-Type" if body else "Accept": kind}
    connection = http.client.HTTPSConnection(REGISTRIES["ghcr.io"], context=context, timeout=30)
    try:
        connection.request(method, f"/v2/davit-ec2/tiny/manifests/{tag}", body or None, header)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    assert answer.status in (200, 201), f"{method} {tag}: {answer.status} {said.decode()}"
    return said


@contextlib.contextmanager
def built_for_arm(target: Target, _folder: Path) -> Iterator[dict[str, Any]]:
    """The tag of what is live was pushed once more, from a machine with another processor."""
    manifest = registry("GET", "v1", MANIFEST)
    registry("PUT", "from-a-laptop", MANIFEST, manifest)
    result = target.deploy(compose_release_version="from-a-laptop")
    assert result.rc == 0, str(result)
    entry = {
        "mediaType": MANIFEST,
        "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
        "size": len(manifest),
        "platform": {"architecture": "arm64", "os": "linux"},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    registry("PUT", "from-a-laptop", INDEX, json.dumps(index).encode())
    try:
        yield {}
    finally:
        registry("PUT", "from-a-laptop", MANIFEST, manifest)


@contextlib.contextmanager
def clock_behind(target: Target, _folder: Path) -> Iterator[dict[str, Any]]:
    """The Python that Ansible finds on the host lives two hours ago; the clock itself is the machine's."""
    faults.ensure_faketime(target)
    python = target.inside("basename $(readlink -f /usr/bin/python3)").strip()
    late = f"/usr/local/bin/{python}"
    wrapper = f'#!/bin/sh\nexec faketime -f -2h /usr/bin/{python} "$@"\n'
    with planted(target, f"cat > {late} <<'END'\n{wrapper}END\nchmod 755 {late}", f"rm {late}") as given:
        yield given


LIVE = "$(docker ps --quiet --filter label=davit.app=faults)"
COMPOSE = "$(find /usr/libexec/docker /usr/lib/docker -name docker-compose 2>/dev/null | head -1)"
FAKE = "printf '#!/bin/sh\\n{body}\\n' > /usr/local/bin/{name}; chmod 755 /usr/local/bin/{name}"
OLD = FAKE.format(name="docker", body='[ "$1" = version ] && echo 20.10.5 || exec /usr/bin/docker "$@"')

FAULTS: dict[str, Plant] = {
    "the SSH key was changed when it was copied": variables(lambda _t, f: key_file(f, key().replace("\n", " \r\n"))),
    "others may read the SSH key": variables(lambda _t, f: key_file(f, key(), 0o644)),
    "the SSH key cannot be used": variables(lambda _t, f: key_file(f, "-----BEGIN OPENSSH PRIVATE KEY-----\n")),
    "SSH is refused": lambda target, _folder: _with_nothing(faults.ssh_cut(target)),
    # The lab's front answers for a closed security group, where AWS is silent.
    "SSH does not answer": script(
        "iptables -I INPUT -p tcp --dport 22 -j DROP", "iptables -D INPUT -p tcp --dport 22 -j DROP"
    ),
    "the host's SSH key is another one": variables(lambda t, f: known(f, f"{t.address} {other_key(f)}")),
    "the host's address has changed": variables(lambda t, f: known(f, f"198.19.250.250 {offered(t)}")),
    "DNS does not point here": variables(
        lambda _t, _f: {"compose_release_routes": [{"service": "web", "hosts": ["localhost"]}]}
    ),
    "Compose v2 is missing": script(
        f"mv {COMPOSE} /var/tmp/docker-compose-v2; " + FAKE.format(name="docker-compose", body="echo 1.29.2"),
        "p=$(ls -d /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins 2>/dev/null | head -1);"
        "mv /var/tmp/docker-compose-v2 $p/docker-compose; rm /usr/local/bin/docker-compose",
    ),
    "the Docker engine is old": script(OLD, "rm /usr/local/bin/docker"),
    "the disk is full": script("mount -t tmpfs -o size=1g tmpfs /var/lib/docker", "umount /var/lib/docker"),
    "the disk is small": script("mount -t tmpfs -o size=9g tmpfs /var/lib/docker", "umount /var/lib/docker"),
    "there is no room for two copies": script(
        f"docker update --memory 900g --memory-swap 900g {LIVE}",
        f"docker update --memory 64m --memory-swap 128m {LIVE}",
    ),
    "the clock is off": clock_behind,
    "an image is for another architecture": built_for_arm,
    "the security group closes port 80": lambda target, _folder: closed_in_the_cloud(target, 80),
    "the host's own firewall closes port 80": script(
        "iptables -I INPUT -p tcp --dport 80 -j DROP", "iptables -D INPUT -p tcp --dport 80 -j DROP"
    ),
    "nobody listens on port 80": script("docker stop davit-edge-traefik-1", "docker start davit-edge-traefik-1"),
    "the registry does not give the image away": variables(lambda _t, _f: {"registry_login_password": "wrong"}),
}


def test_a_host_that_is_well_has_no_finding(target: Target) -> None:
    result = examine(target)
    assert (result.rc, result.changed) == (0, {}), str(result)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_explained(target: Target, name: str, tmp_path: Path) -> None:
    with FAULTS[name](target, tmp_path) as given:
        result = examine(target, **given)
    assert result.rc != 0, str(result)
    assert f"1. {name} seen: " in result.output, str(result)
    assert result.changed == {}


def test_afterwards_the_host_is_well_again(target: Target) -> None:
    result = examine(target)
    assert result.rc == 0, str(result)
    assert target.answering() == target.live()
