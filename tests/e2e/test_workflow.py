"""The deploy job's own steps, with exactly the four secrets, against a host of the lab."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.host import Host
from tests.e2e.support.load import Load
from tests.e2e.support.monitored import look
from tests.e2e.support.playbook import ROOT
from tests.e2e.support.workflow import run_job

LAB = ROOT / ".lab"


@pytest.fixture(scope="module")
def secrets(host: Host) -> dict[str, str]:
    """As people paste them: a key with CRLF and blanks around it, a token with a line break."""
    first = host.deploy()
    assert first.rc == 0, str(first)
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
    # And with the reference service, by what tells a checkout of this repository from another one.
    (place / "group_vars/davit").mkdir(parents=True)
    (place / "group_vars/davit/app.yml").touch()
    return tmp_path


EXTRA = json.dumps(
    {
        "registry_login_username": "davit",
        "compose_release_soak_seconds": 0,
        "monitoring_enabled": False,
        "restaurant_search_slowest_ms": 1000,
    }
)


def test_a_version_is_deployed_and_the_summary_says_so(host: Host, secrets: dict[str, str], workspace: Path) -> None:
    before = host.live()
    version = "v1" if host.ask("/version").json()["version"] == "v2" else "v2"
    with Load(host.address) as load:
        outcome = run_job(secrets, {"version": version, "extra": EXTRA}, workspace)
    assert outcome.rc == 0, outcome.log
    assert host.live() != before
    assert load.lost == {}
    assert f"deploy of restaurant-search {version}: succeeded on 1 host(s)" in outcome.summary
    assert f"| ec2 | succeeded | {host.live()} |" in outcome.summary
    assert "golden set" in outcome.summary
    report = json.loads((workspace / "davit-report/restaurant-search.json").read_text())
    assert (report["result"], report["hosts"][0]["live"]) == ("succeeded", host.live())
    assert_told(report, before, version)
    for name in ("EC2_SSH_KEY", "GHCR_PAT"):
        assert secrets[name].strip() not in outcome.log + outcome.summary
    # Neither key nor token outlives the step.
    left = [path.name for path in workspace.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(
        [
            "app.yml",
            "known_hosts",
            "output",
            "summary.md",
            *(f"restaurant-search.{end}" for end in ("html", "json", "md")),
        ]
    )


def assert_told(report: dict[str, Any], before: str, version: str) -> None:
    """The phases one by one, what the probe saw meanwhile, and what the release changes."""
    (seen,) = report["hosts"]
    passed = [phase["phase"] for phase in seen["timeline"]]
    assert passed == ["preflight", "fetch", "start", "gate", "switch", "soak", "finish"]
    began = [phase["began"] for phase in seen["timeline"]]
    assert began == sorted(began)
    series = seen["series"]
    assert sum(series["requests"]) == seen["probe"]["requests"] > 0
    # It asks from the start of the candidate to the end, by the same clock as the phases.
    started = next(phase["began"] for phase in seen["timeline"] if phase["phase"] == "start")
    assert started - 2 <= series["began"] <= report["ended"]
    changes = seen["changes"]
    assert (changes["against"], changes["version"][1]) == (before, version)
    assert [image["service"] for image in changes["images"]] == ["api"]
    assert changes["unknown"] == []


@pytest.mark.usefixtures("browser")
def test_the_report_of_a_real_deploy_is_a_page_for_desk_and_phone(
    host: Host, workspace: Path, secrets: dict[str, str], tmp_path: Path
) -> None:
    version = "v1" if host.ask("/version").json()["version"] == "v2" else "v2"
    extra = {
        **json.loads(EXTRA),
        "compose_release_soak_seconds": 10,
        "compose_release_environment": {"DEPLOY_LABEL": "canary-7b1e", "LOG_LEVEL": "warning"},
    }
    with Load(host.address):
        outcome = run_job(secrets, {"version": version, "extra": json.dumps(extra)}, workspace)
    assert outcome.rc == 0, outcome.log
    assert "✓ soak" in outcome.log, outcome.log
    assert host.ask("/version").json()["deploy_label"] == "canary-7b1e"
    for path in (workspace / "davit-report").iterdir():
        text = path.read_text()
        assert "DEPLOY" in text, path
        assert "canary-7b1e" not in text, path
    url = (workspace / "davit-report/restaurant-search.html").as_uri()
    shot = os.environ.get("DAVIT_SCREENSHOT_REPORT") or str(tmp_path / "report.png")
    page = look(url, "main", "h1", ".wide svg", ".wide .d", "h2", screenshot=shot)
    assert (page["errors"], page["overflow"]) == ([], False)
    assert page["seen"]["h1"][0]["text"] == f"restaurant-search {version} is live"
    assert page["seen"][".wide svg"][0]["box"]["height"] > 100
    assert page["seen"][".wide .d"], "the latency is drawn"
    headings = [one["text"] for one in page["seen"]["h2"]]
    assert any(text.startswith("What changed") for text in headings), headings
    phone = look(url, "main", ".narrow svg", ".wide svg", width=390)
    assert (phone["errors"], phone["overflow"]) == ([], False)
    assert phone["seen"][".narrow svg"][0]["box"]["width"] > 300
    assert phone["seen"][".wide svg"][0]["box"] is None, "one chart at a time"


def test_a_bad_image_makes_a_red_job_and_the_live_release_stays(
    host: Host, secrets: dict[str, str], workspace: Path
) -> None:
    before = host.live()
    with Load(host.address) as load:
        outcome = run_job(secrets, {"version": "bad-search-500", "extra": EXTRA}, workspace)
    assert outcome.rc != 0
    assert "::error title=deploy of restaurant-search bad-search-500%3A failed" in outcome.log, outcome.log
    assert "**ec2 failed in gate**" in outcome.summary
    assert load.lost == {}
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
    assert f"Run 'ssh-keyscan {secrets['EC2_HOST']} >>inventories/ssh/known_hosts'" in outcome.log


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
