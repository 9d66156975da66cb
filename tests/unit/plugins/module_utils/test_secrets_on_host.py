"""What the host makes of secrets: Compose never sees one, records tell where it came from, and outputs lose it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.davit.ec2.plugins.module_utils import (
    ending,
    engine_api,
    journal,
    module_run,
    plan,
    preflight,
    rollout,
    store,
    tidy,
)
from ansible_collections.davit.ec2.plugins.module_utils import running_file as rf
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.release import told_origin
from ansible_collections.davit.ec2.plugins.modules import health_check, release_preflight
from tests.unit.support import host as on_host

SECRET = "p$w'\"0rd\nof two lines"


class Compose(Engine):
    """Fills in variables as Compose does, and keeps what it was given."""

    def __init__(self, error: str = "") -> None:
        super().__init__()
        self.error, self.given = error, dict[str, str]()

    def config(self, *arguments: Any, **_: Any) -> dict[str, Any]:
        self.given = dict(arguments[2])
        if self.error:
            raise DavitError(self.error.format(**self.given))
        url = f"postgres://shop:{self.given['TOKEN']}@db/{self.given['NAME']}"
        return {"services": {"web": {"environment": {"URL": url, "N": None}, "command": [self.given["TOKEN"]], "n": 1}}}


def request(tmp_path: Path) -> preflight.Request:
    return preflight.Request(AppLayout("shop", str(tmp_path)), {}, "", secrets={"TOKEN": SECRET})


def model_of(engine: Compose, tmp_path: Path) -> Mapping[str, Any]:
    return preflight._model(request(tmp_path), engine, {"TOKEN": SECRET, "NAME": "n"}, tmp_path)


def test_compose_is_given_stand_ins_and_the_model_has_the_secrets(tmp_path: Path) -> None:
    engine = Compose()
    (service,) = model_of(engine, tmp_path)["services"].values()
    doubled = SECRET.replace("$", "$$")
    assert service == {
        "environment": {"URL": f"postgres://shop:{doubled}@db/n", "N": None},
        "command": [doubled],
        "n": 1,
    }
    assert engine.given["NAME"] == "n"
    assert SECRET not in str(engine.given)


def test_what_compose_says_of_a_stand_in_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(DavitError, match=r"invalid size: '\$\{TOKEN\}'$"):
        model_of(Compose("invalid size: '{TOKEN}'"), tmp_path)


def test_the_content_hash_is_keyed_by_app_and_host(tmp_path: Path) -> None:
    layout, other = AppLayout("shop", str(tmp_path)), AppLayout("blog", str(tmp_path))
    assert store.content_key(layout) == ""
    for one in (layout, other):
        store.make_private(one.home)
        store.ensure_content_key(one)
    key = store.content_key(layout)
    assert (len(key), layout.content_key.stat().st_mode & 0o777) == (64, 0o600)
    assert key != store.content_key(other)
    store.ensure_content_key(layout)
    assert store.content_key(layout) == key
    assert rf.content_hash([], {}, {}, key) == rf.content_hash([], {}, {}, key) != rf.content_hash([], {}, {})


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ({"from": "variable"}, "variable"),
        ({"from": "env", "name": "T"}, "env T"),
        ({"from": "ssm", "name": "/a", "version": "3"}, "ssm /a version 3"),
    ],
)
def test_an_origin_in_words(origin: dict[str, str], said: str) -> None:
    assert told_origin(origin) == said


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> on_host.Host:
    """A host on which the first release has a secret and logs it."""
    made = on_host.Host(tmp_path)
    on_host.install(made, monkeypatch)
    release = on_host.release(1, secrets={"TOKEN": {"from": "ssm", "name": "/a", "version": "3"}})
    made.publish(release)
    store.write_json(made.layout.release(release.id) / store.SECRETS, {"TOKEN": "hunter2-and-more"})
    made.run_release(release)
    monkeypatch.setattr(made, "logs", lambda *_: ["cannot log in with hunter2-and-more"])
    return made


def begin(host: on_host.Host) -> journal.Session:
    claim = journal.Claim("tests", "deploy v1", plan.DEPLOY, 60.0, {})
    with journal.acquire(host.layout, claim) as (session, _old):
        journal.begin(session, claim)
        session.advance(journal.START, release=on_host.rid(1), previous="")
        return session


def test_a_failure_is_told_and_recorded_without_the_secret(host: on_host.Host) -> None:
    ended = ending.undo(begin(host), "the job said: hunter2-and-more", host)
    assert ended.logs == {"web": ["cannot log in with [secret TOKEN]"]}
    assert ended.cause == "the job said: [secret TOKEN]"
    (line,) = store.read_history(host.layout)
    assert (line["cause"], line["secrets"]) == (ended.cause, {"TOKEN": "ssm /a version 3"})
    written = "".join(path.read_text() for path in (host.layout.history, host.layout.journal) if path.exists())
    assert "hunter2" not in written


CHECK = {"name": "the answer is right", "verdict": "fail", "observed": "hunter2-and-more instead of 42"}
MASKED = {**CHECK, "observed": "[secret TOKEN] instead of 42"}


def test_what_a_check_has_seen_is_kept_without_the_secret(host: on_host.Host) -> None:
    path = host.layout.release(on_host.rid(1)) / store.VERDICT
    rollout._keep_evidence(host.layout, on_host.release(1), gate={"verdict": "fail", "checks": [CHECK]})
    assert store.read_json(path) == {"gate": {"verdict": "fail", "checks": [MASKED]}}
    # As an earlier version of Davit has written it.
    store.write_json(path, {"gate": {"verdict": "fail", "checks": [CHECK]}})
    ending.undo(begin(host), "it failed", host)
    assert store.read_history(host.layout)[-1]["evidence"] == [MASKED]


ARGUMENTS = {
    "app": {"type": "str"},
    "root": {"type": "path"},
    "secrets": {"type": "dict", "no_log": True},
    "environment": {"type": "dict"},
}


def said_by(work: Any, capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    """What a module prints that was given these arguments."""
    told = {"app": "shop", "_ansible_inject_invocation": True, **arguments}
    with patch_module_args(told), pytest.raises(SystemExit):
        module_run.run_module(ARGUMENTS, work)
    return dict(json.loads(capsys.readouterr().out))


def test_a_secret_of_one_digit_leaves_ids_and_tokens_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda _: None)
    said = said_by(
        lambda _: {"token": "5f1d0c9a7b3e2468", "live": "20260131-120000-0a1b2c3-12", "cause": "v1 hunter2"},
        capsys,
        root=str(tmp_path),
        secrets={"DIGIT": "1", "WORD": "hunter2"},
        environment={"LABEL": "summer", "URL": "http://hunter2@db"},
    )
    assert (said["token"], said["live"]) == ("5f1d0c9a7b3e2468", "20260131-120000-0a1b2c3-12")
    assert said["cause"] == "v1 [secret WORD]"
    shown = said["invocation"]["module_args"]
    assert (shown["secrets"], shown["environment"]) == ("hidden", {"LABEL": "summer", "URL": "http://[secret WORD]@db"})


def test_a_module_that_fails_does_not_say_a_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda _: None)

    def fail(_: Any) -> dict[str, Any]:
        raise DavitError("no login with hunter2", ended={"release": "a", "cause": "hunter2"}, logs={"web": ["hunter2"]})

    said = said_by(fail, capsys, root=str(tmp_path), secrets={"WORD": "hunter2"})
    assert said["failed"]
    assert said["msg"] == "no login with [secret WORD]"
    assert (said["ended"], said["logs"]) == ({"release": "a", "cause": "[secret WORD]"}, {"web": ["[secret WORD]"]})
    assert "hunter2" not in json.dumps(said)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        (release_preflight.ARGUMENTS["gate"], lambda check: {"gate": {"http": [check]}}),
        (health_check.ARGUMENTS["http"], lambda check: {"http": [check]}),
    ],
)
def test_a_header_is_neither_in_the_journal_nor_blotted_out_of_a_verdict(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], given: Any
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda _self, *said, **more: logged.append((said, more)))
    check = {"path": "/readyz", "headers": {"X-One": "1", "Authorization": "Bearer tok-0a1b2c3d"}}
    told = given(check)

    def work(_: Any) -> dict[str, Any]:
        return {"verdict": {"seconds": 1.5, "checks": [{"name": "/readyz", "observed": "1 of tok-0a1b2c3d"}]}}

    with patch_module_args({"_ansible_inject_invocation": True, **told}), pytest.raises(SystemExit):
        module_run.run_module(dict.fromkeys(told, declared), work)
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"]["checks"] == [{"name": "/readyz", "observed": "1 of [secret Authorization]"}]
    assert "tok-0a1b2c3d" not in json.dumps([said, logged], default=str)


def test_files_of_stateful_services_go_once_nothing_names_them(
    host: on_host.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, release = host.layout, host.layout.release(on_host.rid(1))
    store.point(layout.live, release)
    half_built = layout.releases / f".{on_host.rid(2)}"
    half_built.mkdir()
    named = {"0a" * 6: layout.stateful_file, "1b" * 6: release / store.STATEFUL, "2c" * 6: half_built / store.STATEFUL}
    for name, file in named.items():
        store.write_json(file, {"secrets": {"key": {"file": f"{layout.stateful_files / name}/env/key"}}})
    for name in (*named, "3d" * 6, "4e" * 6, f".{'5f' * 6}"):
        (layout.stateful_files / name / "env").mkdir(parents=True)
        (layout.stateful_files / name / "env/key").write_text("hunter2-and-more")
    binds = {"HostConfig": {"Binds": [f"{layout.stateful_files / ('3d' * 6)}/env/key:/key:ro"]}}
    monkeypatch.setattr(host, "stack", lambda project: [binds] if project == layout.stateful_project else [])
    assert tidy.clean_up(layout, 3, 0.0, host) == []
    assert {path.name for path in layout.stateful_files.iterdir()} == {*named, "3d" * 6}


def test_files_of_stateful_services_stay_when_the_engine_does_not_tell_what_runs(
    host: on_host.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise DavitError("the engine is away")

    monkeypatch.setattr(host, "stack", fail)
    store.point(host.layout.live, host.layout.release(on_host.rid(1)))
    (host.layout.stateful_files / ("0a" * 6)).mkdir(parents=True)
    assert tidy.clean_up(host.layout, 3, 0.0, host) == ["the engine is away"]
    assert (host.layout.stateful_files / ("0a" * 6)).is_dir()


OPTIONS = {"type": "cifs", "device": "//files/shop", "o": "username=shop,password=p$$w rd"}


class Socket:
    """The engine's socket: notes what is sent, answers each time the same. Commands to it are refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int = 201, *, there: bool = False) -> None:
        self.status, self.there, self.sent = status, there, list[tuple[str, str, Any]]()
        monkeypatch.setattr(engine_api, "call", self.call)
        monkeypatch.setattr(Engine, "_exists", lambda *_: self.there)
        monkeypatch.setattr(Engine, "docker", lambda _self, *argv, **_: pytest.fail(f"in the arguments: {argv}"))

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> tuple[int, Any]:
        self.sent.append((method, path, body))
        return self.status, {"message": "no"}


@pytest.mark.parametrize(
    ("settings", "driver", "options"),
    [
        ({}, "local", {}),
        ({"driver": "rexray", "driver_opts": {"size": 5}}, "rexray", {"size": "5"}),
        ({"driver_opts": OPTIONS}, "local", {**OPTIONS, "o": "username=shop,password=p$w rd"}),
    ],
)
def test_the_options_of_a_volume_are_in_no_arguments(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], driver: str, options: dict[str, str]
) -> None:
    socket = Socket(monkeypatch)
    Engine().ensure_volume("shop_data", settings, {"davit.app": "shop"})
    wanted = {"Name": "shop_data", "Driver": driver, "DriverOpts": options, "Labels": {"davit.app": "shop"}}
    assert socket.sent == [("POST", "/volumes/create", wanted)]


def test_a_volume_that_is_there_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket(monkeypatch, there=True)
    Engine().ensure_volume("shop_data", {"driver_opts": OPTIONS}, {})
    assert socket.sent == []


@pytest.mark.parametrize(("status", "said"), [(404, "knows no driver 'local'"), (500, "refused POST /volumes/create")])
def test_a_volume_that_cannot_be_made_is_told_without_its_options(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    Socket(monkeypatch, status)
    with pytest.raises(DavitError, match=said) as raised:
        Engine().ensure_volume("shop_data", {"driver_opts": OPTIONS}, {})
    assert "p$w" not in str(raised.value)
