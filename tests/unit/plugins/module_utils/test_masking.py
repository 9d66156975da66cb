"""Secrets in texts: found in each form in which a program prints them, and nothing else touched."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.davit.ec2.plugins.module_utils import exposition, gates, masking, store
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.gates import Answer, HttpCheck
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.masking import Mask

HOSTILE = "p$wörd'\"<&>\\ 5%+/(é)!*\nsecond line of it\n"


def in_go(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


FORMS: list[Callable[[str], str]] = [
    str,
    str.strip,
    json.dumps,
    lambda value: json.dumps({"password": value}, ensure_ascii=False),
    repr,
    quote,
    quote_plus,
    lambda value: quote(value, safe=""),
    lambda value: " ".join(value.split()),
    html.escape,
    lambda value: html.escape(value, quote=False).replace('"', "&#34;").replace("'", "&#39;"),
    lambda value: html.escape(value).replace("&#x27;", "&#39;"),
    lambda value: html.escape(value).replace("&#x27;", "&#039;"),
    # As Go and Jinja write JSON, PHP, and JavaScript's encodeURIComponent.
    lambda value: in_go(json.dumps(value, ensure_ascii=False)),
    lambda value: in_go(json.dumps(value)).replace("'", "\\u0027"),
    lambda value: json.dumps(value).replace("/", "\\/"),
    lambda value: quote(value, safe="!*'()"),
    lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="!*'()")),
    lambda value: re.sub("%..", lambda found: found[0].lower(), quote_plus(value)),
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


def test_every_text_of_a_check_is_touched_but_which_it_is_and_how_it_ended() -> None:
    """Also that of a field that comes later."""
    fixed = {"name": "pass", "level": "pass", "verdict": "pass"}
    seen = {"observed": "pass", "errors": {"count": 2, "first": "x pass"}, "values": {"a=pass": 1.5}, "new": ["pass"]}
    masked = {
        "observed": "[secret PIN]",
        "errors": {"count": 2, "first": "x [secret PIN]"},
        "values": {"a=[secret PIN]": 1.5},
        "new": ["[secret PIN]"],
    }
    mask = Mask([("PIN", "pass")])
    for field in ("checks", "evidence"):
        assert mask.record({field: [{**fixed, **seen}]}) == {field: [{**fixed, **masked}]}
    assert mask.record({"findings": [{"evidence": "pass"}]}) == {"findings": [{"evidence": "[secret PIN]"}]}


LONG = "hunter2-and-more\nand more still"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token: hunter2-a…", "token: [secret TOKEN]…"),
        ("hunt… instead of hunter2…", "[secret TOKEN]… instead of [secret TOKEN]…"),
        ("hunter2 and hunter2-and... (given up)", "hunter2 and [secret TOKEN]... (given up)"),
        ('{"token": "hunter2-and-more\\nand m…', '{"token": "[secret TOKEN]\\n[secret TOKEN]…'),
        ("hunhunter2…", "hun[secret TOKEN]…"),
        ("hunter2-", "[secret TOKEN]"),
        # What other words begin with as well.
        ("hun…", "hun…"),
        ("hunter2", "hunter2"),
        ("hunter2-b…", "hunter2-b…"),
        ("waiting ...", "waiting ..."),
    ],
)
def test_the_beginning_of_a_secret_that_a_cut_left_is_hidden(text: str, said: str) -> None:
    assert Mask([("TOKEN", LONG), ("OTHER", "swordfish")]).text(text) == said


@pytest.mark.parametrize("before", range(90, 125))
def test_no_excerpt_of_an_answer_keeps_a_part_of_a_secret(before: int) -> None:
    value = "pässwörd  <0123456789abcdef> of a service"
    told = {"text": "x" * before + value}
    plain = f"<{'x' * (before + 70)}{value}".encode()
    seen = [
        gates.judge_answer(HttpCheck("c", "/", json={"text": ""}), Answer(200, json.dumps(told).encode())).observed,
        gates.judge_answer(HttpCheck("c", "/", json={"text": ""}), Answer(200, plain)).observed,
        gates.judge_answer(HttpCheck("c", "/"), Answer(500, plain)).observed,
    ]
    with pytest.raises(DavitError) as raised:
        exposition.parse("x" * (before - 40) + " " + value)
    for text in (*seen, str(raised.value)):
        assert "ssw" not in Mask([("TOKEN", value)]).text(text), text


def test_a_large_secret_costs_no_time() -> None:
    value = "".join(f"{number:07x}\n" for number in range(8192))
    begin = time.process_time()
    mask = Mask([("LARGE", value)])
    assert mask.text(f"before {value} after") == "before [secret LARGE] after"
    assert mask.text(f"before {value[:5000]}…") == "before [secret LARGE]…"
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
