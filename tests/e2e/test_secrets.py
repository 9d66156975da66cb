"""Secrets from a vault, the environment, SSM and Secrets Manager: they arrive, rotate, come back, and never show."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import fill_registry, one_host
from tests.e2e.support.app import App
from tests.e2e.support.fleet import Fleet, client_of
from tests.e2e.support.leaks import Canary, Sampler, found_below, found_in, found_on_host, needles_of
from tests.e2e.support.playbook import ROOT, Result
from tests.e2e.support.target import Target

APP = "secrets"
PARAMETER, MANAGED = "/davit-e2e/parameter", "davit-e2e/managed"
# A value of a vault is Ansible's own text, and a template there; those from elsewhere are not.
BETWEEN = " $HOME '\"`date` \\ é% #\n"
CANARIES = {
    "VAULTED": Canary("VAULTED", BETWEEN),
    "FROM_ENV": Canary("FROM_ENV", BETWEEN + "{{ 7 * 7 }}"),
    "PARAMETER": Canary("PARAMETER", BETWEEN + "{{ 7 * 7 }}"),
    "MANAGED": Canary("MANAGED", BETWEEN + "{% if %}"),
    "PARAMETER, rotated": Canary("PARAMETER", BETWEEN),
    "MANAGED, rotated": Canary("MANAGED", BETWEEN),
}
SETTINGS = {
    **one_host("10.92"),
    "compose_release_secrets": {"VAULTED": "{{ vaulted }}", "ONE_DIGIT": 7},
    "compose_release_secret_sources": {
        "FROM_ENV": {"from": "env", "name": "DAVIT_E2E_SECRET"},
        "PARAMETER": {"from": "ssm", "name": PARAMETER},
        "MANAGED": {"from": "secretsmanager", "name": MANAGED, "key": "api_key"},
    },
}


class Webhook:
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        self.got: list[str] = []
        kept = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words: Any) -> None:
                """What arrives is kept in ``got``."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"


@dataclass
class Traces:
    """The app on its host, and all that its deploys leave behind."""

    app: App
    host: Target
    folder: Path
    needles: dict[str, list[str]]
    samplers: dict[str, Sampler]
    webhook: Webhook
    began: float
    output: list[str] = field(default_factory=list)

    def run(self, playbook: str, *arguments: str, **more: Any) -> Result:
        """A playbook with full output, which is kept."""
        given = {"compose_release_webhook": self.webhook.url, **more}
        variables = {} if playbook == "status" else self.app.variables(environment={"LABEL": ""}, **given)
        result = self.host.fleet.run(playbook, "-vvv", "--diff", *arguments, **variables)
        self.output.append(result.stdout + result.stderr)
        return result

    def deploy(self, *arguments: str, **more: Any) -> Result:
        return self.run("deploy", *arguments, **more)

    def values(self) -> dict[str, str]:
        """What the live service has in its environment."""
        return {name: self.app.ask(f"/env?name={name}").json()["value"] for name in ("VAULTED", *SOURCES)}


SOURCES = ("FROM_ENV", "PARAMETER", "MANAGED")


def encrypt(text: str, password: Path, target: Path) -> None:
    """Write a vault; the text goes by standard input."""
    argv = ["ansible-vault", "encrypt", "--vault-password-file", str(password), "--output", str(target), "-"]
    subprocess.run(argv, cwd=ROOT, input=text, text=True, check=True, capture_output=True, timeout=120)


def put(name: str) -> None:
    """Give SSM or Secrets Manager the value of a canary."""
    value = CANARIES[name].value
    if name.startswith("PARAMETER"):
        client_of("ssm").put_parameter(Name=PARAMETER, Value=value, Type="SecureString", Overwrite=True)
    else:
        text = json.dumps({"api_key": value, "other": "not asked for"})
        client_of("secretsmanager").put_secret_value(SecretId=MANAGED, SecretString=text)


@pytest.fixture(scope="module")
def stores() -> Iterator[str]:
    """The names of the parameter and the secret that the lab's AWS has, until the end."""
    manager = client_of("secretsmanager")
    manager.create_secret(Name=MANAGED, SecretString="{}")
    for name in ("PARAMETER", "MANAGED"):
        put(name)
    yield f"{PARAMETER} and {MANAGED}"
    client_of("ssm").delete_parameters(Names=[PARAMETER])
    manager.delete_secret(SecretId=MANAGED, ForceDeleteWithoutRecovery=True)


@pytest.fixture(scope="module")
def traces(stores: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    """A host whose app has a secret from each place, watched from its first deploy on; DAVIT_KEEP_TARGET=1 keeps it."""
    assert stores
    fill_registry()
    folder = tmp_path_factory.mktemp("traces")
    (folder / "tmp").mkdir()
    fleet = Fleet.declare("secrets", tmp_path_factory.mktemp("inventory"), SETTINGS)
    password = folder / "vault-password"
    password.write_text("a password of this test\n")
    vault = fleet.inventory / "group_vars/davit/vault.yml"
    encrypt(f"vaulted: {json.dumps(CANARIES['VAULTED'].value)}\n", password, vault)
    keep = bool(os.environ.get("DAVIT_KEEP_TARGET"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(password))
        patch.setenv("ANSIBLE_CACHE_PLUGIN", "ansible.builtin.jsonfile")
        patch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(folder / "facts"))
        patch.setenv("ANSIBLE_LOG_PATH", str(folder / "ansible.log"))
        patch.setenv("DAVIT_REPORT_DIR", str(folder / "report"))
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("DAVIT_E2E_SECRET", CANARIES["FROM_ENV"].value)
        if fleet.rest() and not keep:
            fleet.destroy()
        for playbook in ("provision", "configure"):
            done = fleet.run(playbook)
            assert done.rc == 0, str(done)
        yield from watched(fleet, folder)
        if not keep:
            gone = fleet.destroy()
            assert (gone.rc, fleet.rest()) == (0, {}), str(gone)


def watched(fleet: Fleet, folder: Path) -> Iterator[Traces]:
    """The app on the host of the fleet, with the processes of both machines looked at all the time."""
    instance = next(iter(fleet.instances().values()))["InstanceId"]
    address = next(iter(fleet.addresses().values()))
    host = Target(fleet, address, Result([], 0, "", ""), f"davit-lab-{instance}")
    registry = (ROOT / ".lab/registry/password").read_text().strip()
    needles = {name: canary.needles for name, canary in CANARIES.items()} | {"registry": needles_of([registry])}
    # What comes from the environment of this machine is in the environment of this machine.
    here = {name: own for name, own in needles.items() if name != "FROM_ENV"}
    webhook = Webhook()
    with webhook.server, Sampler(host.container, needles) as there, Sampler("", here) as local:
        samplers = {"the host": there, "the controller": local}
        yield Traces(App(host, APP, APP), host, folder, needles, samplers, webhook, time.time())
        webhook.server.shutdown()


def test_a_secret_from_each_place_arrives_whole(traces: Traces) -> None:
    result = traces.deploy()
    assert result.rc == 0, str(result)
    assert traces.values() == {name: CANARIES[name].value for name in ("VAULTED", *SOURCES)}
    assert traces.app.ask("/file?path=/run/secrets/parameter").json()["text"] == CANARIES["PARAMETER"].value
    url = traces.app.ask("/env?name=DATABASE_URL").json()["value"]
    assert url == f"postgres://shop:{CANARIES['MANAGED'].value}@db/shop"
    # One of a single digit is in every id and token, and they have to stay whole.
    assert traces.app.ask("/env?name=ONE_DIGIT").json()["value"] == "7"


def test_the_same_secrets_again_change_nothing(traces: Traces) -> None:
    result = traces.deploy()
    assert (result.rc, result.changed) == (0, {}), str(result)


def test_a_changed_secret_is_a_new_release_and_a_rollback_brings_the_old_one_back(traces: Traces) -> None:
    first, before = traces.app.live(), traces.values()
    told = {first: origins(traces)}
    for name in ("PARAMETER", "MANAGED"):
        put(f"{name}, rotated")
    result = traces.deploy()
    assert result.rc == 0, str(result)
    second = traces.app.live()
    told[second] = origins(traces)
    assert second != first
    assert traces.values() == before | {name: CANARIES[f"{name}, rotated"].value for name in ("PARAMETER", "MANAGED")}
    assert told[first]["PARAMETER"] == f"ssm {PARAMETER} version 1"
    assert told[second]["PARAMETER"] == f"ssm {PARAMETER} version 2"
    assert told[first]["MANAGED"] != told[second]["MANAGED"]
    assert told[second]["MANAGED"].startswith(f"secretsmanager {MANAGED} version ")
    assert told[first]["FROM_ENV"] == told[second]["FROM_ENV"] == "env DAVIT_E2E_SECRET"
    back = traces.run("rollback")
    assert back.rc == 0, str(back)
    assert (traces.app.live(), traces.values()) == (first, before)
    assert origins(traces) == told[first]
    assert [line["secrets"] for line in traces.app.history()] == [told[first], told[second], told[first]]


def origins(traces: Traces) -> dict[str, str]:
    """Where the secrets of the live release came from, as status.yml tells it."""
    result = traces.run("status")
    assert result.rc == 0, str(result)
    found = traces.host.inside(f"cat {traces.app.home}/live/release.json")
    record: dict[str, dict[str, str]] = json.loads(found)["secrets"]
    told = {name: " ".join(_words(origin)) for name, origin in record.items()}
    for name, text in told.items():
        assert f"{name}: {text}" in result.output, str(result)
    return told


def _words(origin: dict[str, str]) -> list[str]:
    version = [f"version {origin['version']}"] if "version" in origin else []
    return [origin["from"], *([origin["name"]] if "name" in origin else []), *version]


def test_a_release_that_logs_its_secrets_is_shown_without_them(traces: Traces) -> None:
    live = traces.app.live()
    result = traces.deploy(compose_release_environment={"CHATTY": "yes"})
    assert result.rc != 0
    assert "exited with code 7" in result.output, str(result)
    for name in ("VAULTED", "PARAMETER", "MANAGED"):
        assert f"{name} is [secret {name}]" in result.output, str(result)
    assert found_in(result.stdout + result.stderr, traces.needles) == []
    assert traces.app.live() == live


def test_a_check_tells_what_would_come_and_no_value(traces: Traces) -> None:
    result = traces.deploy("--check", "-vvvvv", compose_release_environment={"CHATTY": "no"})
    assert (result.rc, "would be deployed" in result.output) == (0, True), str(result)


def test_all_that_cannot_be_had_are_named_at_once_and_nothing_is_touched(traces: Traces) -> None:
    lines = len(traces.app.history())
    result = traces.deploy(
        compose_release_secret_sources={
            "FROM_ENV": {"from": "env", "name": "DAVIT_E2E_NOT_SET"},
            "PARAMETER": {"from": "ssm", "name": f"{PARAMETER}/missing"},
            "MANAGED": {"from": "secretsmanager", "name": MANAGED, "key": "missing"},
            "VAULTED": {"from": "env", "name": "DAVIT_E2E_SECRET"},
        }
    )
    assert result.rc != 0
    said = (
        "FROM_ENV (env DAVIT_E2E_NOT_SET): it is not set",
        f"PARAMETER (ssm {PARAMETER}/missing): there is no such entry",
        f"MANAGED (secretsmanager {MANAGED}): its JSON has no key 'missing'",
        "VAULTED: it is in compose_release_secret_sources and in compose_release_secrets",
        "nothing was touched",
    )
    for words in said:
        assert words in result.output, str(result)
    assert len(traces.app.history()) == lines
    assert any("cannot be had" in message for message in traces.webhook.got)


def test_no_secret_is_anywhere_but_where_it_belongs(traces: Traces) -> None:
    """After all of the above: outputs, reports, logs, caches, messages, processes, and the files of the host."""
    leaks: list[tuple[str, object]] = []
    for kind, texts in (("output", traces.output), ("webhook", traces.webhook.got)):
        assert len(texts) > 1, f"the search must have some {kind} to search"
        leaks += [(kind, name) for text in texts for name in found_in(text, traces.needles)]
    written = {path.suffix for path in traces.folder.rglob("*") if path.is_file()}
    assert {".log", ".json", ".md", ".html"} <= written, "the search must have something to search"
    leaks += found_below([traces.folder, ROOT / ".ansible/tmp"], traces.needles, traces.began)
    for machine, sampler in traces.samplers.items():
        told = sampler.read()
        leaks += [(machine, one) for one in told["found"]]
        assert int(str(told["rounds"])) > 50, machine
        assert "docker" in told["seen"] or machine != "the host", told
    found = found_on_host(traces.host.container, traces.needles)
    own = f"{traces.app.home}/releases/"
    assert {name for name, _place in found} == set(CANARIES), "the search must find them where they belong"
    leaks += [(name, place) for name, place in found if not place.startswith(own)]
    files = [place for _name, place in found if not place.rpartition("/")[0].endswith("/env")]
    assert set(traces.host.inside(f"stat -c '%U %a' {' '.join(files)}").splitlines()) == {"root 600"}
    assert set(traces.host.inside(f"stat -c '%U %a' {own} {own}*/").splitlines()) == {"root 700"}
    assert leaks == []
