"""When an image is built again, and where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import images


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(images, "ROOT", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    return tmp_path


def test_equal_inputs_have_an_equal_digest(folder: Path) -> None:
    before = images.digest([folder], "VERSION=v1")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_bytes(b"x")
    assert images.digest([folder], "VERSION=v1") == before


def test_content_name_mode_and_arguments_count(folder: Path) -> None:
    seen = {images.digest([folder], "VERSION=v1"), images.digest([folder], "VERSION=v2")}
    (folder / "Dockerfile").write_text("FROM debian:trixie-slim\nUSER 1\n")
    seen.add(images.digest([folder], "VERSION=v1"))
    (folder / "Dockerfile").chmod(0o755)
    seen.add(images.digest([folder], "VERSION=v1"))
    (folder / "Dockerfile").rename(folder / "Containerfile")
    seen.add(images.digest([folder], "VERSION=v1"))
    assert len(seen) == 5


def test_a_folder_may_be_anywhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other") / folder.name
    elsewhere.mkdir()
    (elsewhere / "Dockerfile").write_bytes((folder / "Dockerfile").read_bytes())
    assert images.digest([elsewhere]) == images.digest([folder])


def test_each_input_counts_by_its_own_name(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(name)
    inputs = [folder / "one", folder / "two", folder / "Dockerfile"]
    before = images.digest(inputs)
    (folder / "one").rename(folder / "three")
    assert images.digest([folder / "three", *inputs[1:]]) != before


@pytest.mark.parametrize(
    ("image", "server", "name"),
    [
        ("ghcr.io/davit-ec2/restaurant-search:v1", "ghcr.io", "davit-ec2/restaurant-search:v1"),
        ("traefik:v3.7.15", "mirror.davit.lab", "library/traefik:v3.7.15"),
        ("grafana/grafana:12.0", "mirror.davit.lab", "grafana/grafana:12.0"),
        ("ghcr.io/me/my-app", "ghcr.io", "me/my-app:latest"),
        ("traefik", "mirror.davit.lab", "library/traefik:latest"),
        ("registry:5000/my-app", "mirror.davit.lab", "registry:5000/my-app:latest"),
    ],
)
def test_an_image_goes_to_the_registry_that_stands_in_for_its_own(image: str, server: str, name: str) -> None:
    assert images.place(image) == (server, name)


def test_an_image_without_a_tag_is_pushed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = "cache/registry/ghcr.io/docker/registry/v2/repositories/me/my-app/_manifests/tags/latest/current/link"
    for name, text in ((link, "sha256:2"), ("registry/password", "secret")):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    ran: list[list[str]] = []
    monkeypatch.setattr(images, "LAB", folder)
    monkeypatch.setattr(images, "_run", lambda argv, **_more: "sha256:1\n" if argv[1:3] == ["image", "inspect"] else "")
    monkeypatch.setattr("lab.images.subprocess.run", lambda argv, **_more: ran.append(argv))
    assert images.push("ghcr.io/me/my-app")
    assert ["docker", "push", "127.0.0.1:5443/me/my-app:latest"] in ran
    assert not images.push("ghcr.io/me/my-app:latest")


def test_what_an_image_is_made_from_is_there() -> None:
    for image in images.IMAGES:
        assert image.dockerfile.is_file()
        assert all(path.exists() for path in image.inputs), image.name
