"""What a preflight that refuses tells beside its message."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import status
from ansible_collections.davit.ec2.plugins.module_utils.journal import LockedError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.modules import release_preflight
from tests.unit.support.flows import Flow, prepare
from tests.unit.support.host import APP, Host, install, rid


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppLayout:
    """Of a host on which the second release is live."""
    host = Host(tmp_path)
    install(host, monkeypatch)
    prepare(host, Flow("rollback", back=True))
    return host.layout


STANDING = {"live": rid(2), "can_return_to": [rid(1)]}


def refused(root: str, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def locked(*_: Any) -> Any:
        raise LockedError("locked by bob", live="what a step knows better")

    patch.setattr(release_preflight, "take_lock", locked)
    patch.setattr(release_preflight, "request_of", lambda given: SimpleNamespace(layout=AppLayout(APP, given["root"])))
    with pytest.raises(LockedError) as error:
        release_preflight.check(cast(Any, SimpleNamespace(params={"root": root}, check_mode=False)))
    return error.value.facts


def test_a_refusal_tells_what_is_live_and_what_a_rollback_would_choose(
    layout: AppLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status.standing(layout) == STANDING
    assert refused(str(layout.root), monkeypatch) == {**STANDING, "live": "what a step knows better"}


@pytest.mark.parametrize("line", ["[]", '{"release": "r"}', '{"sequence": "x"}', "null"])
def test_records_that_cannot_be_read_hide_no_refusal(
    layout: AppLayout, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    with layout.history.open("a") as history:
        history.write(f"{line}\n")
    assert status.standing(layout) == {}
    assert refused(str(layout.root), monkeypatch) == {"live": "what a step knows better"}


def test_a_host_of_before_the_first_deploy_has_nothing(tmp_path: Path) -> None:
    assert status.standing(AppLayout(APP, str(tmp_path))) == {"live": "", "can_return_to": []}
