# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Where the values of secrets come from: what was declared, what each store has to be asked, and what answers mean.

No message of this file holds a value.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENV, SSM, SECRETS_MANAGER = "env", "ssm", "secretsmanager"
STORES = (ENV, SSM, SECRETS_MANAGER)
PLAIN = "variable"
"""The origin of a value that Ansible had already, such as one of a vault."""

_OPTIONS = {"from", "name", "key", "version", "label"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Item:
    """One entry of a store. ``version`` is a number in SSM and an id in Secrets Manager, ``label`` a parameter's label
    or a secret's staging label; neither means the current one."""

    store: str
    name: str
    version: str = ""
    label: str = ""

    def __str__(self) -> str:
        chosen = f" version {self.version}" if self.version else f" label {self.label}" if self.label else ""
        return f"{self.store} {self.name}{chosen}"


@dataclass(frozen=True)
class Source:
    """Where the value of ``variable`` comes from: an item, or what ``key`` names in its JSON."""

    variable: str
    item: Item
    key: str = ""


@dataclass(frozen=True)
class Found:
    """What a store has: the text, and its version if the store counts any."""

    text: str = field(repr=False)
    version: str = ""


Answers = Mapping[Item, "Found | str"]
"""By item what was found, or why it cannot be had."""


@dataclass(frozen=True)
class Outcome:
    """Values and origins by variable, and a line for each secret that cannot be had."""

    values: dict[str, str] = field(repr=False)
    origins: dict[str, dict[str, str]]
    problems: list[str]


def parse(declared: Mapping[str, Any]) -> tuple[list[Source], list[str]]:
    """The sources as they are declared by variable, and a line for each that makes no sense."""
    sources, problems = [], []
    for variable, entry in declared.items():
        problem = _wrong(str(variable), entry)
        if problem:
            problems.append(f"{variable}: {problem}")
            continue
        name = str(entry.get("name") or variable)
        item = Item(str(entry["from"]), name, str(entry.get("version") or ""), str(entry.get("label") or ""))
        sources.append(Source(str(variable), item, str(entry.get("key") or "")))
    return sources, problems


def _wrong(variable: str, entry: Any) -> str:
    """What is wrong with a declaration; '' when nothing is."""
    if not _VARIABLE.fullmatch(variable):
        return "this cannot be the name of an environment variable"
    if not isinstance(entry, Mapping):
        return "a source is a mapping, such as {from: ssm, name: /shop/db_password}"
    unknown = sorted(str(key) for key in set(entry) - _OPTIONS)
    if unknown:
        return f"there is no option {', '.join(unknown)}; there are {', '.join(sorted(_OPTIONS))}"
    if entry.get("from") not in STORES:
        return f"'from' has to be one of {', '.join(STORES)}"
    if entry["from"] == ENV and (entry.get("version") or entry.get("label")):
        return "the environment has no versions"
    if entry["from"] != ENV and not entry.get("name"):
        return f"it lacks 'name', which is what {entry['from']} knows it by"
    if entry.get("version") and entry.get("label"):
        return "'version' and 'label' both choose a version; give one of them"
    return ""


def ambiguous(plain: Iterable[str], sources: Iterable[str], environment: Iterable[str]) -> list[str]:
    """A line for each variable that is given in more than one place."""
    places = (
        ("compose_release_secret_sources", set(sources)),
        ("compose_release_secrets", set(plain)),
        ("compose_release_environment", set(environment)),
    )
    return [
        f"{name}: it is in {one} and in {other}; keep one"
        for (one, names), (other, others) in itertools.combinations(places, 2)
        for name in sorted(names & others)
    ]


def check_plain(plain: Mapping[str, Any]) -> Outcome:
    """The secrets that Ansible has already; one that is empty is a mistake, such as a GitHub secret that is not set."""
    outcome = Outcome({}, {}, [])
    for variable, value in plain.items():
        plainly = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        text = str(value) if plainly else ""
        problem = unusable(text) if plainly or value is None else "its value is neither a text nor a number"
        if problem:
            outcome.problems.append(f"{variable} ({PLAIN}): {problem}")
        else:
            outcome.values[str(variable)] = text
            outcome.origins[str(variable)] = {"from": PLAIN}
    return outcome


def resolve(sources: Iterable[Source], answers: Answers) -> Outcome:
    """What the stores' answers come to, by variable."""
    outcome = Outcome({}, {}, [])
    for source in sources:
        answer = answers[source.item]
        text, problem = ("", answer) if isinstance(answer, str) else _pick(answer.text, source.key)
        problem = problem or unusable(text)
        if problem:
            outcome.problems.append(f"{source.variable} ({source.item}): {problem}")
            continue
        origin = {"from": source.item.store, "name": source.item.name, "key": source.key}
        if isinstance(answer, Found):
            origin["version"] = answer.version
        outcome.values[source.variable] = text
        outcome.origins[source.variable] = {name: value for name, value in origin.items() if value}
    return outcome


def _pick(text: str, key: str) -> tuple[str, str]:
    """The value of ``key`` in a JSON object, and what is wrong with it; without a key the text as it is."""
    if not key:
        return text, ""
    try:
        content = json.loads(text)
    except ValueError:
        return "", f"it is not JSON, so it has no key '{key}'"
    if not isinstance(content, dict) or key not in content:
        return "", f"its JSON has no key '{key}'"
    value = content[key]
    if isinstance(value, str):
        return value, ""
    if isinstance(value, (int, float)):
        return json.dumps(value), ""
    return "", f"its key '{key}' holds neither a text nor a number"


def unusable(text: str) -> str:
    """Why a value cannot be a secret; '' when it can."""
    if not text:
        return "it is empty"
    if "\0" in text:
        return "it holds a NUL, which no environment variable can"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return ""


def from_environment(items: Iterable[Item], environment: Mapping[str, str]) -> dict[Item, Found | str]:
    """What the environment of the controller says, as in GitHub Actions."""
    return {
        item: Found(environment[item.name]) if item.name in environment else "it is not set in the environment"
        for item in items
        if item.store == ENV
    }


def batches(items: Iterable[Item], size: int) -> list[list[Item]]:
    """``items`` in as few calls as may be. A name is in each once, so that an answer belongs to one item."""
    made: list[list[Item]] = []
    for item in items:
        room = (b for b in made if len(b) < size and all(other.name != item.name for other in b))
        batch = next(room, None)
        if batch is None:
            made.append([item])
        else:
            batch.append(item)
    return made


def refusal(problems: Sequence[str], total: int) -> str:
    """One message for all secrets that cannot be had."""
    head = f"{len(problems)} of {total} secrets cannot be had, so nothing was touched:"
    return "\n".join([head, *(f"  {problem}" for problem in problems)])
