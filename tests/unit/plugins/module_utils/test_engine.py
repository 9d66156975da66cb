"""What the engine is asked, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import engine_api
from ansible_collections.davit.ec2.plugins.module_utils.engine import Engine


def container(name: str, **mount: Any) -> dict[str, Any]:
    return {"Names": [f"/{name}"], "Labels": None, "Mounts": [{"RW": True, **mount}]}


@pytest.mark.parametrize(
    ("data", "found"),
    [("shop_data", ["by-name"]), ("/srv/db", ["by-path"]), ("/var/lib/mysql", [])],
)
def test_the_users_of_data_are_those_that_can_write_it(
    data: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own filter goes by the path inside of the container as well."""
    listed = [
        container("by-name", Type="volume", Name="shop_data", Source="/var/lib/docker/volumes/shop_data/_data"),
        container("by-path", Type="bind", Source="/srv/db", Destination="/var/lib/mysql"),
        container("reader", Type="volume", Name="shop_data", Source="/x", RW=False),
        container("backup", Type="bind", Source="/srv/db", RW=False),
    ]
    monkeypatch.setattr(engine_api, "call", lambda *_, **__: (200, listed))
    assert list(Engine().users(data)) == found
