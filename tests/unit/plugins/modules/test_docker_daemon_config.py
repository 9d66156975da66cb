"""Writing daemon.json: checked first, in one rename, with the former file kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.modules.docker_daemon_config import read, validate, write


class Host:
    """What the module asks of AnsibleModule."""

    def __init__(self, dockerd: str | None, code: int = 0, err: str = "") -> None:
        self.dockerd, self.code, self.err = dockerd, code, err
        self.checked = ""

    def get_bin_path(self, _name: str, **_options: Any) -> str | None:
        return self.dockerd

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        self.checked = Path(command[-1]).read_text(encoding="utf-8")
        return self.code, "", self.err


def test_the_former_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "docker/daemon.json"
    write(path, "one")
    assert not list(path.parent.glob("*.before-davit"))
    write(path, "two")
    assert read(path) == "two"
    assert path.with_name("daemon.json.before-davit").read_text() == "one"
    assert path.stat().st_mode & 0o777 == 0o644
    assert len(list(path.parent.iterdir())) == 2


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "daemon.json") is None


def test_the_engine_is_asked_about_the_very_text(tmp_path: Path) -> None:
    host = Host("/usr/sbin/dockerd")
    validate(host, tmp_path, '{"debug": true}')
    assert host.checked == '{"debug": true}'


def test_what_the_engine_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DavitError, match=r"is left as it was: unknown option"):
        validate(Host("/usr/sbin/dockerd", 1, "unknown option"), tmp_path, "{}")


@pytest.mark.parametrize("host", [Host(None), Host("/usr/sbin/dockerd", 125, "unknown flag: --validate")])
def test_an_engine_that_cannot_check_is_no_error(tmp_path: Path, host: Host) -> None:
    validate(host, tmp_path, "{}")
