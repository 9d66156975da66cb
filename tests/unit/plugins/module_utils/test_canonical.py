"""What may be shown of a Compose file: everything but values of variables, and what is likely to be a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import canonical
from ansible_collections.davit.ec2.plugins.module_utils.canonical import HIDDEN

SECRET = 'p$4ss "w0rd"'
VARIABLES = {"DB_PASSWORD": SECRET, "LOG_LEVEL": "info", "DEBUG": "1", "EMPTY": ""}


def shown(service: dict[str, Any], **sections: Any) -> dict[str, Any]:
    found = canonical.canonical([{"services": {"api": service}, **sections}], VARIABLES)
    api: dict[str, Any] = found["services"]["api"]
    return api


@pytest.mark.parametrize(
    "service",
    [
        {"environment": {"DB_PASSWORD": 'p$$4ss "w0rd"', "LITERAL": "hunter22"}},
        {"command": ["serve", 'p$$4ss "w0rd"']},
        {"command": ["serve", "p$$4ss", "w0rd"]},
        {"command": ["serve", "--db-password", "hunter22"]},
        {"command": ["serve", "--token=hunter22"]},
        {"healthcheck": {"test": ["CMD-SHELL", "curl -H 'X-Api-Key: hunter22' localhost"]}},
        {"healthcheck": {"test": ["CMD", "curl", "http://admin:hunter22@localhost/"]}},
        {"labels": {"basicauth.users": "admin:hunter22"}},
        {"logging": {"driver": "splunk", "options": {"splunk-token": "hunter22"}}},
        {"x-own": {"deep": ["hunter22"]}},
        {"x-plain": "hunter22"},
        {"credential_spec": {"password": "hunter22"}},
    ],
    ids=str,
)
def test_no_value_of_a_variable_and_nothing_that_looks_secret(service: dict[str, Any]) -> None:
    text = json.dumps(shown(service))
    assert [word for word in ("p$$4ss", "p$4ss", "w0rd", "hunter22") if word in text] == []


def test_what_is_no_secret_stays_readable() -> None:
    service = {
        "image": "ghcr.io/a/b:v2",
        "command": ["serve", "--log", "info", "--workers", "1", "--max-tokens", "512", "--tokenizer=/m"],
        "environment": {"B": "x", "A": None},
        "mem_limit": "536870912",
    }
    found = shown(service)
    assert found["image"] == "ghcr.io/a/b:v2"
    # One letter is a variable's only where it is all there is.
    assert found["command"] == [
        "serve",
        "--log",
        "${LOG_LEVEL}",
        "--workers",
        "${DEBUG}",
        "--max-tokens",
        "512",
        "--tokenizer=/m",
    ]
    assert found["environment"] == {"B": HIDDEN, "A": HIDDEN}
    assert found["mem_limit"] == "536870912"


def test_volumes_and_configs_of_all_parts_are_in_it() -> None:
    share = {"data": {"driver_opts": {"o": "username=a,password=hunter22"}}}
    configs = {"motd": {"content": "hunter22"}}
    parts = [{"services": {"api": {}}, "configs": configs}, {"services": {"db": {}}, "volumes": share}]
    found = canonical.canonical(parts, {})
    assert set(found) == {"services", "volumes", "configs"}
    assert set(found["services"]) == {"api", "db"}
    assert "hunter22" not in json.dumps(found)


def test_an_env_file_is_read_as_compose_does() -> None:
    text = "# c\nA=1\nexport B='two words'\n C = \"x\" \r\nD=\nnothing\n"
    assert canonical.dot_env(text) == {"A": "1", "B": "two words", "C": "x", "D": ""}


def test_lines_are_those_of_yaml_and_in_order() -> None:
    value = {"b": [1, {"c": "x"}, []], "a": {"t": True, "n": None, "s": " x", "e": "", "l": "1\n2"}}
    assert canonical.outline(value) == [
        *("a:", '  e: ""', '  l: "1\\n2"', "  n: null", '  s: " x"', "  t: true"),
        *("b:", "  - 1", "  -", "    c: x", "  - []"),
    ]


def test_equal_models_have_no_difference_and_long_ones_a_bounded_one() -> None:
    assert canonical.compare({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []
    found = canonical.compare({"a": "x"}, {"a": "y"})
    assert found[-2:] == ["-a: x", "+a: y"]
    long = canonical.compare({}, {f"k{n}": "v" * 1000 for n in range(1000)})
    assert len(long) == canonical.MOST_LINES + 1
    assert max(map(len, long)) <= canonical.LONGEST_LINE
    assert long[-1].endswith("more lines")
