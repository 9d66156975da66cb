"""The hosts as Docker containers: one systemd container, one volume per instance, one network per VPC range."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.types import EndpointConfig, IPAMConfig, IPAMPool, Mount

from lab.bridge.model import Host

LABEL = "davit.lab"
ROLE = "davit.lab.role"
STOP_SECONDS = 30
FIXTURES = (("davit-lab-registry", "ghcr.io"), ("davit-lab-mirror", "mirror.davit.lab"))
"""What every VPC's network holds besides hosts: a container, and the name by which hosts know it."""
REBOOTED = frozenset({129, 133})
"""Exit codes of an init that asked for a reboot: SIGHUP from the kernel, or systemd's own word for it."""

# Everything a host's systemd and its own Docker engine need, except what is the machine's: its clock, its
# modules and its resource limits. Lab hosts share the kernel.
_DROPPED = ["SYS_RESOURCE", "SYS_TIME", "SYS_MODULE"]
_LACKING = re.compile(r"invalid CapDrop: .*\bCAP_(\w+)")
_LEGACY_CGROUPS = ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


@dataclass(frozen=True)
class Settings:
    """What the containers are made with."""

    image: str = "davit-lab/host:trixie"
    prefix: str = "davit-lab-"
    front: str = "davit-lab-aws"
    fixtures: tuple[tuple[str, str], ...] = FIXTURES
    authority: Path = Path("/run/davit-lab/ca.crt")


def _archive(files: dict[str, bytes]) -> bytes:
    """A tar of root's files with their directories, for ``docker cp``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def fixture_addresses(vpc_cidr: str, names: list[str]) -> dict[str, str]:
    """Addresses for what every network holds: AWS keeps the second and third of a VPC for itself."""
    network = ipaddress.IPv4Network(vpc_cidr)
    return {name: str(network[2 + position]) for position, name in enumerate(names)}


class Containers:
    """The Docker side of the bridge. Methods raise docker.errors.APIError."""

    def __init__(self, settings: Settings, client: Any = None) -> None:
        self._settings = settings
        self._client = client if client is not None else docker.from_env(timeout=120)
        self._legacy = str(self._client.info().get("CgroupVersion", "1")) == "1"
        # Several keepers work at once; a network is made once and not taken away under a host being made.
        self._networks = threading.Lock()

    def name(self, instance_id: str) -> str:
        """The container of an instance."""
        return f"{self._settings.prefix}{instance_id}"

    def _volume(self, instance_id: str) -> str:
        return f"{self.name(instance_id)}-docker"

    def _network(self, vpc_cidr: str) -> str:
        # The front's first network must stay first in the alphabet: Docker takes the default route from it.
        return f"{self._settings.prefix}vpc-{vpc_cidr.replace('/', '-')}"

    def state(self, instance_id: str) -> tuple[bool, int] | None:
        """Whether the instance's container runs, and how it last ended; None when there is none."""
        try:
            state = self._client.api.inspect_container(self.name(instance_id))["State"]
        except NotFound:
            return None
        return bool(state["Running"]), int(state["ExitCode"])

    def ensure_network(self, vpc_cidr: str) -> str:
        """The network of a VPC, with the registries and the front on it."""
        name = self._network(vpc_cidr)
        try:
            network = self._client.networks.get(name)
        except NotFound:
            range_ = ipaddress.IPv4Network(vpc_cidr)
            # What Docker gives out by itself (the front) comes from the far end, where no subnet hands out first.
            tail = list(range_.subnets(new_prefix=28))[-1] if range_.prefixlen < 28 else range_
            pool = IPAMPool(subnet=vpc_cidr, gateway=str(range_[1]), iprange=str(tail))
            network = self._client.networks.create(
                name, driver="bridge", ipam=IPAMConfig(pool_configs=[pool]), labels={LABEL: "true", ROLE: "vpc"}
            )
        self._furnish(network, vpc_cidr)
        return name

    def _furnish(self, network: Any, vpc_cidr: str) -> None:
        """Put the registries and the front on a VPC's network."""
        attached = set(network.attrs.get("Containers") or {})
        names = [container for container, _ in self._settings.fixtures]
        for container, address in fixture_addresses(vpc_cidr, names).items():
            self._attach(network, attached, container, address)
        self._attach(network, attached, self._settings.front, None)

    def _attach(self, network: Any, attached: set[str], container: str, address: str | None) -> None:
        try:
            if self._client.containers.get(container).id not in attached:
                network.connect(container, ipv4_address=address)
        except NotFound:
            print(f"bridge: there is no {container}; hosts on {network.name} do without it", flush=True)
        except APIError as error:
            if "already exists in network" not in str(error):
                raise

    def create(self, host: Host) -> None:
        """Make an instance's host, seeded but not started."""
        self.remove(host.instance_id)
        with self._networks:
            self._create(host)
        self._client.api.put_archive(self.name(host.instance_id), "/", _archive(self._seed(host)))

    def _create(self, host: Host) -> None:
        network = self.ensure_network(host.vpc_cidr)
        api = self._client.api
        volume = self._volume(host.instance_id)
        api.create_volume(volume, labels={LABEL: "true", ROLE: "instance"})
        addresses = fixture_addresses(host.vpc_cidr, [known_as for _, known_as in self._settings.fixtures])
        settings = api.create_host_config(
            cap_add=["ALL"],
            cap_drop=_DROPPED,
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            device_cgroup_rules=["a *:* rwm"],
            cgroupns="host",
            binds=["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            mounts=[Mount("/var/lib/docker", volume, type="volume")],
            tmpfs={"/run": "", "/run/lock": ""},
            extra_hosts=addresses,
        )
        # The engine's word for --security-opt systempaths=unconfined.
        settings["MaskedPaths"], settings["ReadonlyPaths"] = [], []
        arguments = {
            "image": host.image or self._settings.image,
            "command": ["/sbin/init", *(_LEGACY_CGROUPS if self._legacy else [])],
            "name": self.name(host.instance_id),
            "hostname": "ip-" + host.private_ip.replace(".", "-"),
            "labels": {LABEL: "true", ROLE: "instance", "davit.lab.instance": host.instance_id},
            "host_config": settings,
            "networking_config": api.create_networking_config(
                {network: EndpointConfig(api.api_version, ipv4_address=host.private_ip)}
            ),
        }
        while True:
            try:
                api.create_container(**arguments)
                return
            except APIError as error:
                # A machine may lack one of these itself. Old engines must be told to drop it then, new ones must not.
                lacking = _LACKING.search(str(error.explanation))
                if lacking is None or lacking[1] not in settings["CapDrop"]:
                    raise
                settings["CapDrop"] = [name for name in settings["CapDrop"] if name != lacking[1]]

    def _seed(self, host: Host) -> dict[str, bytes]:
        """What the image's first boot takes up: the key pair's public half, and the lab's authority."""
        files = {"etc/davit-lab/authorized_keys": (host.public_key + "\n").encode()}
        if self._settings.authority.is_file():
            files["usr/local/share/ca-certificates/davit-lab.crt"] = self._settings.authority.read_bytes()
        return files

    def start(self, instance_id: str) -> None:
        """Boot."""
        self._client.api.start(self.name(instance_id))

    def stop(self, instance_id: str) -> None:
        """Shut down as systemd does it, by the image's stop signal."""
        self._client.api.stop(self.name(instance_id), timeout=STOP_SECONDS)

    def remove(self, instance_id: str) -> None:
        """Take a host away with its disk."""
        with contextlib.suppress(NotFound):
            self._client.api.remove_container(self.name(instance_id), force=True, v=True)
        with contextlib.suppress(NotFound):
            self._client.api.remove_volume(self._volume(instance_id), force=True)

    def remove_networks(self, but: set[str]) -> None:
        """Take away the networks of VPCs that are no more, unless a host is still on one."""
        with self._networks:
            self._remove_networks({self._network(cidr) for cidr in but})

    def _remove_networks(self, kept: set[str]) -> None:
        for network in self._client.networks.list(filters={"label": f"{ROLE}=vpc"}):
            if network.name in kept:
                continue
            network.reload()
            ours = {self._settings.front, *(container for container, _ in self._settings.fixtures)}
            attached = {c["Name"] for c in (network.attrs.get("Containers") or {}).values()}
            if attached - ours:
                continue
            for container in attached:
                network.disconnect(container, force=True)
            network.remove()

    def remove_orphans(self) -> None:
        """Take away what an earlier run of the fake AWS left: its state is in memory, so nobody owns them."""
        for container in self._client.containers.list(all=True, filters={"label": f"{ROLE}=instance"}):
            container.remove(force=True, v=True)
        for volume in self._client.volumes.list(filters={"label": f"{ROLE}=instance"}):
            volume.remove(force=True)
        self.remove_networks(set())

    def restore_networks(self) -> None:
        """Put registries that were made anew back on the hosts' networks."""
        with self._networks:
            for network in self._client.networks.list(filters={"label": f"{ROLE}=vpc"}):
                network.reload()
                self._furnish(network, network.attrs["IPAM"]["Config"][0]["Subnet"])

    def happenings(self) -> Iterator[str | None]:
        """Blocks; gives the instance whose container has ended, and None when one of the lab's own has started."""
        for event in self._client.events(decode=True, filters={"type": "container", "label": f"{LABEL}=true"}):
            attributes = event["Actor"]["Attributes"]
            instance_id = attributes.get("davit.lab.instance")
            if instance_id and event["Action"] == "die":
                yield str(instance_id)
            elif event["Action"] == "start" and attributes["name"] in dict(self._settings.fixtures):
                yield None
