"""The deploy job's own steps, with exactly the four secrets, against a host of the lab."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.support.host import Host
from tests.e2e.support.load import Load
from tests.e2e.support.playbook import ROOT
from tests.e2e.support.workflow import run_job

LAB = ROOT / ".lab"


@pytest.fixture(scope="module")
def secrets(host: Host) -> dict[str, str]:
    """As people paste them: a key with CRLF and blanks around it, a token with a line break."""
    assert host.fleet.run("site").rc == 0
    key = (LAB / "ssh/id_ed25519").read_text()
    return {
        "EC2_HOST": host.address,
        "EC2_USER": "ubuntu",
        "EC2_SSH_KEY": "\r\n  " + key.replace("\n", "  \r\n"),
        "GHCR_PAT": (LAB / "registry/password").read_text().strip() + "\n",
    }


@pytest.fixture(scope="module")
def pinned(host: Host) -> str:
    """The host's key. Asked once: sshd puts off who connects often and never logs in."""
    argv = ["ssh-keyscan", "-t", "ed25519", host.address]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def workspace(pinned: str, tmp_path: Path) -> Path:
    """A checkout's place with the host's key pinned, as `make known-hosts` does it."""
    place = tmp_path / "inventories/ssh"
    place.mkdir(parents=True)
    (place / "known_hosts").write_text(pinned)
    return tmp_path


EXTRA = json.dumps({"registry_login_username": "davit", "compose_release_soak_seconds": 0, "monitoring_enabled": False})


def test_a_version_is_deployed_and_the_summary_says_so(host: Host, secrets: dict[str, str], workspace: Path) -> None:
    before = host.live()
    version = "v1" if host.ask("/version").json()["version"] == "v2" else "v2"
    with Load(host.address) as load:
        outcome = run_job(secrets, {"version": version, "extra": EXTRA}, workspace)
    assert outcome.rc == 0, outcome.log
    assert host.live() != before
    assert load.failures == []
    assert f"deploy of restaurant-search {version}: succeeded on 1 host(s)" in outcome.summary
    assert f"| ec2 | succeeded | {host.live()} |" in outcome.summary
    assert "golden set" in outcome.summary
    report = json.loads((workspace / "davit-report/restaurant-search.json").read_text())
    assert (report["result"], report["hosts"][0]["live"]) == ("succeeded", host.live())
    for name in ("EC2_SSH_KEY", "GHCR_PAT"):
        assert secrets[name].strip() not in outcome.log + outcome.summary
    # Neither key nor token outlives the step.
    left = [path.name for path in workspace.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(
        ["known_hosts", "output", "summary.md", *(f"restaurant-search.{end}" for end in ("html", "json", "md"))]
    )


def test_a_bad_image_makes_a_red_job_and_the_live_release_stays(
    host: Host, secrets: dict[str, str], workspace: Path
) -> None:
    before = host.live()
    with Load(host.address) as load:
        outcome = run_job(secrets, {"version": "bad-search-500", "extra": EXTRA}, workspace)
    assert outcome.rc != 0
    assert "::error title=deploy of restaurant-search bad-search-500%3A failed" in outcome.log, outcome.log
    assert "**ec2 failed in start and gate**" in outcome.summary
    assert load.failures == []
    assert host.live() == before
    assert host.ask("/readyz").release == before


def test_a_rollback_brings_back_the_one_before(host: Host, secrets: dict[str, str], workspace: Path) -> None:
    before = host.live()
    extra = json.dumps({"compose_release_rollback_cause": 'it\'s "wrong"'})
    outcome = run_job(secrets, {"playbook": "rollback", "extra": extra}, workspace)
    assert outcome.rc == 0, outcome.log
    assert host.live() != before
    assert host.history()[-1]["cause"] == 'it\'s "wrong"'
    assert "rollback of restaurant-search: succeeded" in outcome.summary


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"EC2_HOST": ""}, "set the secret EC2_HOST"),
        ({"EC2_HOST": "http://198.19.0.1"}, "without http://"),
        ({"EC2_HOST": "1.2.3.4 -oProxyCommand=id"}, "no address has"),
        ({"EC2_SSH_KEY": ""}, "set the secret EC2_SSH_KEY"),
        ({"EC2_SSH_KEY": "-----BEGIN"}, "no private key without a passphrase"),
        ({"EC2_HOST": "198.19.255.254"}, "has no key of 198.19.255.254"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_nothing_is_tried(
    secrets: dict[str, str], workspace: Path, change: dict[str, str], said: str
) -> None:
    outcome = run_job({**secrets, **change}, {"version": "v1"}, workspace)
    assert outcome.rc == 2, outcome.log
    assert "::error title=Davit::" in outcome.log
    assert said in outcome.log
    assert "PLAY" not in outcome.log


def test_a_host_key_that_is_not_pinned_is_a_clear_failure(secrets: dict[str, str], tmp_path: Path) -> None:
    outcome = run_job(secrets, {"version": "v1"}, tmp_path)
    assert outcome.rc == 2
    assert f"run 'make known-hosts EC2_HOST={secrets['EC2_HOST']}'" in outcome.log


def test_another_host_key_is_refused(host: Host, secrets: dict[str, str], workspace: Path) -> None:
    """As when somebody stands in between."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(workspace / "other")], check=True, capture_output=True
    )
    public = (workspace / "other.pub").read_text().split()
    (workspace / "inventories/ssh/known_hosts").write_text(f"{host.address} {public[0]} {public[1]}\n")
    outcome = run_job(secrets, {"version": "v1", "extra": EXTRA}, workspace)
    assert outcome.rc != 0
    assert "Host key verification failed" in outcome.log, outcome.log
