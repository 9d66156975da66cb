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


@pytest.mark.parametrize(
    ("image", "server", "name"),
    [
        ("ghcr.io/davit-ec2/restaurant-search:v1", "ghcr.io", "davit-ec2/restaurant-search:v1"),
        ("traefik:v3.7.15", "mirror.davit.lab", "library/traefik:v3.7.15"),
        ("grafana/grafana:12.0", "mirror.davit.lab", "grafana/grafana:12.0"),
    ],
)
def test_an_image_goes_to_the_registry_that_stands_in_for_its_own(image: str, server: str, name: str) -> None:
    assert images.place(image) == (server, name)


def test_what_an_image_is_made_from_is_there() -> None:
    for image in images.IMAGES:
        assert image.dockerfile.is_file()
        assert all(path.exists() for path in image.inputs), image.name
