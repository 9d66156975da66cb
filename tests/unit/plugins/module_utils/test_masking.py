"""Secrets in texts: found in each form in which a program prints them, and nothing else touched."""

from __future__ import annotations

import base64
import html
import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.davit.ec2.plugins.module_utils import masking, store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.masking import Mask

HOSTILE = "p$wörd'\"<&>\\ 5%+\nsecond line of it\n"
FORMS: list[Callable[[str], str]] = [
    str,
    str.strip,
    json.dumps,
    lambda value: json.dumps({"password": value}, ensure_ascii=False),
    repr,
    quote,
    quote_plus,
    lambda value: quote(value, safe=""),
    html.escape,
    shlex.quote,
    lambda value: value.replace("$", "$$"),
    lambda value: base64.b64encode(value.encode()).decode(),
    lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    lambda value: base64.b64encode(f"a user:{value} and more".encode()).decode(),
]


def least(value: str) -> list[str]:
    """Pieces of the value, plain and in Base64, of which none may be left."""
    encoded = [base64.b64encode(b"." * n + value.encode())[n + 2 : -8].decode() for n in range(3)]
    return [value, json.dumps(value)[1:-1], *(text for text in encoded if len(text) > 8)]


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: Callable[[str], str]) -> None:
    said = Mask([("TOKEN", HOSTILE)]).text(f"before {form(HOSTILE)} after")
    assert "[secret TOKEN]" in said
    assert said.startswith("before ")
    assert said.endswith(" after")
    assert not [piece for piece in least(HOSTILE) if piece in said], said


def test_a_log_is_cut_into_lines_and_each_of_a_secret_is_found() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    lines = [f"worker: {line}" for line in key.splitlines()]
    assert Mask([("KEY", key)]).texts(lines) == ["worker: [secret KEY]"] * 4


def test_the_longer_one_of_two_secrets_is_taken_whole() -> None:
    mask = Mask([("SHORT", "hunter2"), ("LONG", "hunter2-and-more")])
    assert mask.text("hunter2-and-more, hunter2") == "[secret LONG], [secret SHORT]"


@pytest.mark.parametrize("value", ["", "1", "v1", "abc", "  a "])
def test_what_is_too_short_to_be_told_from_other_words_is_left(value: str) -> None:
    text = 'v1: 1 of 111 "abc" tests'
    assert Mask([("FLAG", value)]).text(text) == text


def test_only_free_text_of_a_record_is_touched() -> None:
    record = {
        "live": "20260131-120000-0a1b2c3-12",
        "token": "0a1b2c3",
        "msg": "exited: 0a1b2c3",
        "ended": {"cause": "0a1b2c3", "release": "20260131-120000-0a1b2c3-12", "logs": {"web": ["x 0a1b2c3"]}},
        "verdict": {"verdict": "fail", "checks": [{"name": "0a1b2c3", "observed": "0a1b2c3 instead of 42"}]},
        "changed": True,
    }
    assert Mask([("PIN", "0a1b2c3")]).record(record) == {
        **record,
        "msg": "exited: [secret PIN]",
        "ended": {
            "cause": "[secret PIN]",
            "release": "20260131-120000-0a1b2c3-12",
            "logs": {"web": ["x [secret PIN]"]},
        },
        "verdict": {"verdict": "fail", "checks": [{"name": "0a1b2c3", "observed": "[secret PIN] instead of 42"}]},
    }


def test_a_large_secret_costs_no_time() -> None:
    value = "".join(f"{number:07x}\n" for number in range(8192))
    begin = time.process_time()
    mask = Mask([("LARGE", value)])
    assert mask.text(f"before {value} after") == "before [secret LARGE] after"
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("value", ["\udcff\udcfe\udcfd\udcfc", ""])
def test_what_cannot_be_written_is_no_reason_to_fail(value: str) -> None:
    assert Mask([("ODD", value)]).text("all is well") == "all is well"


@settings(deadline=None)
@given(st.text(min_size=masking.SHORTEST), st.text(), st.text())
def test_no_text_ever_keeps_a_secret(value: str, before: str, after: str) -> None:
    if len(value.strip()) < masking.SHORTEST or value in "[secret X]":
        return
    assert value not in Mask([("X", value)]).text(f"{before}\0{value}\0{after}")


def test_the_secrets_of_kept_releases_and_of_the_one_in_preparation_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AppLayout, "stage", tmp_path / "stage")
    layout = AppLayout("shop", str(tmp_path))
    for folder, value in ((layout.releases / "20260131-120000-0a1b2c3-1", "old-value"), (layout.stage, "new-value")):
        store.make_private(folder)
        store.write_json(folder / store.SECRETS, {"TOKEN": value})
    (layout.releases / "broken").mkdir()
    (layout.releases / "broken" / store.SECRETS).write_text("{")
    assert masking.mask_of(layout).text("old-value new-value") == "[secret TOKEN] [secret TOKEN]"
    assert (layout.stage / store.SECRETS).stat().st_mode & 0o777 == 0o600
