"""A host that serves by HTTPS: authorities of a test's own, clients that check certificates, an ACME server."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.support.load import Load
from tests.e2e.support.playbook import Result, run_ansible
from tests.e2e.support.target import Target
from tests.e2e.support.wait import until

NAME = "shop.test"
PLACE = "/run/davit-test-acme"
DIRECTORY = "https://localhost:14000/dir"


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, and what stands between it and a root."""

    own: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def serial(self) -> int:
        return self.own.serial_number

    @property
    def chain(self) -> str:
        return "".join(pem(one) for one in (self.own, *self.above))

    @property
    def private(self) -> str:
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self.key.private_bytes(*form).decode()

    @property
    def given(self) -> dict[str, str]:
        """As edge_certificates takes it."""
        return {"chain": self.chain, "key": self.private}


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def issue(name: str, by: Certificate | None = None, *, days: float = 90, authority: bool = False) -> Certificate:
    """A certificate, signed by another one, or by itself; `days` from now is its end."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(by.own.subject if by else subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if by is not None:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(signer, critical=False)
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    # A root is what clients know already; it is not sent.
    above = (by.own, *by.above) if by is not None and by.own.issuer != by.own.subject else ()
    return Certificate(builder.sign(by.key if by else key, hashes.SHA256()), key, above)


class Connection(http.client.HTTPConnection):
    """To an address, under the name that a user would have typed; the certificate is checked."""

    def __init__(self, address: str, context: ssl.SSLContext, name: str) -> None:
        super().__init__(address, 443, timeout=10)
        self._context, self._name = context, name

    def connect(self) -> None:
        stream = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._context.wrap_socket(stream, server_hostname=self._name)


@dataclass(frozen=True)
class Reply:
    """An answer by HTTPS, and the serial number of the certificate that came with it."""

    status: int
    headers: dict[str, str]
    body: str
    serial: int


@dataclass(frozen=True)
class Secured:
    """A host under its name, and the root that its users trust."""

    target: Target
    root: str

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.root)

    def connection(self, name: str = NAME) -> Connection:
        return Connection(self.target.address, self.context(), name)

    def get(self, path: str = "/readyz", name: str = NAME) -> Reply:
        """A GET as a browser asks it; raises ssl.SSLError for a certificate that it would not take."""
        with contextlib.closing(self.connection(name)) as connection:
            connection.request("GET", path, headers={"Host": name})
            assert isinstance(connection.sock, ssl.SSLSocket)
            shown = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"")
            answer = connection.getresponse()
            headers = {key.lower(): value for key, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read().decode(), shown.serial_number)

    def plain(self, path: str, method: str = "GET") -> tuple[int, dict[str, str]]:
        """Status and headers by HTTP."""
        connection = http.client.HTTPConnection(self.target.address, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Host": NAME})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}

    def load(self) -> Load:
        """Keep-alive POSTs by HTTPS, each certificate checked."""
        return Load(self.target.address, "/whoami", threads=2, host=NAME, connect=self.connection)

    def edge(self, **variables: Any) -> Result:
        """Run the role alone, which takes a quarter of the time of configure.yml."""
        words = ("-i", str(self.target.fleet.inventory), "--become", "-m", "ansible.builtin.include_role")
        return run_ansible("ansible", "davit", *words, "-a", "name=davit.ec2.edge", "-e", json.dumps(variables))

    def deploy(self, *names: str) -> Result:
        """A release of new content under these host names."""
        route = {"service": "web", "hosts": list(names or (NAME,))}
        # No lease is waited for here, and a busy machine needs a long one.
        return self.target.deploy(compose_release_routes=[route], compose_release_lease_seconds=60)

    def container(self) -> str:
        """The edge's container and when it was started: another one, or another time, is a gap."""
        words = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' davit-edge-traefik-1"
        return self.target.inside(words).strip()

    def write(self, name: str, text: str) -> None:
        """A file in the host."""
        self.target.inside(f"cat > {name} <<'END-OF-FILE'\n{text}\nEND-OF-FILE\n")


def start_acme(host: Secured, authority: Certificate) -> None:
    """Run Debian's Pebble, the ACME server for tests, in the host."""
    private = next(iter(host.target.fleet.instances().values()))["PrivateIpAddress"]
    own = issue("localhost", authority)
    settings = {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": f"{PLACE}/tls.crt",
        "privateKey": f"{PLACE}/tls.key",
        "httpPort": 80,
        "tlsPort": 443,
    }
    host.target.inside(
        f"install -d -m 700 {PLACE}; grep -q {NAME} /etc/hosts || echo '{private} {NAME}' >> /etc/hosts;"
        "command -v pebble > /dev/null || { apt-get -qq update && apt-get -qq install -y pebble; } > /dev/null 2>&1",
        seconds=300,
    )
    for name, text in (("tls.crt", own.chain), ("tls.key", own.private), ("config", json.dumps({"pebble": settings}))):
        host.write(f"{PLACE}/{name}", text)
    host.target.inside(
        "systemctl stop davit-test-acme 2>/dev/null; systemd-run --quiet --collect --unit davit-test-acme"
        " --property=RuntimeMaxSec=900 --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
        f" pebble -config {PLACE}/config"
    )
    until(lambda: "BEGIN CERTIFICATE" in acme_root(host), 30)


def acme_root(host: Secured) -> str:
    """The root of its certificates, which it makes anew at each start."""
    return host.target.inside("curl --silent --insecure https://localhost:15000/roots/0 || true")


@contextlib.contextmanager
def expired(host: Secured, authority: Certificate) -> Iterator[None]:
    """The edge serves a certificate that has expired, as one does that nobody has renewed."""
    gone, dynamic = issue(NAME, authority, days=-2), "/opt/davit/edge/dynamic/_edge.yml"
    kept = host.target.inside(f"cat {dynamic}")
    files = {"certFile": "/etc/traefik/certs/gone.crt", "keyFile": "/etc/traefik/certs/gone.key"}
    document = json.loads(kept)
    document["tls"].update({"certificates": [files], "stores": {"default": {"defaultCertificate": files}}})
    host.write("/opt/davit/edge/certs/gone.crt", gone.chain)
    host.write("/opt/davit/edge/certs/gone.key", gone.private)
    try:
        host.write("/opt/davit/edge/stage/_edge.yml", json.dumps(document))
        host.target.inside(f"mv /opt/davit/edge/stage/_edge.yml {dynamic}")
        until(lambda: _verdict(host) == "certificate has expired", 20)
        yield
    finally:
        host.write("/opt/davit/edge/stage/_edge.yml", kept)
        host.target.inside(f"mv /opt/davit/edge/stage/_edge.yml {dynamic}; rm /opt/davit/edge/certs/gone.*")
        until(lambda: _verdict(host) == "", 20)


def _verdict(host: Secured) -> str:
    """What a browser has against the certificate."""
    try:
        host.get()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return ""
