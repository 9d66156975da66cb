"""Builds the lab's images where their inputs have changed, and pushes images to the lab's registries.

Run as `python -m lab.images build`, `python -m lab.images bake`, `python -m lab.images stock`, or
`python -m lab.images push [--context FOLDER] IMAGE`; prints a JSON object with what changed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".lab"
BASE = "debian:trixie-slim"
INPUTS = "davit.lab.inputs"
REGISTRIES = {"ghcr.io": "127.0.0.1:5443", "mirror.davit.lab": "127.0.0.1:5444"}
"""Each registry's name for the hosts, and where it is published on this machine."""
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True)
class Image:
    """An image of the lab: its name, where it is built, and the paths that decide what comes out."""

    name: str
    dockerfile: Path
    context: Path
    inputs: tuple[Path, ...]
    target: str = ""
    """The stage to build; the last one when empty."""


def _own(name: str, folder: str) -> Image:
    path = ROOT / "lab/images" / folder
    return Image(name, path / "Dockerfile", path, (path,))


IMAGES = (
    _own("davit-lab/host:trixie", "host"),
    _own("davit-lab/registry:latest", "registry"),
    _own("traefik:v3.7.15", "traefik"),
    _own("davit-lab/monitoring:trixie", "monitoring"),
    Image(
        "davit-lab/aws:latest",
        ROOT / "lab/images/aws/Dockerfile",
        ROOT,
        tuple(ROOT / p for p in ("lab/images/aws", "lab/aws", "lab/bridge", "lab/__init__.py", "requirements/lab.txt")),
    ),
)


BAKED = Image(
    "davit-lab/baked:trixie",
    ROOT / "lab/images/baked/Dockerfile",
    ROOT / "lab/images/baked",
    (ROOT / "lab/images/baked", ROOT / "lab/images/host"),
)
"""A host with the engine in it. Tests ask for it, so it is built when they do."""

EDGE = "traefik:v3.7.15"
MONITORING = "davit-lab/monitoring:trixie"
SERVICE = "ghcr.io/davit-ec2/restaurant-search"
VERSIONS = ("v1", "v2")
"""What the registries hold from the start: images of edge and monitoring, two versions of the reference service."""


def _run(argv: list[str], **more: str) -> str:
    """The output of a command that has to succeed; its errors go to ours."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **more}).stdout


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return (p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def digest(paths: Iterable[Path], *words: str) -> str:
    """A hash over names below each path, modes and contents: equal inputs, equal image."""
    total = hashlib.sha256()
    for word in words:
        total.update(word.encode() + b"\0")
    for path in paths:
        for file in sorted(_files(path)):
            mode = "x" if os.access(file, os.X_OK) else "-"
            total.update(f"{path.name}/{file.relative_to(path)}\0{mode}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def labels(image: str) -> dict[str, str] | None:
    """The labels of a local image; None when there is no such image."""
    shown = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", image],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if shown.returncode else (json.loads(shown.stdout) or {})


def builder() -> str:
    """A Docker client that builds with BuildKit: one that has buildx, or is older than buildx."""
    for client in dict.fromkeys((shutil.which("docker") or "", "/usr/bin/docker")):
        if not client or not Path(client).exists():
            continue
        if subprocess.run([client, "buildx", "version"], capture_output=True, check=False).returncode == 0:
            return client
        if any(f" version {old}." in _run([client, "--version"]) for old in (19, 20)):
            return client
    sys.exit("davit: no Docker client here can build with BuildKit: please install Docker's buildx plugin.")


def bundle() -> str | None:
    """This machine's certificate authorities, for builds behind a proxy that inspects TLS."""
    candidates = (os.environ.get("SSL_CERT_FILE", ""), *BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), None)


def build(image: Image, arguments: Iterable[str] = ()) -> bool:
    """Build an image unless one of the same inputs is there; whether it was built."""
    inputs = digest(image.inputs, *arguments, image.target)
    if (labels(image.name) or {}).get(INPUTS) == inputs:
        return False
    secret = ["--secret", f"id=ca_bundle,src={found}"] if (found := bundle()) else []
    settings = [word for argument in arguments for word in ("--build-arg", argument)]
    settings += ["--target", image.target] if image.target else []
    print(f"building {image.name}", file=sys.stderr)
    _run(
        [
            *(builder(), "build", "--quiet", "--label", "davit.lab=true", "--label", f"{INPUTS}={inputs}"),
            *(*secret, *settings, "--tag", image.name, "--file", str(image.dockerfile), str(image.context)),
        ],
        DOCKER_BUILDKIT="1",
    )
    return True


def _bootstrap(archive: Path) -> None:
    """Make Debian's root file system from its packages: what is done where no registry can be reached."""
    if shutil.which("mmdebstrap") is None:
        _run([str(ROOT / "requirements/apt.sh"), "mmdebstrap"])
    archive.parent.mkdir(parents=True, exist_ok=True)
    draft = archive.with_suffix(".new.tar")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    _run([*as_root, "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "trixie", str(draft)])
    draft.rename(archive)


def ensure_base() -> bool:
    """Have Debian's base image: the one at hand, the registry's, or one made from packages; whether it was missing."""
    if labels(BASE) is not None:
        return False
    archive = LAB / "cache/debian-trixie-slim.tar"
    if not archive.is_file():
        print(f"pulling {BASE}", file=sys.stderr)
        if subprocess.run(["docker", "pull", "--quiet", BASE], capture_output=True, check=False).returncode == 0:
            return True
        print(f"no registry gives {BASE}; making it from Debian's packages", file=sys.stderr)
        _bootstrap(archive)
    _run(["docker", "import", "--change", "LABEL davit.lab.base=true", "--change", 'CMD ["bash"]', str(archive), BASE])
    return True


def build_all() -> list[str]:
    """All that the lab runs; the names of what was built."""
    made = [BASE] if ensure_base() else []
    return made + [image.name for image in IMAGES if build(image)]


def tagged(image: str) -> str:
    """The name with its tag, which is ``latest`` where none is given; a registry may have a port."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def place(image: str) -> tuple[str, str]:
    """Where an image belongs: the registry that stands in for its own, and its repository and tag there."""
    image = tagged(image)
    first, _, rest = image.partition("/")
    if first == "ghcr.io":
        return first, rest
    return "mirror.davit.lab", image if rest else f"library/{image}"


def push(image: str) -> bool:
    """Give a registry of the lab an image under its own name, unless it has just this; whether it was pushed."""
    server, name = place(image)
    target = f"{REGISTRIES[server]}/{name}"
    repository, _, tag = name.rpartition(":")
    link = LAB / "cache/registry" / server / "docker/registry/v2/repositories" / repository
    link = link / "_manifests/tags" / tag / "current/link"
    identity = _run(["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
    note = LAB / "pushed" / hashlib.sha256(target.encode()).hexdigest()
    if link.is_file() and note.is_file() and note.read_text() == f"{identity} {link.read_text()}":
        return False
    print(f"pushing {image}", file=sys.stderr)
    configuration = LAB / "docker"
    configuration.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {**os.environ, "DOCKER_CONFIG": str(configuration)}
    _run(["docker", "tag", image, target])
    try:
        if server == "ghcr.io":
            login = ["docker", "login", "--username", "davit", "--password-stdin", REGISTRIES[server]]
            password = (LAB / "registry/password").read_bytes()
            subprocess.run(login, input=password, capture_output=True, check=True, env=settings)
        subprocess.run(["docker", "push", target], stdout=subprocess.DEVNULL, check=True, env=settings)
    finally:
        _run(["docker", "rmi", "--no-prune", target])
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{identity} {link.read_text()}")
    return True


def build_and_push(image: str, context: Path, arguments: Iterable[str] = (), target: str = "") -> list[str]:
    """An image of a folder, in the registry; what of it had to be done."""
    folder = context.resolve()
    changed = [image] if build(Image(image, folder / "Dockerfile", folder, (folder,), target), arguments) else []
    return changed + ([f"{image} in the registry"] if push(image) else [])


def bake() -> list[str]:
    """The image of the hosts that have an engine from the start; those who ask at once have it built once."""
    LAB.mkdir(exist_ok=True)
    with (LAB / "baked.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [BAKED.name] if build(BAKED) else []


def stock() -> list[str]:
    """Fill the registries; what had to be done."""
    changed = [f"{image} in the registry" for image in (EDGE, MONITORING) if push(image)]
    for version in VERSIONS:
        changed += build_and_push(f"{SERVICE}:{version}", ROOT / "service", [f"VERSION={version}"])
    return changed


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="lab.images")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build what the lab runs")
    commands.add_parser("bake", help="build the image of hosts that have an engine from the start")
    commands.add_parser("stock", help="give the registries what they hold from the start")
    pushing = commands.add_parser("push", help="build an image from a folder, or take a local one, and push it")
    pushing.add_argument(
        "--context", type=Path, help="the folder with the Dockerfile; left out, the image is taken as it is"
    )
    pushing.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    pushing.add_argument("image", help="its full name, as hosts know it")
    chosen = parser.parse_args()
    if chosen.command == "build":
        changed = build_all()
    elif chosen.command == "bake":
        changed = bake()
    elif chosen.command == "stock":
        changed = stock()
    elif chosen.context is not None:
        changed = build_and_push(chosen.image, chosen.context, chosen.build_arg)
    else:
        changed = [f"{chosen.image} in the registry"] if push(chosen.image) else []
    print(json.dumps({"changed": changed}))


if __name__ == "__main__":
    main()
