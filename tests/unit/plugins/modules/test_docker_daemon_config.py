"""Writing daemon.json: checked first, in one rename, with the former file kept."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import daemon_config, unapplied
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.modules import docker_daemon_config
from ansible_collections.davit.ec2.plugins.modules.docker_daemon_config import read, validate, work, write


class Host:
    """What the module asks of AnsibleModule."""

    check_mode = False

    def __init__(self, dockerd: str | None, code: int = 0, err: str = "") -> None:
        self.params: dict[str, Any] = {}
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


class Machine(Host):
    """A host with a directory for each of /etc/docker, /proc, /run and the engine's data; the engine does not run."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(None)
        self.processes = {"docker.service": 0, "containerd.service": 0}
        self.place, self.path, self.data = place, place / "daemon.json", place / "data"
        monkeypatch.setattr(unapplied, "PLACE", place / "run")
        monkeypatch.setattr(docker_daemon_config, "PROCESSES", place / "proc")
        monkeypatch.setattr(docker_daemon_config, "main_process", lambda unit: self.processes[unit])
        monkeypatch.setattr(docker_daemon_config, "chosen_by", lambda _process: {})
        monkeypatch.setitem(daemon_config.PLACES, "data-root", str(self.data))

    def starts(self, unit: str, process: int, program: str) -> None:
        self.processes[unit] = process
        folder = self.place / f"proc/{process}"
        folder.mkdir(parents=True)
        (folder / "exe").symlink_to(program)

    def run(self, **config: Any) -> dict[str, Any]:
        """What the module returns, and whether it says that something changed."""
        self.params = {"path": str(self.path), "config": config}
        return work(self)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_an_engine_that_was_not_told_is_told_by_the_next_run(machine: Machine) -> None:
    machine.starts("docker.service", 7, "/usr/sbin/dockerd")
    machine.path.write_text(daemon_config.render({"bip": "10.1.0.1/24"}))
    assert not machine.run(bip="10.1.0.1/24")["changed"]
    # The handlers of neither of these runs come to pass.
    for mirrors in ([], ["https://mirror"], ["https://mirror"]):
        told = machine.run(**{"bip": "10.2.0.1/24", "registry-mirrors": mirrors})
        assert (told["changed"], told["action"]) == (True, "restart")
    Path(told["unapplied"]).unlink()
    told = machine.run(**{"bip": "10.2.0.1/24", "registry-mirrors": ["https://mirror"]})
    assert (told["changed"], told["action"]) == (False, "none")


def test_an_engine_that_was_started_since_has_read_the_file(machine: Machine) -> None:
    machine.starts("docker.service", 7, "/usr/sbin/dockerd")
    machine.run(debug=True)
    machine.starts("docker.service", 8, "/usr/sbin/dockerd")
    assert not machine.run(debug=True)["changed"]


def test_a_check_writes_nothing(machine: Machine) -> None:
    machine.check_mode = True
    machine.starts("docker.service", 7, "/usr/sbin/dockerd")
    assert machine.run(debug=True)["changed"]
    assert not machine.path.exists()
    assert not (machine.place / "run").exists()


@pytest.mark.parametrize("unit", ["docker.service", "containerd.service"])
def test_a_program_that_was_replaced_asks_for_a_restart_until_it_is_done(machine: Machine, unit: str) -> None:
    machine.path.write_text(daemon_config.render({}))
    machine.starts(unit, 7, "/usr/bin/program (deleted)")
    for _twice in range(2):
        told = machine.run()
        assert (told["changed"], told["action"], told["replaced"]) == (True, "none", [unit])
    machine.starts(unit, 8, "/usr/bin/program")
    told = machine.run()
    assert (told["changed"], told["replaced"]) == (False, [])


def test_a_program_that_was_replaced_is_seen_by_its_process(tmp_path: Path) -> None:
    """What dpkg does is a rename over the program."""
    program = tmp_path / "sleep"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert not docker_daemon_config.is_replaced(process.pid)
            newer = tmp_path / "sleep.dpkg-new"
            newer.write_bytes(program.read_bytes())
            newer.rename(program)
            assert docker_daemon_config.is_replaced(process.pid)
        finally:
            process.kill()
    assert not docker_daemon_config.is_replaced(0)


@pytest.mark.parametrize(
    ("there", "refused"),
    [(None, False), ("lost+found", False), ("overlay2", True), ("daemon.json", True)],
)
def test_only_an_engine_that_was_there_can_lose_sight_of_its_data(
    machine: Machine, there: str | None, refused: bool
) -> None:
    if there == "daemon.json":
        machine.path.write_text("{}")
    elif there:
        (machine.data / there).mkdir(parents=True)
    if refused:
        with pytest.raises(DavitError, match="Take userns-remap out of docker_engine_daemon_options"):
            machine.run(**{"userns-remap": "default"})
    else:
        machine.run(**{"userns-remap": "default"})
    assert machine.path.exists() == (not refused or there == "daemon.json")
