# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The Compose model of a release in a form that may be shown: without values of variables, and compared line by line.

A report goes into the summaries of jobs and into mails. So what a variable has filled in becomes its name again, and
mappings in which people put secrets keep their keys only.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HIDDEN = "(not shown)"
MOST_LINES = 300
LONGEST_LINE = 240
SECTIONS = ("services", "networks", "volumes", "secrets", "configs")

_MAPPINGS = frozenset({"environment", "labels", "annotations", "driver_opts", "options", "args"})
"""Of these only the keys are kept: passwords for a proxy, a share or a log server stand in them as well."""

_TEXTS = frozenset({"content"})
_SHORT = 4
"""A value of fewer letters than this is a variable's only where it is the whole text: "1" is in everything."""

# Not the tokens of a language model.
_WORD = r"(?:pass(?:word|wd|phrase)?|secret|token(?!i[sz]|s\b)|api[-_]?key|credentials?)"
_TOLD = re.compile(rf"({_WORD}\w*(?:\s*[=:]|\s)\s*)\S+", re.IGNORECASE)
_ASKS = re.compile(rf"-{{0,2}}[\w-]*{_WORD}[\w-]*", re.IGNORECASE)
_LOGIN = re.compile(r"(://)[^/@\s]+@")
_DOT_ENV = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)

Model = Mapping[str, Any]


def dot_env(text: str) -> dict[str, str]:
    """Name to value for each line of an ``.env`` file, without quotes."""
    found = {}
    for name, value in _DOT_ENV.findall(text):
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name] = value[1:-1] if quoted else value
    return found


def canonical(parts: Iterable[Model], variables: Mapping[str, str]) -> dict[str, Any]:
    """``parts`` of a Compose model as one, with each value of ``variables`` as its ``${NAME}``."""
    merged: dict[str, Any] = {}
    for part in parts:
        for section in SECTIONS:
            merged.setdefault(section, {}).update(part.get(section) or {})
    shown: dict[str, Any] = _shown({name: section for name, section in merged.items() if section}, _known(variables))
    return shown


def _known(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    """Value and name of each variable, the longest value first, since it may hold another one.

    As `docker compose config` writes them: a dollar doubled, and a command taken apart at blanks and quotes.
    """
    found = set()
    for name, value in variables.items():
        written = value.replace("$", "$$")
        pieces = re.split(r"[\s'\"]+", written)
        found |= {(text, f"${{{name}}}") for text in (written, *pieces) if text == written or len(text) >= _SHORT}
    return sorted(((text, name) for text, name in found if text), key=lambda pair: (-len(pair[0]), pair))


def _shown(value: Any, known: Sequence[tuple[str, str]], key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key in _MAPPINGS or key.startswith("x-"):
            return dict.fromkeys(map(str, value), HIDDEN)
        return {str(name): _shown(entry, known, str(name)) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return HIDDEN if key.startswith("x-") else _words(value, known)
    if key in _TEXTS or key.startswith("x-") or (isinstance(value, str) and _ASKS.fullmatch(key)):
        return HIDDEN
    return _without_values(value, known) if isinstance(value, str) else value


def _words(values: Sequence[Any], known: Sequence[tuple[str, str]]) -> list[Any]:
    """A list, in which what follows a word such as ``--password`` is hidden."""
    made: list[Any] = []
    for number, entry in enumerate(values):
        before = values[number - 1] if number else ""
        made.append(HIDDEN if isinstance(before, str) and _ASKS.fullmatch(before) else _shown(entry, known))
    return made


def _without_values(text: str, known: Sequence[tuple[str, str]]) -> str:
    for value, name in known:
        if text == value:
            return name
        if len(value) >= _SHORT:
            text = text.replace(value, name)
    return _LOGIN.sub(rf"\1{HIDDEN}@", _TOLD.sub(rf"\1{HIDDEN}", text))


def outline(value: Any, indent: str = "") -> list[str]:
    """``value`` as lines that a person reads as YAML, keys sorted, so that equal models have equal lines."""
    if isinstance(value, Mapping):
        return [line for key in sorted(value) for line in _entry(f"{indent}{key}:", value[key], indent)]
    if isinstance(value, list):
        return [line for entry in value for line in _entry(f"{indent}-", entry, indent)]
    return [f"{indent}{_scalar(value)}"]


def _entry(head: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, (Mapping, list)) and value:
        return [head, *outline(value, indent + "  ")]
    return [f"{head} {_scalar(value)}"]


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and value and value.isprintable() and value == value.strip()
    return str(value) if plain else json.dumps(value)


def compare(before: Model, after: Model) -> list[str]:
    """The lines in which two canonical models differ, each with the two lines around it; bounded in both ways."""
    lines = list(difflib.unified_diff(outline(before), outline(after), "before", "after", n=2, lineterm=""))
    more = len(lines) - MOST_LINES
    shown = [line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…" for line in lines[:MOST_LINES]]
    return [*shown, f"… and {more} more lines"] if more > 0 else shown
