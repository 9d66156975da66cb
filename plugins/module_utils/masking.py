# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Secrets taken out of texts that people read: a service may log its own, and its last words are shown on a failure."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from ansible_collections.davit.ec2.plugins.module_utils import store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

SHORTEST = 4
"""Characters. A shorter secret is left alone, since it would turn up in every other word."""

SHORTEST_PART = 8
"""Characters of what is only a part of a secret: a line of it, or what Base64 makes of its middle."""

TEXTS = frozenset({"msg", "cause", "logs", "observed", "warnings", "notices", "refused", "evidence"})
"""Fields of a result or record that hold free text. Ids, paths and tokens are never changed: other steps need them."""

Pairs = Iterable["tuple[str, str]"]


class Mask:
    """Replaces each secret of ``pairs`` (name, value), as it is or in one of its usual encodings, by its name."""

    def __init__(self, pairs: Pairs) -> None:
        self._names: dict[str, str] = {}
        for name, value in pairs:
            for form in _forms(value):
                self._names.setdefault(form, name)
        # The longest first: one secret may be the beginning of another.
        self._forms = sorted(self._names, key=len, reverse=True)

    def text(self, text: str) -> str:
        """``text`` without any secret."""
        # One after the other, since a pattern of them all would take seconds to compile for a secret of 64 KiB.
        for form in self._forms:
            text = text.replace(form, f"[secret {self._names[form]}]")
        return text

    def texts(self, value: Any) -> Any:
        """``value`` with every text in it masked, however deep."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.texts(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.texts(entry) for entry in value]
        return value

    def record(self, value: Any) -> Any:
        """``value`` with the fields of free text masked (TEXTS), however deep they lie."""
        if isinstance(value, Mapping):
            return {key: self.texts(entry) if key in TEXTS else self.record(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.record(entry) for entry in value]
        return value


def _forms(value: str) -> Iterator[str]:
    """What a program may print instead of the value: escaped for JSON, Python, URLs, HTML, a shell or Compose, in
    Base64, or a line of it."""
    if len(value) < SHORTEST or not _is_text(value):
        return
    for plain in dict.fromkeys((value, value.strip())):
        if len(plain) < SHORTEST:
            continue
        yield plain
        yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1])
        yield from (quote(plain, safe=""), quote(plain), quote_plus(plain), html.escape(plain))
        yield from (plain.replace("'", "'\\''"), plain.replace("'", "'\"'\"'"), plain.replace("$", "$$"))
        yield from _in_base64(plain.encode())
    parts = {line.strip() for line in value.splitlines()} - {value.strip()}
    for part in sorted(part for part in parts if len(part) >= SHORTEST_PART):
        yield from (part, json.dumps(part)[1:-1])


def _is_text(value: str) -> bool:
    """Whether it can be written at all: a secret that cannot is refused before it gets anywhere."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_base64(raw: bytes) -> Iterator[str]:
    """What Base64 makes of ``raw`` wherever it stands in a longer text: three letters for two bytes and a bit, so there
    are three ways, of which the letters at both ends also depend on what stands beside it."""
    for offset, uncertain in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(offset) + raw).decode()
        certain = whole[uncertain : (offset + len(raw)) * 8 // 6]
        if len(certain) >= SHORTEST_PART:
            yield certain
            yield certain.translate(str.maketrans("+/", "-_"))


def secrets_of(layout: AppLayout) -> list[tuple[str, str]]:
    """Name and value of each secret of the app's kept releases, and of the deploy that is being prepared."""
    files = [*sorted(layout.releases.glob(f"*/{store.SECRETS}")), layout.stage / store.SECRETS]
    found = [(name, value) for path in files for name, value in store.read_json(path).items()]
    return [(name, value) for name, value in found if isinstance(value, str)]


def mask_of(layout: AppLayout) -> Mask:
    """The mask for texts about this app."""
    return Mask(secrets_of(layout))
