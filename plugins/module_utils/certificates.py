# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Whether given certificates can be served, and what is wrong with them; read by OpenSSL, since Python does not."""

from __future__ import annotations

import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import Certificate
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

Run = Callable[[list[str]], "tuple[int, str, str]"]

READ = ("openssl", "x509", "-noout", "-subject", "-startdate", "-enddate", "-nameopt", "RFC2253")
CLOCKS = 300.0
"""Seconds by which the clocks of an authority and of a host may differ."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FIELD = re.compile(r"^(subject|notBefore|notAfter) ?= ?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Facts:
    """One certificate of a chain. Times are seconds since 1970; ``signed`` is whether the next one has signed it."""

    subject: str
    begin: float
    end: float
    signed: bool = True


def blocks(chain: str) -> list[str]:
    """The certificates in a PEM text, in its order."""
    return [f"{block}\n" for block in _BLOCK.findall(chain)]


def parse(text: str) -> Facts:
    """The facts that ``READ`` prints. Raises ValueError when one is missing."""
    found = {name: value.strip() for name, value in _FIELD.findall(text)}
    try:
        begin, end = (float(ssl.cert_time_to_seconds(found[name])) for name in ("notBefore", "notAfter"))
        return Facts(found["subject"] or "(no subject)", begin, end)
    except KeyError as error:
        raise ValueError(f"OpenSSL tells no {error}") from error


def judge(chain: Sequence[Facts], now: float) -> str:
    """Why a chain cannot be served; '' when it can.

    Certificates behind the leaf's issuer may have expired: clients that know a newer root do without them.
    """
    leaf = chain[0]
    if leaf.begin > now + CLOCKS:
        return f"{leaf.subject} is valid only from {_day(leaf.begin)} on. Is the clock of the host right?"
    for each in chain[:2]:
        if each.end <= now:
            return f"{each.subject} has expired on {_day(each.end)}. Renew it."
    for each, above in zip(chain, chain[1:]):
        if not each.signed:
            return (
                f"{above.subject} stands behind {each.subject} but has not signed it. Put the leaf first, then the one"
                " that signed it, and so on."
            )
    return ""


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(when))


def check(run: Run, certificates: Iterable[Certificate], now: float) -> None:
    """Raise DavitError for the first certificate that cannot be served with its key. Changes nothing."""
    for number, certificate in enumerate(certificates, start=1):
        # The directory is for its owner alone, and so is the key in it.
        with tempfile.TemporaryDirectory() as scratch:
            wrong = _key(certificate, Path(scratch)) or judge(_look(run, certificate, Path(scratch), number), now)
        if wrong:
            raise DavitError(
                f"Certificate {number} of edge_certificates cannot be served, so all is left as it is: {wrong}"
            )


def _key(certificate: Certificate, scratch: Path) -> str:
    chain, key = scratch / "chain", scratch / "key"
    key.write_text(certificate.key, encoding="utf-8")
    pems = blocks(certificate.chain)
    if not pems:
        return "its chain has no certificate in PEM."
    refused = []
    for place, pem in enumerate(pems, start=1):
        chain.write_text(pem, encoding="utf-8")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
        except (ssl.SSLError, ValueError) as error:
            refused.append(str(error))
            continue
        return "" if place == 1 else f"the key belongs to certificate {place} of its chain. Put that one first."
    return (
        f"the key does not belong to it, or needs a passphrase ({refused[0]}). Give the leaf's, without a passphrase."
    )


def _look(run: Run, certificate: Certificate, scratch: Path, number: int) -> list[Facts]:
    """The facts of each certificate in the chain, in its order."""
    files = []
    for place, pem in enumerate(blocks(certificate.chain)):
        files.append(scratch / str(place))
        files[-1].write_text(pem, encoding="utf-8")
    facts = []
    for file, above in zip(files, [*files[1:], None]):
        code, out, err = run([*READ, "-in", str(file)])
        if code != 0:
            raise DavitError(f"OpenSSL cannot read certificate {number} of edge_certificates: {err.strip()}")
        signed = above is None or _signed(run, file, above)
        found = parse(out)
        facts.append(Facts(found.subject, found.begin, found.end, signed))
    return facts


def _signed(run: Run, file: Path, above: Path) -> bool:
    words = ["openssl", "verify", "-no_check_time", "-partial_chain", "-trusted", str(above), str(file)]
    return run(words)[0] == 0
