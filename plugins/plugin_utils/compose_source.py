# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""A Compose project as it lies on the controller: its files, and what is wrong with them, by line.

The host has no YAML parser, so what names a line is found here, before any host is asked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.davit.ec2.plugins.module_utils import canonical
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.refusals import refuse

SIZE_LIMIT = 10 * 1024 * 1024
"""Bytes of a whole project. What is larger belongs into an image."""

_REFERENCE = re.compile(r"\$(?:\$|(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?P<rest>[^}]*)\})")


@dataclass(frozen=True)
class Source:
    """A parsed Compose file: its path, its text as YAML nodes, and as plain values."""

    path: Path
    node: yaml.Node
    model: Mapping[str, Any]

    def line(self, keys: Iterable[str]) -> int:
        """The line (from 1) of the deepest of ``keys`` that the file has."""
        node = self.node
        line = node.start_mark.line
        for key in keys:
            entry = _child(node, key)
            if entry is None:
                break
            line, node = entry
        return line + 1


def _child(node: yaml.Node, key: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return name.start_mark.line, value
    return None


def read_source(path: Path) -> Source:
    """Parse a Compose file. Raises DavitError with the line when it is no YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DavitError(f"The Compose file {path} cannot be read: {getattr(error, 'strerror', error)}.") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        model = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DavitError(f"{path}:{line}: this is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise DavitError(f"{path}: this is not YAML: {error}.") from error
    if node is None or not isinstance(model, Mapping) or not isinstance(model.get("services"), Mapping):
        raise DavitError(f"{path}:1: this is not a Compose file: it has no 'services'.")
    return Source(path, node, model)


def check(source: Source, stateful: frozenset[str], variables: frozenset[str]) -> None:
    """Raise DavitError, with the lines, for what the file may not say and for variables without value."""
    found = [f"{source.path}:{source.line(r.path)}: {r}" for r in refuse(source.model, stateful)]
    known = variables | _dot_env(source.path.parent)
    for name, line in _required(source.node):
        if name not in known:
            found.append(
                f"{source.path}:{line}: the variable {name} has no value. Set it in compose_release_environment or"
                f" compose_release_secrets, or give it a default here: ${{{name}:-default}}."
            )
    if found:
        raise DavitError("\n".join(dict.fromkeys(found)))


def _dot_env(directory: Path) -> frozenset[str]:
    path = directory / ".env"
    if not path.is_file():
        return frozenset()
    return frozenset(canonical.dot_env(path.read_text(encoding="utf-8", errors="replace")))


def _required(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Name and line of each variable that is used without a default."""
    if isinstance(node, yaml.ScalarNode):
        for match in _REFERENCE.finditer(str(node.value)):
            name = match["bare"] or match["braced"]
            if name and not (match["rest"] or "").startswith((":-", "-", ":+", "+")):
                yield name, node.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _required(key)
            yield from _required(value)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _required(entry)


def bundle(source: Source) -> dict[str, str]:
    """Every file of the project that the release needs: path below the project to Base64.

    Raises DavitError for a file that is missing, lies outside of the project, or when the whole is
    larger than SIZE_LIMIT.
    """
    root = source.path.parent.resolve()
    wanted = {source.path.resolve()}
    if (root / ".env").is_file():
        wanted.add(root / ".env")
    for keys, name in _own_files(source.model):
        path = Path(name) if name.startswith("/") else root / name
        line = f"{source.path}:{source.line(keys)}"
        if not path.resolve().is_relative_to(root):
            raise DavitError(f"{line}: {name} lies outside of the project's directory, so it cannot travel with it.")
        if not path.exists():
            raise DavitError(f"{line}: {name} does not exist in {root}.")
        inside = {p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()}
        for found in sorted(inside):
            if not found.resolve().is_relative_to(root):
                raise DavitError(
                    f"{line}: {found} leads outside of the project's directory, so it cannot travel with it."
                )
        wanted |= inside
    size = sum(path.stat().st_size for path in wanted)
    if size > SIZE_LIMIT:
        raise DavitError(
            f"{source.path}: the files of this project are {size >> 20} MiB, more than {SIZE_LIMIT >> 20}."
            " Put large data into an image or a volume."
        )
    return {_below(path, root): base64.b64encode(path.read_bytes()).decode() for path in sorted(wanted)}


def _below(path: Path, root: Path) -> str:
    return str((path if path.is_relative_to(root) else path.resolve()).relative_to(root))


def _own_files(model: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Key path and name of each relative file or directory that the model refers to."""
    for name, service in (model.get("services") or {}).items():
        for key, found in _of_service(service or {}):
            yield ("services", str(name), key), found
    for kind in ("secrets", "configs"):
        for name, entry in (model.get(kind) or {}).items():
            if (entry or {}).get("file"):
                yield (kind, str(name), "file"), str(entry["file"])
    for entry in model.get("include") or []:
        for path in _as_list(entry.get("path") if isinstance(entry, Mapping) else entry):
            yield ("include",), str(path)


def _of_service(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in _as_list(service.get("env_file")):
        optional = isinstance(entry, Mapping) and entry.get("required") is False
        if not optional:
            yield "env_file", str(entry["path"] if isinstance(entry, Mapping) else entry)
    extends = service.get("extends")
    if isinstance(extends, Mapping) and extends.get("file"):
        yield "extends", str(extends["file"])
    for mount in service.get("volumes") or []:
        if isinstance(mount, Mapping):
            found = str(mount.get("source") or "") if mount.get("type") == "bind" else ""
        else:
            found = str(mount).split(":")[0]
        if found.startswith((".", "~")):
            yield "volumes", found


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
