"""Makes the tables of variables in the roles' README.md out of their argument specs: `make docs`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
BEGIN = "<!-- Made of meta/argument_specs.yml by `make docs`; what is above is written by hand. -->"
HEAD = "| variable | type | default | what it is |\n|---|---|---|---|"

# Ansible's markup: C(x), V(x), E(x) is code, O(a) an option, O(a.b.c#module:d) one of a plugin, P(a.b.c#type) a plugin.
CODE = re.compile(r"\b[CVE]\(((?:[^)\\]|\\.)*)\)")
PLUGIN = re.compile(r"\bP\(([\w.]+)#(\w+)\)")
FOREIGN = re.compile(r"\bO\(([\w.]+)#\w+:([\w.]+)\)")
OPTION = re.compile(r"\bO\(([^()]*)\)")


def plain(markup: str) -> str:
    """Ansible's markup as Markdown."""
    text = FOREIGN.sub(r"`\2` of `\1`", markup)
    text = PLUGIN.sub(r"`\1`", text)
    text = OPTION.sub(r"`\1`", text)
    return CODE.sub(lambda found: code(re.sub(r"\\(.)", r"\1", found[1])), text)


def code(text: str) -> str:
    """A code span; with a backtick inside it takes two of them."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def cell(text: str) -> str:
    """Text that can stand in a table; GitHub wants the bar escaped also inside of code."""
    return " ".join(text.split()).replace("|", "\\|")


def value(default: object) -> str:
    """A default as one line of YAML."""
    text = yaml.safe_dump(default, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    # A scalar's document ends with a line of dots. Empty texts and templates read better without YAML's own quotes.
    text = text.removesuffix("\n").removesuffix("\n...")
    return code('""' if default == "" else default if isinstance(default, str) and "{{" in default else text)


def sentences(description: object) -> str:
    """A description is a text or a list of them."""
    parts = description if isinstance(description, list) else [description]
    return plain(" ".join(str(part).strip() for part in parts))


def kind(option: Mapping[str, Any]) -> str:
    """The type, with that of a list's elements."""
    name = option["type"]
    return f"{name} of {option['elements']}" if "elements" in option else str(name)


def rows(options: Mapping[str, Mapping[str, Any]], above: str = "") -> Iterator[str]:
    """A row for each option and, below it, for each of its own."""
    for name, option in options.items():
        told = sentences(option["description"])
        if "choices" in option:
            told += f" One of {', '.join(value(choice) for choice in option['choices'])}."
        if option.get("no_log"):
            told += " Secret."
        default = value(option["default"]) if "default" in option else "required" if option.get("required") else ""
        yield f"| {code(above + name)} | {kind(option)} | {cell(default)} | {cell(told)} |"
        inner = f"{above}{name}[]." if option.get("type") == "list" else f"{above}{name}."
        yield from rows(option.get("options", {}), inner)


def section(specs: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands below the marker: the variables, and the entry points beside the main one."""
    lines = [BEGIN, "", "## Variables", "", HEAD, *rows(specs["main"].get("options", {}))]
    others = {name: spec for name, spec in specs.items() if name != "main"}
    if others:
        lines += ["", "## Other entry points", "", "| `tasks_from` | does |", "|---|---|"]
        for name, spec in others.items():
            told = f"{spec['short_description']}. {sentences(spec.get('description', ''))}"
            lines.append(f"| {code(name)} | {cell(told).strip()} |")
    return "\n".join(lines) + "\n"


def made(role: Path) -> str:
    """The README as it has to be: the head as it is, and the tables."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    head = (role / "README.md").read_text("utf-8").partition(BEGIN)[0]
    return f"{head.rstrip()}\n\n{section(specs)}"


def main() -> int:
    """Write what is made; with `--check`, name what is not as it would be made."""
    texts = {role / "README.md": made(role) for role in sorted(ROLES.iterdir()) if (role / "meta").is_dir()}
    stale = [path for path, text in texts.items() if path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        sys.stderr.writelines(f"{path}: run make docs\n" for path in stale)
        return 1 if stale else 0
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
