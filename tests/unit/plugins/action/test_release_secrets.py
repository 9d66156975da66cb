"""The action release_secrets: all secrets in one answer, or one message that names all which lack."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.action import release_secrets
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError

CANARY = "c4n4ry"


def test_all_come_in_one_answer_with_where_each_came_from() -> None:
    args = {"app": "shop", "plain": {"A": "a"}, "sources": {"B": {"from": "env", "name": "SHOP_B"}}, "environment": {}}
    assert release_secrets.gather(args, {"SHOP_B": "b"}) == {
        "secrets": {"A": "a", "B": "b"},
        "origins": {"A": {"from": "variable"}, "B": {"from": "env", "name": "SHOP_B"}},
    }


def test_one_message_names_all_that_lack_and_no_value() -> None:
    args = {
        "plain": {"EMPTY": "", "TWICE": CANARY, "GOOD": CANARY},
        "sources": {"TWICE": {"from": "env"}, "GONE": {"from": "env"}, "ODD": {"from": "nowhere"}},
        "environment": {"ODD": CANARY},
    }
    with pytest.raises(DavitError) as caught:
        release_secrets.gather(args, {"TWICE": CANARY})
    said = str(caught.value)
    assert "of 5 secrets cannot be had, so nothing was touched" in said
    for name in ("EMPTY", "TWICE", "GONE", "ODD"):
        assert f"\n  {name}" in said
    assert "GOOD" not in said
    assert CANARY not in said


@pytest.mark.parametrize("key", ["plain", "sources", "environment", "aws"])
@pytest.mark.parametrize("value", [CANARY, [CANARY]])
def test_what_is_no_mapping_is_not_shown(key: str, value: Any) -> None:
    with pytest.raises(DavitError, match=f"'{key}' has to be a mapping") as caught:
        release_secrets.gather({key: value}, {})
    assert CANARY not in str(caught.value)
