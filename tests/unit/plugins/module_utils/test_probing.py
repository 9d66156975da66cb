"""Waiting for the load probe to see what is about to be stopped."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from ansible_collections.davit.ec2.plugins.module_utils import probing
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout


def layout_in(folder: Path) -> AppLayout:
    return cast(AppLayout, SimpleNamespace(probe=folder / "web.json"))


def test_a_first_answer_is_awaited(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    layout.probe.write_text(json.dumps({"requests": 0}))
    answered = threading.Timer(0.2, lambda: layout.probe.write_text(json.dumps({"requests": 1})))
    answered.start()
    begin = time.monotonic()
    probing.await_first_answer(layout, 20)
    answered.join()
    assert 0.1 < time.monotonic() - begin < 10


def test_a_probe_that_sees_nothing_holds_nothing_up(tmp_path: Path) -> None:
    begin = time.monotonic()
    probing.await_first_answer(layout_in(tmp_path), 0.2)
    assert time.monotonic() - begin < 5
