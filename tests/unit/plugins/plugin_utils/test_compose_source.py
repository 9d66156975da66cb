"""What is wrong with a Compose file is told with its line, and what travels is the project alone."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.plugin_utils import compose_source
from ansible_collections.davit.ec2.plugins.plugin_utils.compose_source import Source, read_source

NO_NAMES: frozenset[str] = frozenset()
WEB = "services:\n  web:\n    image: a:1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def source(project: Path, text: str) -> Source:
    path = project / "compose.yaml"
    path.write_text(text)
    return read_source(path)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("services:\n  web:\n    image: [a\n    ports: b\n", 4, "not YAML"),
        ("services:\n  web: a: b\n", 2, "not YAML"),
        ("services:\n\tweb: {}\n", 2, "not YAML"),
        ("", 1, "no 'services'"),
        ("- a\n", 1, "no 'services'"),
        ("volumes: {}\n", 1, "no 'services'"),
        ("services: []\n", 1, "no 'services'"),
    ],
)
def test_what_is_no_compose_file(project: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(DavitError, match=said) as error:
        source(project, text)
    assert str(error.value).startswith(f"{project}/compose.yaml:{line}: ")


def test_a_missing_file_is_named(project: Path) -> None:
    with pytest.raises(DavitError, match=r"nope\.yaml cannot be read: No such file"):
        read_source(project / "nope.yaml")


@pytest.mark.parametrize(
    ("keys", "line"),
    [(("services",), 1), (("services", "web", "image"), 3), (("services", "web", "nope"), 2), (("nope",), 1)],
)
def test_the_line_of_the_deepest_key(project: Path, keys: tuple[str, ...], line: int) -> None:
    assert source(project, WEB).line(keys) == line


def test_refusals_and_missing_variables_come_together_with_their_lines(project: Path) -> None:
    text = (
        WEB + "    # a comment\n    container_name: x\n    environment:\n      A: ${A}\n      B: ${B:-b}\n      C: $C\n"
    )
    with pytest.raises(DavitError) as error:
        compose_source.check(source(project, text), NO_NAMES, frozenset({"C"}))
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{project}/compose.yaml:5: services.web.container_name: ")
    assert second.startswith(f"{project}/compose.yaml:7: the variable A has no value.")
    assert "${A:-default}" in second


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ("${A}", True),
        ("$A", True),
        ("x${A}y", True),
        ("${A:?say it}", True),
        ("${A?say it}", True),
        ("${A:-}", False),
        ("${A-x}", False),
        ("${A:+x}", False),
        ("${A+x}", False),
        ("$$A", False),
        ("$${A}", False),
        ("$$$A", True),
        ("100$", False),
        ("$1", False),
    ],
)
def test_which_variables_need_a_value(project: Path, value: str, missing: bool) -> None:
    made = source(project, WEB + f"    command: ['{value}']\n")
    compose_source.check(made, NO_NAMES, frozenset({"A"}))
    if missing:
        with pytest.raises(DavitError, match=r"compose\.yaml:4: the variable A has no value"):
            compose_source.check(made, NO_NAMES, NO_NAMES)
    else:
        compose_source.check(made, NO_NAMES, NO_NAMES)


@pytest.mark.parametrize(("text", "known"), [("A=1\n", True), ("export A = 1\n", True), ("#A=1\nBA=1\n", False)])
def test_a_dot_env_gives_values(project: Path, text: str, known: bool) -> None:
    (project / ".env").write_text(text)
    made = source(project, WEB + "    command: $A\n")
    if known:
        compose_source.check(made, NO_NAMES, NO_NAMES)
    else:
        with pytest.raises(DavitError, match="variable A"):
            compose_source.check(made, NO_NAMES, NO_NAMES)


def test_the_files_of_a_project_travel(project: Path) -> None:
    (project / "conf" / "deep").mkdir(parents=True)
    for name in (".env", "web.env", "conf/a", "conf/deep/b", "key.pem", "unrelated"):
        (project / name).write_bytes(name.encode() + b"\x00\xff")
    text = (
        WEB
        + "    env_file: [web.env, {path: no.env, required: false}]\n"
        + "    volumes: ['./conf:/conf:ro', 'data:/data:ro', '/etc/ssl:/ssl:ro']\n"
        + "secrets:\n  key:\n    file: ./key.pem\n  token:\n    environment: TOKEN\n"
    )
    made = compose_source.bundle(source(project, text))
    assert set(made) == {".env", "compose.yaml", "web.env", "conf/a", "conf/deep/b", "key.pem"}
    assert base64.b64decode(made["conf/deep/b"]) == b"conf/deep/b\x00\xff"


OUTSIDE = "outside of the project's directory"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (WEB + "    volumes: ['../outside:/x:ro']\n", 4, OUTSIDE),
        (WEB + "    volumes: ['./a/../../outside:/x:ro']\n", 4, OUTSIDE),
        (WEB + "    volumes: ['./link:/x:ro']\n", 4, OUTSIDE),
        (WEB + "    volumes: [{type: bind, source: ../outside, target: /x}]\n", 4, OUTSIDE),
        (WEB + "    env_file: /etc/passwd\n", 4, OUTSIDE),
        (WEB + "    extends: {file: ../outside, service: web}\n", 4, OUTSIDE),
        (WEB + "configs:\n  c:\n    file: ../outside\n", 6, OUTSIDE),
        ("include:\n  - path: [../outside]\n" + WEB, 1, OUTSIDE),
        (WEB + "    env_file: nope.env\n", 4, "does not exist"),
    ],
)
def test_what_cannot_travel(project: Path, text: str, line: int, said: str) -> None:
    (project.parent / "outside").write_text("private")
    (project / "link").symlink_to("../outside")
    with pytest.raises(DavitError, match=said) as error:
        compose_source.bundle(source(project, text))
    assert str(error.value).startswith(f"{project}/compose.yaml:{line}: ")


def test_a_link_in_a_directory_cannot_fetch_a_file_from_outside(project: Path) -> None:
    (project.parent / "outside").write_text("private")
    (project / "conf").mkdir()
    (project / "conf" / "link").symlink_to("../../outside")
    with pytest.raises(DavitError, match=OUTSIDE):
        compose_source.bundle(source(project, WEB + "    volumes: ['./conf:/x:ro']\n"))


def test_a_project_has_a_limit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_source, "SIZE_LIMIT", 1 << 20)
    (project / "big").write_bytes(b"\0" * (2 << 20))
    with pytest.raises(DavitError, match="are 2 MiB, more than 1"):
        compose_source.bundle(source(project, WEB + "    volumes: ['./big:/x:ro']\n"))
