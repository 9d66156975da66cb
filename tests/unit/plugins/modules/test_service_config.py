"""Writing a service's file and having the service follow, whenever a run dies in between."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import unapplied
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.modules import service_config


class Service:
    """A service with a file; ``read`` is each text that it was told to read."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = place / "conf.d/10-davit.conf"
        self.read: list[str] = []
        self.dies_at = ""
        self.says = "passwords no"
        monkeypatch.setattr(unapplied, "PLACE", place / "run")
        monkeypatch.setattr(service_config, "run", self.run)

    def run(self, argv: list[str]) -> Any:
        if argv[0] == self.dies_at:
            raise KeyboardInterrupt
        if argv == ["reload"]:
            self.read.append(self.path.read_text())
        if argv == ["check"] and "nonsense" in self.path.read_text():
            raise CommandError("'check ...' failed: nonsense", "", 1)
        return SimpleNamespace(stdout=f"port 22\n{self.says}\n")

    def configure(self, content: str, *, check_mode: bool = False) -> dict[str, Any]:
        parameters = {
            "path": str(self.path),
            "content": content,
            "check": ["check"],
            "expected": ["passwords no"],
            "advice": "See what includes it.",
            "apply": ["reload"],
        }
        module: Any = SimpleNamespace(params=parameters, check_mode=check_mode)
        return service_config.work(module)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(tmp_path, monkeypatch)


def test_the_service_reads_each_text_once(service: Service) -> None:
    for text, changed in (("one\n", True), ("one\n", False), ("two\n", True), ("two\n", False)):
        assert service.configure(text)["changed"] == changed
    assert service.read == ["one\n", "two\n"]
    assert service.path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_services_cannot_read_is_written_anew(service: Service) -> None:
    service.configure("one\n")
    service.path.chmod(0o600)
    assert service.configure("one\n")["written"]
    assert service.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["check", "reload"])
def test_what_a_run_that_died_did_not_apply_the_next_one_does(service: Service, step: str) -> None:
    service.dies_at = step
    with pytest.raises(KeyboardInterrupt):
        service.configure("one\n")
    assert service.path.read_text() == "one\n"
    service.dies_at = ""
    assert service.configure("one\n", check_mode=True) | {"diff": {}} == {"changed": True, "written": False, "diff": {}}
    assert service.read == []
    assert service.configure("one\n")["changed"]
    assert not service.configure("one\n")["changed"]
    assert service.read == ["one\n"]


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize(("former", "words"), [(None, "gone again"), ("one\n", "as it was")])
def test_what_the_check_refuses_is_put_back_as_the_service_knows_it(
    service: Service, former: str | None, words: str, *, dies: bool
) -> None:
    if former:
        service.configure(former)
    if dies:
        service.dies_at = "check"
        with pytest.raises(KeyboardInterrupt):
            service.configure("nonsense\n")
        service.dies_at = ""
    with pytest.raises(
        DavitError, match=rf"'check' does not agree .*10-davit\.conf says, so the file is {words}: .*nonsense"
    ):
        service.configure("nonsense\n")
    assert service_config.read(service.path) == former
    assert service.read == ([former] if former else [])
    if former:
        assert not service.configure(former)["changed"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_file_that_another_outdoes_later_is_found(service: Service, *, check_mode: bool) -> None:
    service.configure("one\n")
    service.says = "passwords yes"
    with pytest.raises(DavitError, match=r"as it was: it does not say: passwords no\. See what includes it\.$"):
        service.configure("one\n", check_mode=check_mode)
    assert service.path.read_text() == "one\n"


def test_a_check_writes_nothing(service: Service, tmp_path: Path) -> None:
    assert service.configure("nonsense\n", check_mode=True)["changed"]
    assert list(tmp_path.iterdir()) == []
