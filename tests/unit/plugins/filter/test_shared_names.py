"""Which host names more than one host serves."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.filter.shared_names import FilterModule, shared_names


def serving(*names: str) -> dict[str, Any]:
    return {"compose_release_routes": [{"service": "web", "hosts": [name]} for name in names]}


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ({}, []),
        ({"web2": {}}, []),
        ({"web2": {"compose_release_routes": [{"service": "web"}]}}, []),
        ({"web2": serving("blog.test")}, []),
        ({"web2": serving("api.test", "shop.test")}, ["shop.test (web1, web2)"]),
        ({"web2": serving("SHOP.test"), "web3": serving("shop.test")}, ["shop.test (web1, web2, web3)"]),
        # Others may share what is not this host's.
        ({"web2": serving("blog.test"), "web3": serving("blog.test")}, []),
    ],
)
def test_each_name_that_another_host_serves_is_named(others: dict[str, Any], found: list[str]) -> None:
    assert shared_names({"web1": serving("shop.test", "www.test"), **others}, [*others], "web1") == found


def test_the_filter_is_loaded_by_its_name() -> None:
    assert FilterModule().filters() == {"shared_names": shared_names}
