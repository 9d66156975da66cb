"""Given certificates: what is served, what is refused and with which words; with real keys and the real OpenSSL."""

from __future__ import annotations

import datetime
import subprocess
import time
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.davit.ec2.plugins.module_utils import certificates
from ansible_collections.davit.ec2.plugins.module_utils.certificates import Facts
from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import Certificate
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key(self, passphrase: bytes = b"") -> str:
        hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.PEM, form, hidden).decode()


def issue(name: str, by: Pair | None = None, days: tuple[float, float] = (-1, 90)) -> Pair:
    """A certificate that is valid from and to so many days from now, signed by another one or itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder(by.certificate.subject if by else subject, subject, private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=not name.endswith(".example"), path_length=None), critical=True)
    )
    return Pair(builder.sign(by.private if by else private, hashes.SHA256()), private)


def run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def check(chain: str, key: str) -> None:
    certificates.check(run, [Certificate(chain, key)], time.time())


ROOT = issue("root")
MIDDLE = issue("middle", ROOT)
LEAF = issue("shop.example", MIDDLE)
TWIN = issue("middle", ROOT)
"""Has the name of the one that signed, and another key."""
GONE = issue("gone.example", MIDDLE, (-30, -0.5))
COMING = issue("coming.example", MIDDLE, (1, 30))
OLD_ROOT = issue("old root", days=(-30, -1))
CROSSED = issue("crossed", OLD_ROOT)


@pytest.mark.parametrize(
    "chain",
    [
        LEAF.pem,
        LEAF.pem + MIDDLE.pem,
        f"# from the authority\n{LEAF.pem}\n{MIDDLE.pem}{ROOT.pem}".replace("\n", "\r\n"),
    ],
)
def test_a_leaf_with_its_issuers_in_order_is_served(chain: str) -> None:
    check(chain, LEAF.key())


def test_a_certificate_that_signed_itself_is_served() -> None:
    own = issue("own.example")
    check(own.pem, own.key())


def test_an_expired_root_at_the_end_does_no_harm() -> None:
    leaf = issue("crossed.example", CROSSED)
    check(leaf.pem + CROSSED.pem + OLD_ROOT.pem, leaf.key())


@pytest.mark.parametrize(
    ("chain", "key", "said"),
    [
        ("", LEAF.key(), "no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", LEAF.key(), "the key does not belong to it"),
        (LEAF.pem, "", "the key does not belong to it"),
        (LEAF.pem, MIDDLE.key(), "the key does not belong to it"),
        (LEAF.pem, LEAF.key(b"secret"), "needs a passphrase"),
        (MIDDLE.pem + LEAF.pem, LEAF.key(), "the key belongs to certificate 2 of its chain. Put that one first"),
        (LEAF.pem + ROOT.pem + MIDDLE.pem, LEAF.key(), "CN=root stands behind CN=shop.example but has not signed it"),
        (LEAF.pem + TWIN.pem, LEAF.key(), "CN=middle stands behind CN=shop.example but has not signed it"),
        (GONE.pem + MIDDLE.pem, GONE.key(), "CN=gone.example has expired on 20"),
        (COMING.pem, COMING.key(), "CN=coming.example is valid only from 20"),
    ],
)
def test_what_cannot_be_served_is_refused(chain: str, key: str, said: str) -> None:
    with pytest.raises(DavitError, match=r"Certificate 1 of edge_certificates cannot be served") as refused:
        check(chain, key)
    assert said in str(refused.value)
    assert "BEGIN" not in str(refused.value), "a key must not be told"


def test_the_bad_one_of_several_is_named_by_its_number() -> None:
    with pytest.raises(DavitError, match=r"^Certificate 2 "):
        certificates.check(run, [Certificate(LEAF.pem, LEAF.key()), Certificate(LEAF.pem, ROOT.key())], time.time())


@pytest.mark.parametrize(
    ("chain", "wrong"),
    [
        ([Facts("a", 0, NOW + 1)], ""),
        ([Facts("a", 0, NOW)], "a has expired"),
        ([Facts("a", NOW + 299, NOW + 900)], ""),
        ([Facts("a", NOW + 301, NOW + 900)], "a is valid only from"),
        ([Facts("a", 0, NOW + 1), Facts("b", 0, NOW - 1)], "b has expired"),
        ([Facts("a", 0, NOW + 1), Facts("b", 0, NOW + 1), Facts("c", 0, NOW - 1)], ""),
        ([Facts("a", 0, NOW + 1), Facts("b", 0, NOW + 1, signed=False), Facts("c", 0, NOW + 1)], "c stands behind b"),
    ],
)
def test_judging_a_chain(chain: list[Facts], wrong: str) -> None:
    assert certificates.judge(chain, NOW).startswith(wrong)
    assert bool(wrong) == bool(certificates.judge(chain, NOW))


@pytest.mark.parametrize("text", ["", "subject=CN=a\nnotBefore=Nov 26 15:32:08 2026 GMT\n", "notAfter=never\n"])
def test_what_openssl_does_not_tell_is_no_fact(text: str) -> None:
    with pytest.raises(ValueError, match=r"OpenSSL tells no|does not match|time data"):
        certificates.parse(text)
