"""What two releases on a disk differ in, told without a single value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import canonical, difference, store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

OLD, NEW = "20260101-120000-aaaaaaa-1", "20260101-120500-bbbbbbb-2"


@pytest.fixture
def layout(tmp_path: Path) -> AppLayout:
    return AppLayout("shop", str(tmp_path))


def keep(layout: AppLayout, name: str, digest: str, environment: dict[str, Any], secret: str, **more: Any) -> None:
    place = layout.release(name)
    place.mkdir(parents=True)
    (place / "key").write_text(secret)
    image = f"ghcr.io/a/b:{name[-1]}@sha256:{digest}"
    store.write_json(place / store.RECORD, {"version": f"v{name[-1]}", "images": {"api": {"pinned": image}}})
    service = {"image": image, "environment": environment, **more}
    running = {"services": {"api": service}, "secrets": {"key": {"file": str(place / "key")}}}
    store.write_json(place / store.RUNNING, running)
    store.write_json(place / store.CANONICAL, canonical.canonical([{"services": {"api": service}}], {}))


def test_images_names_and_lines(layout: AppLayout) -> None:
    keep(layout, OLD, "1", {"A": "one", "B": "same", "C": "gone"}, "s3cret-old", read_only=True)
    keep(layout, NEW, "2", {"A": "two", "B": "same", "D": "new"}, "s3cret-new", read_only=False)
    found = difference.between(layout, OLD, NEW)
    assert (found["against"], found["version"], found["unknown"]) == (OLD, ["v1", "v2"], [])
    assert found["images"] == [
        {"service": "api", "before": "ghcr.io/a/b:1@sha256:1", "after": "ghcr.io/a/b:2@sha256:2"}
    ]
    assert found["environment"] == {"added": ["api: D"], "removed": ["api: C"], "changed": ["api: A"]}
    assert found["secrets"] == {"added": [], "removed": [], "changed": ["secret key"]}
    assert {"-    read_only: true", "+    read_only: false", "+      D: (not shown)"} <= set(found["compose"])
    text = json.dumps(found)
    assert [
        word for word in ("one", "two", "same", "gone", "new", "s3cret") if f'"{word}' in text or word in text
    ] == []


def test_a_secret_that_came_in_another_version_or_from_another_place() -> None:
    kept = {"from": "env", "name": "TOKEN"}
    before = {"KEY": {"from": "ssm", "name": "/shop/key", "version": "3"}, "OLD": kept, "SAME": kept}
    after = {"KEY": {"from": "ssm", "name": "/shop/key", "version": "4"}, "NEW": kept, "SAME": kept}
    assert difference.origins(before, after) == [
        {"name": "KEY", "before": "ssm /shop/key version 3", "after": "ssm /shop/key version 4"},
        {"name": "NEW", "before": "", "after": "env TOKEN"},
        {"name": "OLD", "before": "env TOKEN", "after": ""},
    ]


def test_another_tag_of_the_same_image_is_no_change(layout: AppLayout) -> None:
    keep(layout, OLD, "1", {}, "s")
    keep(layout, NEW, "1", {}, "s")
    assert difference.between(layout, OLD, NEW)["images"] == []


def test_a_service_that_comes_or_goes() -> None:
    image = {"pinned": "a@sha256:1"}
    assert difference.images({"a": image}, {"b": image}) == [
        {"service": "a", "before": "a@sha256:1", "after": ""},
        {"service": "b", "before": "", "after": "a@sha256:1"},
    ]


def test_a_first_release_changes_nothing(layout: AppLayout) -> None:
    assert difference.between(layout, "", NEW) == {}
    assert difference.between(layout, NEW, NEW) == {}


def test_an_older_release_is_compared_as_far_as_it_goes(layout: AppLayout) -> None:
    keep(layout, OLD, "1", {"A": "1"}, "s")
    keep(layout, NEW, "2", {}, "s")
    (layout.release(OLD) / store.CANONICAL).unlink()
    found = difference.between(layout, OLD, NEW)
    assert (len(found["images"]), found["environment"]["removed"], found["compose"]) == (1, ["api: A"], [])
    assert "before Davit kept" in found["unknown"][0]


@pytest.mark.parametrize("damage", ["[]", "{", '{"services": {"api": {"environment": ["A=s3cret"]}}}'])
def test_a_damaged_release_is_told_and_stops_nothing(layout: AppLayout, damage: str) -> None:
    keep(layout, OLD, "1", {"A": "1"}, "s")
    keep(layout, NEW, "2", {}, "s")
    (layout.release(OLD) / store.RUNNING).write_text(damage)
    found = difference.between(layout, OLD, NEW)
    assert found["against"] == OLD
    assert "s3cret" not in json.dumps(found)
