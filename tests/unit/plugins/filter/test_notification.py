"""What a chat is told, and that nothing in it can be markup or endless."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter.notification import MOST_HOSTS, FilterModule, notification


@pytest.mark.parametrize(
    ("event", "details", "headline"),
    [
        ("started", {"version": "v2"}, "shop: deploy of v2 started"),
        ("started", {}, "shop: deploy started"),
        ("succeeded", {"version": "v2", "release": "r-2"}, "shop: v2 is live"),
        ("succeeded", {"release": "r-2"}, "shop: r-2 is live"),
        ("failed", {"version": "v2"}, "shop: deploy of v2 failed"),
        ("rolled back", {"version": "v2"}, "shop: v2 was rolled back"),
        ("rolled back", {}, "shop: the release was rolled back"),
    ],
)
def test_each_event_has_its_headline(event: str, details: dict[str, Any], headline: str) -> None:
    assert notification(event, "shop", **details)["text"] == headline


def test_everything_that_is_known_is_told() -> None:
    body = notification(
        "rolled back",
        "shop",
        version="v2",
        release="20260131-120000-0a1b2c3-12",
        live="20260130-120000-1a1b2c3-11",
        hosts={"web1": "rolled back", "web2": "not touched"},
        cause="ready: answered 503",
        by="alice",
        commit="c0ffee",
        probe="400 requests, 0 failed",
    )
    assert body == {
        "text": "shop: v2 was rolled back",
        "attachments": [
            {
                "color": "warning",
                "fallback": "shop: v2 was rolled back",
                "text": "Cause: ready: answered 503\n"
                "Release: 20260131-120000-0a1b2c3-12\n"
                "Live: 20260130-120000-1a1b2c3-11\n"
                "Through the edge: 400 requests, 0 failed\n"
                "By: alice\n"
                "Commit: c0ffee\n"
                "• web1: rolled back\n"
                "• web2: not touched",
            }
        ],
    }


def test_what_is_not_known_is_left_out() -> None:
    assert notification("started", "shop") == {"text": "shop: deploy started", "attachments": []}


def test_each_event_has_a_colour_of_its_own() -> None:
    events = ("started", "succeeded", "failed", "rolled back")
    assert len({notification(event, "shop", by="alice")["attachments"][0]["color"] for event in events}) == len(events)


def test_markup_is_escaped_wherever_it_comes_from() -> None:
    evil = "<!channel> & <https://example.org|here>"
    everywhere: dict[str, Any] = dict.fromkeys(("version", "release", "live", "cause", "by", "commit", "probe"), evil)
    body = notification("failed", evil, hosts={evil: evil}, **everywhere)
    text = json.dumps(body)
    assert "<" not in text
    assert ">" not in text
    assert "&lt;!channel&gt; &amp; &lt;https" in text
    assert "&amp;lt;" not in text


def test_control_characters_go_and_lines_stay() -> None:
    text = notification("failed", "shop", cause="a\x1b[31mb\r\nc\x00")["attachments"][0]["text"]
    assert text == "Cause: a [31mb \nc"


def test_long_text_is_cut_before_it_is_escaped() -> None:
    body = notification("failed", "a" * 5000, version="&" * 5000, cause="<" * 50_000, by="b" * 5000)
    text = body["attachments"][0]["text"]
    assert len(json.dumps(body)) < 10_000
    assert text.splitlines()[0].replace("&lt;", "") == "Cause: …"


def test_a_large_fleet_is_counted() -> None:
    hosts = [f"web{n}: live" for n in range(MOST_HOSTS + 30)]
    lines = notification("succeeded", "shop", hosts=hosts)["attachments"][0]["text"].splitlines()
    assert len(lines) == MOST_HOSTS + 1
    assert (lines[0], lines[-1]) == ("• web0: live", "and 30 more hosts")
    exactly = notification("succeeded", "shop", hosts=hosts[:MOST_HOSTS])["attachments"][0]["text"]
    assert "more hosts" not in exactly


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="'exploded' is none of started, succeeded, failed, rolled back"):
        notification("exploded", "shop")


def test_the_filter_is_loaded_by_its_name() -> None:
    assert FilterModule().filters() == {"notification": notification}
