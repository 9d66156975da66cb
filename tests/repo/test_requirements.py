"""The collections are declared for Galaxy twice and installed from a package: all three say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

COLLECTIONS = ("amazon.aws", "ansible.posix", "community.aws", "community.docker")


def galaxy_ranges(root: Path) -> dict[str, str]:
    """Version ranges by collection, as an installed davit.ec2 asks for them."""
    ranges: dict[str, str] = yaml.safe_load((root / "galaxy.yml").read_text())["dependencies"]
    return ranges


def requirement_ranges(root: Path) -> dict[str, str]:
    """Version ranges by collection, as a user of Galaxy installs them."""
    entries = yaml.safe_load((root / "requirements.yml").read_text())["collections"]
    return {entry["name"]: entry["version"] for entry in entries}


def installed_version(root: Path, collection: str) -> str:
    """The version that set-up took out of the ansible package."""
    place = root / ".ansible/collections/ansible_collections" / Path(*collection.split("."))
    version: str = json.loads((place / "MANIFEST.json").read_text())["collection_info"]["version"]
    return version


def test_both_declarations_are_the_same(root: Path) -> None:
    assert requirement_ranges(root) == galaxy_ranges(root)


def test_each_collection_is_known_here(root: Path) -> None:
    assert sorted(galaxy_ranges(root)) == sorted(COLLECTIONS)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_the_ranges_admit_what_is_installed(root: Path, collection: str) -> None:
    """What the tests ran with is what a user of Galaxy may get."""
    version = installed_version(root, collection)
    assert SpecifierSet(galaxy_ranges(root)[collection]).contains(version)
