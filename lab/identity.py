"""Makes the lab's secrets once: its authority, the registries' certificates and password, an SSH key.

Run as `python -m lab.identity DIRECTORY`; prints a JSON object with the files it made.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVERS = ("ghcr.io", "mirror.davit.lab")
REGISTRY_USER = "davit"
_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_DAYS = 30


def _remove(path: Path) -> None:
    """Also the empty folder that Docker makes of a mounted file that is gone when it starts a container again."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, content: bytes, mode: int) -> Path:
    """Write whole or not at all, never readable by more than ``mode`` allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    if path.is_dir():
        _remove(path)
    draft.rename(path)
    return path


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ a little between machines.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _fresh(path: Path, signed_by: x509.Certificate | None = None) -> bool:
    """Whether a certificate is there, valid for long enough, and this authority's."""
    if not path.is_file():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    if signed_by is not None:
        try:
            certificate.verify_directly_issued_by(signed_by)
        except (InvalidSignature, TypeError, ValueError):
            return False
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=_RENEW_DAYS)


def make_authority(directory: Path) -> list[Path]:
    """The certificate authority that every lab host trusts."""
    certificate_path, key_path = directory / "ca.crt", directory / "ca.key"
    if _fresh(certificate_path) and key_path.is_file():
        return []
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Davit lab authority"
    certificate = (
        _builder(name, name, key, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return [
        _write(key_path, _pem(key), 0o600),
        _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644),
    ]


def make_server(directory: Path, server: str) -> list[Path]:
    """A certificate for a registry, under its name and under the laptop's loopback."""
    certificate_path, key_path = directory / server / "tls.crt", directory / server / "tls.key"
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    if _fresh(certificate_path, authority) and key_path.is_file():
        return []
    signer = cast(
        "ec.EllipticCurvePrivateKey",
        serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [
        x509.DNSName(server),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
    ]
    certificate = (
        _builder(server, "Davit lab authority", key, _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return [
        _write(key_path, _pem(key), 0o600),
        _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644),
    ]


def make_password(directory: Path) -> list[Path]:
    """The registry user's password, and its hash for the registry."""
    password, hashed = directory / "password", directory / "htpasswd"
    made = []
    if not password.is_file():
        made.append(_write(password, secrets.token_urlsafe(24).encode(), 0o600))
        _remove(hashed)
    if not hashed.is_file():
        # The registry takes bcrypt only, which Python's standard library does not make; its own image has the tool.
        container = ["docker", "run", "--rm", "--interactive", "--network=none", "davit-lab/registry"]
        command = [*container, "htpasswd", "-niB", REGISTRY_USER]
        line = subprocess.run(command, input=password.read_bytes(), capture_output=True, check=True).stdout
        made.append(_write(hashed, line, 0o644))
    return made


def make_ssh_key(directory: Path) -> list[Path]:
    """The key pair's private half, as one downloads it from EC2."""
    path = directory / "id_ed25519"
    if path.is_file() and path.with_suffix(".pub").is_file():
        return []
    directory.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "davit-lab", "-f", str(path)], check=True)
    return [path, path.with_suffix(".pub")]


def main() -> None:
    """Make what is missing."""
    directory = Path(sys.argv[1])
    made = make_authority(directory / "ca")
    for server in SERVERS:
        made += make_server(directory / "ca", server)
    made += make_password(directory / "registry")
    made += make_ssh_key(directory / "ssh")
    for server in SERVERS:
        # Docker would make a mounted folder as root.
        (directory / "cache/registry" / server).mkdir(parents=True, exist_ok=True)
    print(json.dumps({"made": sorted(str(path.relative_to(directory)) for path in made)}))


if __name__ == "__main__":
    main()
