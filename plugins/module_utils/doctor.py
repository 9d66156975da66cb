# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What can be wrong between a controller and a served release, judged from what was seen. No I/O here.

Each judgement returns findings: what is wrong, what was seen, and what to do. None is a finding.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from ansible_collections.davit.ec2.plugins.module_utils import capacity, edge_plan

OPEN, REFUSED, SILENT = "open", "refused", "silent"
_DROP = re.compile(r"^-A INPUT .*--dports? (\S+) .*-j (?:DROP|REJECT)", re.MULTILINE)
OLDEST_ENGINE = 25
"""The first that takes a health check's ``start_interval``."""
SMALLEST_DISK_GB, FULL_DISK_MB = 15, 2048
CLOCK_SECONDS = 30.0
"""What a slow connection adds to the difference is no fault of the clock; AWS and TLS bear minutes."""
_DAY = 86400.0
_RENEWED = ((90 * _DAY, 10 * _DAY), (30 * _DAY, 3 * _DAY), (7 * _DAY, _DAY / 2), (_DAY, _DAY / 8))
"""Seconds for which a certificate is valid at least, and seconds before its end at which it has been renewed when all
is well: Traefik begins 30 days, 10 days, one day and six hours before, and with shorter ones 20 minutes."""
EDGE = f"{edge_plan.PROJECT}-{edge_plan.SERVICE}-1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
HostKey = tuple[str, str]
"""The type of a host's key, and the key."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    what: str
    evidence: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def judge_key(text: str | None, mode: int, usable: bool, path: str) -> list[Finding]:
    """The private key's file: its text (None when it is not there), its mode, whether ssh-keygen can use it."""
    if text is None:
        return [
            Finding("the SSH key's file is not there", path, "Correct EC2_SSH_KEY or ansible_ssh_private_key_file.")
        ]
    found = []
    crooked = [name for name, wrong in _crooked(text, usable).items() if wrong]
    if crooked:
        found.append(
            Finding(
                "the SSH key was changed when it was copied",
                f"{path}: {', '.join(crooked)}",
                # It ends each line that it writes, as sed does not.
                f"Write it anew: awk '{{gsub(/^[ \\t]+|[ \\t\\r]+$/, \"\"); print}}' {path} > key.pem;"
                " chmod 600 key.pem",
            )
        )
    elif not usable:
        remedy = "Take the whole .pem file, with its first and last line; a passphrase has to be given to ssh-agent."
        found.append(Finding("the SSH key cannot be used", f"{path}: ssh-keygen cannot read it", remedy))
    if mode & 0o077:
        found.append(Finding("others may read the SSH key", f"{path} has mode {mode & 0o777:04o}", f"chmod 600 {path}"))
    return found


def _crooked(text: str, usable: bool) -> dict[str, bool]:
    lines = text.split("\n")
    return {
        "it has Windows line ends (CRLF)": "\r" in text,
        "it has blanks at the begin or end of lines": any(line.strip("\r") != line.strip() for line in lines),
        # Some kinds of key do without.
        "its last line break is missing": bool(text) and not text.endswith("\n") and not usable,
    }


def judge_ssh(state: str, address: str, port: int) -> list[Finding]:
    """Whether a connection to the SSH port could be made."""
    at = f"{address}:{port}"
    if state == REFUSED:
        remedy = "Look at the instance's system log in EC2; sshd may not run, or a firewall of the host rejects it."
        return [Finding("SSH is refused", f"{at} answers that nobody listens", remedy)]
    if state == SILENT:
        remedy = (
            "Is the instance running? Does security_group_ssh_cidrs hold your public address? Then run"
            " playbooks/provision.yml."
        )
        return [Finding("SSH does not answer", f"{at} is silent, as behind a security group that is closed", remedy)]
    return []


def judge_host_key(
    name: str,
    offered: Collection[HostKey],
    own: Mapping[str, Collection[HostKey]],
    others: Mapping[str, Collection[HostKey]],
) -> list[Finding]:
    """The keys that a host has now, those known for its ``name`` by file, and those of all readable names by name.

    ``name`` is the one that ssh looks for, as ``[address]:port`` where the port is not 22.
    """
    known = {key for keys in own.values() for key in keys}
    changed = {kind for kind, key in offered if (kind, key) not in known} & {kind for kind, _ in known}
    if changed:
        stale = [file for file, keys in own.items() if changed & {kind for kind, _ in keys}]
        forget = "; ".join(f"ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(file)}" for file in stale)
        remedy = f"If the host was replaced: {forget}. If not, somebody may stand in between: do not go on."
        seen = f"{name}: {', '.join(sorted(changed))} has changed"
        return [Finding("the host's SSH key is another one", seen, remedy)]
    if known:
        return []
    # ssh takes the key of the same host at another port.
    former = [other for other, keys in others.items() if set(keys) & set(offered) and _host(other) != _host(name)]
    if former:
        remedy = "Give the host an Elastic IP (playbooks/provision.yml does), and correct EC2_HOST and DNS."
        return [Finding("the host's address has changed", f"it is {name} now and was {former[0]}", remedy)]
    return []


def _host(name: str) -> str:
    """Of a name in a file of known keys, without the port."""
    return name[1:].partition("]")[0] if name.startswith("[") else name


def judge_names(own: Sequence[str], names: Mapping[str, Sequence[str]]) -> list[Finding]:
    """DNS: addresses by host name of a route, against the host's ``own``."""
    return [
        Finding(
            "DNS does not point here",
            f"{name} is {', '.join(found) or 'unknown'}, and the host is {', '.join(own)}",
            f"Set the A record of {name} to {own[0]}.",
        )
        for name, found in names.items()
        if not set(own) & set(found)
    ]


def firewall(rules: str, wanted: Sequence[int]) -> tuple[list[int], str]:
    """What ``iptables -S INPUT`` says: those of the ``wanted`` ports that a rule drops, and what drops whatever no rule
    lets in ('' for nothing)."""
    named = {port for found in _DROP.findall(rules) for port in found.split(",")}
    guard = "ufw" if re.search(r"^-A INPUT .*-j ufw-", rules, re.MULTILINE) else ""
    if re.search(r"^-P INPUT DROP", rules, re.MULTILINE):
        guard = guard or "an INPUT chain that drops by default"
    return [port for port in wanted if str(port) in named], guard


def judge_ports(
    outside: Mapping[int, str], inside: Mapping[int, str], dropped: Sequence[int], guard: str = ""
) -> list[Finding]:
    """Who closes a public port: ``outside`` is how it looks from the controller, ``inside`` who listens (empty: nobody;
    "loopback": only the host itself is served), ``dropped`` what a rule of the host's own firewall drops, and ``guard``
    what else it has that drops what it does not know."""
    found = []
    for port, state in sorted(outside.items()):
        if state == OPEN:
            continue
        at = f"port {port} is {state} from here"
        listens = inside.get(port, "")
        if port in dropped:
            remedy = f"Remove the rule for port {port}: iptables -S INPUT, nft list ruleset."
            found.append(Finding(f"the host's own firewall closes port {port}", f"{at}, and a rule drops it", remedy))
        elif listens == "loopback":
            remedy = "Publish it by the edge: deploy the app with Davit, which routes it."
            found.append(Finding(f"port {port} serves the host alone", f"{at}; something listens on 127.0.0.1", remedy))
        elif listens and guard:
            evidence = f"{at}, {listens} listens on the host, and the host has {guard}"
            remedy = f"Let it in (ufw allow {port}/tcp, or a rule of your own); else run playbooks/provision.yml."
            found.append(Finding(f"the host's own firewall or the security group closes port {port}", evidence, remedy))
        elif not listens:
            remedy = "Run playbooks/configure.yml, which starts the edge."
            found.append(Finding(f"nobody listens on port {port}", f"{at}, and no process has it", remedy))
        else:
            remedy = "Run playbooks/provision.yml, which opens 80 and 443; look for a network ACL if it does not help."
            found.append(
                Finding(f"the security group closes port {port}", f"{at}, and {listens} listens on the host", remedy)
            )
    return found


def judge_docker(engine: str, compose: str, legacy: str) -> list[Finding]:
    """Versions: of the engine, of Compose v2, and of docker-compose (v1); each empty when it is not there."""
    configure = "Run playbooks/configure.yml."
    if not engine:
        return [Finding("there is no Docker engine", "docker does not answer", configure)]
    found = []
    major = re.match(r"\d+", engine)
    if major is None or int(major[0]) < OLDEST_ENGINE:
        remedy = "Upgrade it at a quiet time: playbooks/configure.yml -e docker_engine_upgrade=true"
        found.append(Finding("the Docker engine is old", f"{engine}, older than {OLDEST_ENGINE}", remedy))
    if not compose:
        seen = f"docker-compose {legacy} is there, docker compose is not" if legacy else "docker compose is not there"
        found.append(Finding("Compose v2 is missing", seen, configure))
    return found


def judge_disk(total_mb: int, free_mb: int, place: str) -> list[Finding]:
    """Where the engine keeps its images."""
    if free_mb < FULL_DISK_MB:
        remedy = "Lower compose_release_keep, remove what is not needed (docker system df), or enlarge the volume."
        return [Finding("the disk is full", f"{free_mb} MB are free at {place}", remedy)]
    if total_mb < SMALLEST_DISK_GB * 1024:
        remedy = "Enlarge the volume to 20 to 30 GB (ec2_instance_volume_gib) and grow its file system."
        return [Finding("the disk is small", f"{total_mb // 1024} GB at {place}", remedy)]
    return []


@dataclass(frozen=True)
class Room:
    """What an inventory says of the memory of its app. Those of a host's other apps are not known; without ``app`` it
    is taken for all."""

    app: str = ""
    memory_mb: int = 0
    stop_first: bool = False


def judge_memory(available_mb: int, needs: Mapping[str, int], room: Room) -> list[Finding]:
    """Room for a second copy, as the next deploy wants it; ``needs`` are the memory limits of what is live, in MB."""
    found = []
    for app, need in sorted(needs.items()):
        lack = capacity.judge_memory(need, available_mb, room.memory_mb, room.stop_first)
        if lack is not None and room.app in ("", app):
            found.append(Finding("there is no room for two copies", f"{app}: {lack.seen}", lack.remedy))
    return found


def judge_clock(offset: float, kept: bool) -> list[Finding]:
    """Seconds by which the host is ahead of the controller, and whether anything keeps its clock."""
    remedy = "Run playbooks/configure.yml, which sets up time synchronization; chronyc tracking shows it."
    if abs(offset) > CLOCK_SECONDS:
        how = "ahead of" if offset > 0 else "behind"
        return [Finding("the clock is off", f"it is {abs(offset):.0f} s {how} this machine's", remedy)]
    return [] if kept else [Finding("nothing keeps the clock", "no time service runs", remedy)]


def judge_images(machine: str, images: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Architectures by image, against the machine's (`uname -m`)."""
    own = ARCHITECTURES.get(machine, machine)
    return [
        Finding(
            "an image is for another architecture",
            f"{name} is for {', '.join(architectures)}, and the host is {own}",
            f"Build it for {own}: docker buildx build --platform linux/{own}",
        )
        for name, architectures in sorted(images.items())
        if architectures and own not in architectures
    ]


@dataclass(frozen=True)
class Served:
    """The certificate that the edge answers with for one name. Times are seconds since 1970."""

    begin: float
    end: float
    names_it: bool = True

    @property
    def overdue(self) -> float:
        """When it should have been renewed."""
        return self.end - renewed_before(self.end - self.begin)


def renewed_before(validity: float) -> float:
    """Seconds before its end at which a certificate that is valid for ``validity`` seconds has long been renewed."""
    # Some authorities leave out the last second.
    return next((before for least, before in _RENEWED if validity >= least - 1), 600.0)


def judge_apps(problems: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Whether what is live runs and is served, by what status.py says of each app."""
    remedy = (
        "An edge that is down: playbooks/configure.yml. An app: playbooks/deploy.yml, or playbooks/rollback.yml to the"
        " live release (compose_release_rollback_to), both of which start what is down; playbooks/status.yml says more."
    )
    return [
        Finding(f"the app {app} is not as it should be", "; ".join(found), remedy)
        for app, found in sorted(problems.items())
        if found
    ]


def judge_certificates(
    served: Mapping[str, Served | None], now: float, acme_errors: Mapping[str, str]
) -> list[Finding]:
    """The certificate of each name, None for the edge's own stand-in; and the last ACME error for each of them.

    The name '' stands for clients that come by a name which no route has.
    """
    found = []
    for name, one in sorted(served.items()):
        of = f"of {name}" if name else "for any other name"
        error = acme_errors.get(name, "")
        if one is None and name:
            found.append(_no_certificate(name, error))
        elif one is None:
            remedy = "ACME orders for names only: give the routes 'hosts', or the edge edge_certificates."
            found.append(
                Finding("there is no certificate for routes without hosts", "the edge serves its own stand-in", remedy)
            )
        elif one.end < now:
            remedy = "Renew it in edge_certificates and run playbooks/configure.yml; with ACME look at the edge's log."
            seen = f"{(now - one.end) / 86400:.0f} days ago{f'; {error}' if error else ''}"
            found.append(Finding(f"the certificate {of} has expired", seen, remedy))
        elif not one.names_it:
            found.append(_no_certificate(name, error or "the edge serves one for other names"))
        elif one.overdue < now:
            remedy = "Renew it in edge_certificates and run playbooks/configure.yml; with ACME look at the edge's log."
            seen = f"it ends in {(one.end - now) / 86400:.1f} days{f'; {error}' if error else ''}"
            found.append(Finding(f"the certificate {of} is not renewed", seen, remedy))
    return found


def _no_certificate(name: str, seen: str) -> Finding:
    remedy = (
        f"With ACME, DNS has to point here and the challenge's port has to be reachable; docker logs {EDGE} says more."
        " Without, give one in edge_certificates."
    )
    return Finding(f"there is no certificate for {name}", seen[:400] or "the edge serves its own stand-in", remedy)


def judge_registry(refused: Mapping[str, str]) -> list[Finding]:
    """Images that the registry does not give away, with its words."""
    return [
        Finding(
            "the registry does not give the image away",
            f"{image}: {words[:200]}",
            "Use a token with read:packages in registry_login_password (GHCR_PAT), of a user who may see the package.",
        )
        for image, words in sorted(refused.items())
    ]
