# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter notification: what a chat is told of a deploy or rollback."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: notification
author: The Davit maintainers (@davit-ec2)
version_added: 0.1.0
short_description: Build the message that a webhook gets
description:
  - Builds the JSON body of a message for Slack's incoming webhooks, which Mattermost, Rocket.Chat and others take too.
  - What Slack would read as markup is escaped, and long text is cut.
options:
  _input:
    description: What happened.
    type: str
    choices: [started, succeeded, failed, rolled back]
    required: true
  app:
    description: Name of the app.
    type: str
    required: true
  version:
    description: Version that is, or was to be, deployed.
    type: str
    default: ""
  release:
    description: Id of its release.
    type: str
    default: ""
  live:
    description: Id of the release that is live now.
    type: str
    default: ""
  hosts:
    description: One line per host, or results by host.
    type: raw
    default: []
  cause:
    description: Why it failed or was rolled back.
    type: str
    default: ""
  by:
    description: Who asked for it.
    type: str
    default: ""
  commit:
    description: Commit that is deployed.
    type: str
    default: ""
  probe:
    description: What the load probe saw, in one line.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show what a webhook would get
  ansible.builtin.debug:
    msg: "{{ 'failed' | davit.ec2.notification(app='shop', cause='never ready', hosts={'web1': 'v1 is live'}) }}"
"""

RETURN = r"""
_value:
  description: The body, with C(text) and one of C(attachments).
  type: dict
"""

MOST_HOSTS = 20
LONGEST_WORD = 120
LONGEST_LINE = 300
LONGEST_CAUSE = 1500

_HEADLINES = {
    "started": "deploy{of} started",
    "succeeded": "{what} is live",
    "failed": "deploy{of} failed",
    "rolled back": "{what} was rolled back",
}
_COLOURS = {"started": "#439fe0", "succeeded": "good", "failed": "danger", "rolled back": "warning"}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]+")


def notification(
    event: str,
    app: str,
    *,
    version: str = "",
    release: str = "",
    live: str = "",
    hosts: Mapping[str, Any] | Sequence[str] = (),
    cause: str = "",
    by: str = "",
    commit: str = "",
    probe: str = "",
) -> dict[str, Any]:
    """The body for an incoming webhook; what is empty is left out."""
    if event not in _HEADLINES:
        raise AnsibleFilterError(f"notification: '{event}' is none of {', '.join(_HEADLINES)}.")
    what = _text(version or release or "the release", LONGEST_WORD)
    of = f" of {what}" if version or release else ""
    headline = f"{_text(app, LONGEST_WORD)}: {_HEADLINES[event].format(what=what, of=of)}"
    lines = [
        *_line("Cause", cause, LONGEST_CAUSE),
        *_line("Release", release),
        *_line("Live", live),
        *_line("Through the edge", probe),
        *_line("By", by),
        *_line("Commit", commit),
        *_hosts(hosts),
    ]
    details = [{"color": _COLOURS[event], "fallback": headline, "text": "\n".join(lines)}] if lines else []
    return {"text": headline, "attachments": details}


def _line(name: str, value: Any, longest: int = LONGEST_LINE) -> list[str]:
    text = _text(value, longest)
    return [f"{name}: {text}"] if text else []


def _hosts(hosts: Mapping[str, Any] | Sequence[str]) -> list[str]:
    told = [f"{host}: {result}" for host, result in hosts.items()] if isinstance(hosts, Mapping) else list(hosts)
    more = len(told) - MOST_HOSTS
    shown = ["• " + _text(line, LONGEST_LINE) for line in told[:MOST_HOSTS]]
    return [*shown, *([f"and {more} more hosts"] if more > 0 else [])]


def _text(value: Any, longest: int) -> str:
    """``value`` without control characters, cut, and only then escaped, so that no entity is cut."""
    text = _CONTROL.sub(" ", "" if value is None else str(value)).strip()
    if len(text) > longest:
        text = text[: longest - 1].rstrip() + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"notification": notification}
