"""What was measured with: the machine's size and the versions of what took part. No names and no paths of it."""

from __future__ import annotations

import os
import subprocess

import yaml
from ansible.release import __version__ as ansible_version

from bench.load import K6
from bench.settings import ROOT
from bench.target import Target
from lab.images import EDGE


def _first_line(*command: str) -> str:
    """The first line that a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0].strip()


def describe(target: Target) -> dict[str, str]:
    """Cores, memory, how busy the machine was before, and versions, each as a reader likes to see it."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    engine, compose = target.host.shell(
        "docker version --format '{{.Server.Version}}'; docker compose version --short"
    ).split()
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{gib:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Davit": yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"],
        "ansible-core": ansible_version,
        "Docker of the machine": _first_line("docker", "version", "--format", "{{.Server.Version}}"),
        "Docker of the host": engine,
        "Compose of the host": compose,
        "Traefik": EDGE.rpartition(":v")[2],
        "k6": _first_line(str(K6), "version").split()[1].removeprefix("v"),
    }
