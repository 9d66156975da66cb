# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Secrets taken out of texts that people read: a service may log its own, and its last words are shown on a failure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from ansible_collections.davit.ec2.plugins.module_utils import store
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout

SHORTEST = 4
"""Characters. A shorter secret is left alone, since it would turn up in every other word."""

SHORTEST_PART = 8
"""Characters of what is only a part of a secret: a line of it, or what Base64 makes of its middle."""

TEXTS = frozenset({"msg", "cause", "logs", "observed", "warnings", "notices", "refused", "problems", "error", "errors"})
"""Fields of a result or record that hold free text. Ids, paths and tokens are never changed: other steps need them."""

CHECKS = frozenset({"checks", "evidence"})
"""Fields that hold what checks have seen, which is free text in fields of any name."""

FIXED = frozenset({"name", "level", "verdict"})
"""Fields of a check that say which it is and how it ended."""

_CUT = re.compile(r"(…|\.\.\.)")
"""What stands where a text was cut."""
_PERCENT = re.compile("%[0-9A-F]{2}")

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
            text = text.replace(form, self._name(form))
        if not self._forms:
            return text
        # Before each mark that a cut left, and at the end, where a cut may have left none.
        *parts, last = _CUT.split(text)
        whole = [self._without_tail(part, SHORTEST) if number % 2 == 0 else part for number, part in enumerate(parts)]
        return "".join(whole) + self._without_tail(last, SHORTEST_PART)

    def _name(self, form: str) -> str:
        return f"[secret {self._names[form]}]"

    def _without_tail(self, text: str, shortest: int) -> str:
        """``text`` without the beginning of a secret, of ``shortest`` characters or more, at its end."""
        begin, found = len(text), ""
        for form in self._forms:
            here = text.find(form[:shortest], max(0, len(text) - len(form)), begin + shortest - 1)
            while here != -1 and not form.startswith(text[here:]):
                here = text.find(form[:shortest], here + 1, begin + shortest - 1)
            if here != -1:
                begin, found = here, form
        return text[:begin] + self._name(found) if found else text

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
        """``value`` with the fields of free text masked (TEXTS, and those of CHECKS), however deep they lie."""
        if isinstance(value, Mapping):
            return {key: self._field(key, entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.record(entry) for entry in value]
        return value

    def _field(self, key: Any, value: Any) -> Any:
        if key in CHECKS and isinstance(value, (list, tuple)):
            return [self._check(entry) for entry in value]
        return self.texts(value) if key in TEXTS | CHECKS else self.record(value)

    def _check(self, value: Any) -> Any:
        """A check, of which every text is free that does not say which it is: so is that of a field to come."""
        if not isinstance(value, Mapping):
            return self.texts(value)
        return {key: entry if key in FIXED else self._seen(entry) for key, entry in value.items()}

    def _seen(self, value: Any) -> Any:
        """As ``texts``, and the keys too: a service chooses the labels of its metrics."""
        if isinstance(value, Mapping):
            return {self.texts(key): self._seen(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._seen(entry) for entry in value]
        return self.texts(value)


def _forms(value: str) -> Iterator[str]:
    """What a program may print instead of the value: escaped for JSON, Python, URLs, HTML, a shell or Compose, in
    Base64, or a line of it."""
    if len(value) < SHORTEST or not _is_text(value):
        return
    for plain in dict.fromkeys((value, value.strip())):
        if len(plain) < SHORTEST:
            continue
        yield from (plain, repr(plain)[1:-1])
        # As an excerpt has it (see gates.py).
        collapsed = " ".join(plain.split())
        if len(collapsed) >= SHORTEST:
            yield collapsed
        yield from _in_json(plain)
        yield from _in_url(plain)
        yield from _in_html(plain)
        yield from (plain.replace("'", "'\\''"), plain.replace("'", "'\"'\"'"), plain.replace("$", "$$"))
        yield from _in_base64(plain.encode())
    parts = {line.strip() for line in value.splitlines()} - {value.strip()}
    for part in sorted(part for part in parts if len(part) >= SHORTEST_PART):
        yield from (part, json.dumps(part)[1:-1])


def _in_json(plain: str) -> Iterator[str]:
    """As Python, Go (which writes & < > by their numbers), Jinja (the apostrophe as well) and PHP (``\\/``) do."""
    for text in (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]):
        go = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        yield from (text, go, go.replace("'", "\\u0027"), text.replace("/", "\\/"))


def _in_url(plain: str) -> Iterator[str]:
    """As Python does, and JavaScript's encodeURIComponent; with either case of the hexadecimal digits."""
    for text in (quote(plain, safe=""), quote(plain), quote_plus(plain), quote(plain, safe="!*'()")):
        yield from (text, _PERCENT.sub(lambda found: found[0].lower(), text))


def _in_html(plain: str) -> Iterator[str]:
    """As Python does, and with the quotes as Go, Jinja, JavaScript's and PHP's libraries write them."""
    yield html.escape(plain)
    text = html.escape(plain, quote=False)
    for double, single in (("&#34;", "&#39;"), ("&quot;", "&#39;"), ("&quot;", "&#039;")):
        yield text.replace('"', double).replace("'", single)


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
