"""HTTPS at the edge: what is served and with which words, renewal, limits, ACME, and what doctor.yml says of faults."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import fill_registry, one_host
from tests.e2e.support.fleet import Fleet
from tests.e2e.support.playbook import Result
from tests.e2e.support.target import Target
from tests.e2e.support.tls import DIRECTORY, NAME, Certificate, Secured, acme_root, expired, issue, pem, start_acme
from tests.e2e.support.wait import until

ROOT = issue("Davit test root", authority=True)
MIDDLE = issue("Davit test authority", ROOT, authority=True)
FIRST, SECOND = issue(NAME, MIDDLE), issue(NAME, MIDDLE)
ACME = {
    "edge_acme_email": "ops@shop.test",
    "edge_acme_agree_to_terms": True,
    "edge_acme_server": DIRECTORY,
    "edge_acme_authority": pem(ROOT.own),
}


LOG = "docker logs davit-edge-traefik-1 2>&1"


def given(*certificates: Certificate) -> dict[str, Any]:
    return {"edge_certificates": [one.given for one in certificates]}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A host that serves a release by HTTP, as yet; DAVIT_KEEP_TARGET=1 leaves it for the next run."""
    fill_registry()
    settings = {**one_host("10.94"), "compose_release_probe_rate": 20}
    fleet = Fleet.declare("faults-tls", tmp_path_factory.mktemp("inventory"), settings)
    keep = bool(os.environ.get("DAVIT_KEEP_TARGET"))
    if fleet.rest() and not keep:
        fleet.destroy()
    for playbook in ("provision", "configure"):
        done = fleet.run(playbook)
        assert done.rc == 0, str(done)
    instance = next(iter(fleet.instances().values()))["InstanceId"]
    target = Target(fleet, next(iter(fleet.addresses().values())), done, f"davit-lab-{instance}")
    made = Secured(target, pem(ROOT.own))
    result = made.deploy()
    assert result.rc == 0, str(result)
    yield made
    if not keep:
        gone = fleet.destroy()
        assert (gone.rc, fleet.rest()) == (0, {}), str(gone)


def last_probe(host: Secured) -> dict[str, Any]:
    """What the load probe saw of the last deploy."""
    return dict(host.target.history()[-1]["probe"])


def examine(host: Secured, **variables: Any) -> Result:
    return host.target.fleet.run("doctor", **{"compose_release_routes": [], **variables})


def test_what_is_live_is_served_by_https_as_soon_as_the_edge_can(host: Secured) -> None:
    """No deploy in between: how clients come in is no part of a release."""
    live = host.target.live()
    assert host.plain("/readyz")[1]["davit-release"] == live
    result = host.edge(**given(FIRST))
    assert result.rc == 0, str(result)
    reply = host.get()
    assert (reply.status, reply.headers["davit-release"], reply.serial) == (200, live, FIRST.serial)
    files = "stat -c '%a %U' /opt/davit/edge/certs /opt/davit/edge/certs/*"
    assert set(host.target.inside(files).splitlines()) == {"700 root", "600 root"}


def test_http_is_led_to_https(host: Secured) -> None:
    for method, status in (("GET", 301), ("POST", 308)):
        seen, headers = host.plain("/whoami?a=b", method)
        assert (seen, headers["location"]) == (status, f"https://{NAME}/whoami?a=b")
        assert "strict-transport-security" not in headers
    assert host.target.inside("curl --silent http://127.0.0.1:8099/ping") == "OK"


def test_the_answers_carry_what_browsers_are_told(host: Secured) -> None:
    headers = host.get().headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    # The service names Python and its version in it.
    assert "server" not in headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "ciphers"),
    [(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"), (ssl.TLSVersion.TLSv1_2, "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0")],
)
def test_what_is_too_old_is_refused(host: Secured, version: ssl.TLSVersion, ciphers: str) -> None:
    """TLS 1.1, and TLS 1.2 without forward secrecy."""
    context = host.context()
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection((host.target.address, 443), 10) as stream,
        pytest.raises(ssl.SSLError, match=r"(?i)alert|handshake"),
    ):
        context.wrap_socket(stream, server_hostname=NAME)


def test_a_deploy_loses_nothing(host: Secured) -> None:
    before = host.target.live()
    with host.load() as load:
        result = host.deploy()
    assert result.rc == 0, str(result)
    assert load.lost == {}
    assert set(load.releases) == {before, host.target.live()}
    probe = last_probe(host)
    assert (probe["failures"], probe["requests"] > 20) == (0, True), probe


def test_a_renewed_certificate_is_served_without_a_lost_request(host: Secured) -> None:
    container = host.container()
    with host.load() as load:
        result = host.target.fleet.run("configure", **given(SECOND))
        assert result.rc == 0, str(result)
        # The run says so only when the edge has taken it over, so nothing is waited for.
        assert host.get().serial == SECOND.serial
    assert load.lost == {}
    assert host.container() == container
    again = host.target.fleet.run("configure", **given(SECOND))
    assert (again.rc, again.changed) == (0, {}), str(again)


def test_a_bad_pair_is_refused_before_anything_changes(host: Secured) -> None:
    state = "cat /opt/davit/edge/*.yml /opt/davit/edge/dynamic/*; ls /opt/davit/edge/certs"
    before = host.target.inside(state)
    result = host.edge(edge_certificates=[{"chain": FIRST.chain, "key": SECOND.private}])
    assert result.rc != 0
    assert "the key does not belong to it" in result.output, str(result)
    assert "PRIVATE KEY" not in result.output
    assert host.target.inside(state) == before
    assert host.get().serial == SECOND.serial


def test_doctor_finds_a_certificate_that_has_expired(host: Secured) -> None:
    well = examine(host, **given(SECOND))
    assert well.rc == 0, str(well)
    with expired(host, MIDDLE):
        result = examine(host, **given(SECOND))
    assert f"1. the certificate of {NAME} has expired seen: 2 days ago" in result.output, str(result)
    assert (result.rc != 0, result.changed) == (True, {})


def test_a_limit_meets_users_and_never_a_deploy(host: Secured) -> None:
    """The probe asks more often than one user may."""
    result = host.edge(**given(SECOND), edge_rate_limit=2, edge_rate_burst=5)
    assert result.rc == 0, str(result)
    seen = [host.get().status for _ in range(40)]
    assert seen.count(200) >= 5, seen
    assert set(seen) == {200, 429}, seen
    done = host.deploy()
    assert done.rc == 0, str(done)
    probe = last_probe(host)
    assert (probe["failures"], probe["requests"] > 20) == (0, True), probe


def test_acme_certificates_are_ordered_and_outlive_the_edge(host: Secured) -> None:
    start_acme(host, ROOT)
    trusted = Secured(host.target, acme_root(host))
    result = host.edge(**ACME)
    assert result.rc == 0, str(result)
    until(lambda: _takes(trusted), 120)
    serial = trusted.get().serial
    # From outside, by the address of the instance: the challenge is not led to HTTPS, anything else is.
    assert host.plain("/.well-known/acme-challenge/nobody-asked")[0] == 404
    assert host.plain("/readyz")[0] == 301
    kept = host.target.inside("stat -c '%a %U' /opt/davit/edge/acme/acme.json").strip()
    assert kept == "600 root"
    result = host.edge(**ACME, edge_log_level="DEBUG")
    assert result.rc == 0, str(result)
    assert "recreate" in result.output
    assert trusted.get().serial == serial, "it was ordered once more"
    assert examine(host, **ACME).rc == 0


def test_doctor_says_why_there_is_no_acme_certificate(host: Secured) -> None:
    trusted, later = Secured(host.target, acme_root(host)), "later.test"
    result = host.deploy(NAME, later)
    assert result.rc == 0, str(result)
    until(lambda: "Unable to obtain" in host.target.inside(f"{LOG} | grep {later} || true"), 60)
    result = examine(host, **ACME)
    assert f"1. there is no certificate for {later} seen: " in result.output, str(result)
    assert f"lookup {later}" in result.output, str(result)
    # What operations.md says to do once the cause is gone: deploy, since the edge asks again when a route changes.
    host.target.inside(f"known=$(sed 's/ {NAME}$/& {later}/' /etc/hosts); echo \"$known\" > /etc/hosts")
    result = host.deploy(NAME, later)
    assert result.rc == 0, str(result)
    until(lambda: _takes(trusted, later), 120)
    result = examine(host, **ACME)
    assert result.rc == 0, str(result)


def _takes(host: Secured, name: str = NAME) -> bool:
    try:
        return host.get(name=name).status == 200
    except ssl.SSLError:
        return False


def test_without_tls_all_is_served_by_http_again_but_no_page_with_a_password(host: Secured) -> None:
    settings = {"monitoring_enabled": True, "monitoring_password": "secret", "monitoring_plain_http": False}
    result = host.target.fleet.run("configure", **settings)
    assert result.rc != 0
    assert "monitoring_password is set and the edge has no TLS" in result.output, str(result)
    status, headers = host.plain("/readyz")
    assert (status, headers["davit-release"]) == (200, host.target.live())
    assert "strict-transport-security" not in headers
    assert host.plain("/davit/user/status.html")[0] == 404
