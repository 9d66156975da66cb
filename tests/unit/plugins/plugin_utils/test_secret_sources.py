"""Sources of secrets: what is declared, what an answer comes to, and messages that name all and show none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.plugin_utils import secret_sources as ss
from ansible_collections.davit.ec2.plugins.plugin_utils.secret_sources import Found, Item

CANARY = "c4n4ry"


@pytest.mark.parametrize(
    ("entry", "item", "key"),
    [
        ({"from": "env"}, Item("env", "TOKEN"), ""),
        ({"from": "env", "name": "SHOP_TOKEN"}, Item("env", "SHOP_TOKEN"), ""),
        ({"from": "ssm", "name": "/shop/t", "version": 3}, Item("ssm", "/shop/t", version="3"), ""),
        ({"from": "ssm", "name": "/shop/t", "label": "prod"}, Item("ssm", "/shop/t", label="prod"), ""),
        ({"from": "secretsmanager", "name": "shop", "key": "t"}, Item("secretsmanager", "shop"), "t"),
    ],
)
def test_a_source_is_read(entry: dict[str, Any], item: Item, key: str) -> None:
    assert ss.parse({"TOKEN": entry}) == ([ss.Source("TOKEN", item, key)], [])


@pytest.mark.parametrize(
    ("variable", "entry", "said"),
    [
        ("A-B", {"from": "env"}, "name of an environment variable"),
        ("A", CANARY, "a source is a mapping"),
        ("A", {"from": "vault"}, "has to be one of env, ssm, secretsmanager"),
        ("A", {"from": "ssm"}, "lacks 'name'"),
        ("A", {"from": "secretsmanager"}, "lacks 'name'"),
        ("A", {"from": "ssm", "name": "/a", "value": CANARY}, "no option value; there are from, key"),
        ("A", {"from": "ssm", "name": "/a", "version": 1, "label": "x"}, "give one of them"),
        ("A", {"from": "env", "version": 1}, "no versions"),
    ],
)
def test_a_source_that_makes_no_sense_is_named_and_its_values_are_not(variable: str, entry: Any, said: str) -> None:
    sources, (problem,) = ss.parse({variable: entry, "GOOD": {"from": "env"}})
    assert [source.variable for source in sources] == ["GOOD"]
    assert problem.startswith(f"{variable}: ")
    assert said in problem
    assert CANARY not in problem


def test_a_name_in_two_places_is_ambiguous() -> None:
    assert ss.ambiguous(["A"], ["A", "B", "C"], ["B"]) == [
        "A: it is in compose_release_secret_sources and in compose_release_secrets; keep one",
        "B: it is in compose_release_secret_sources and in compose_release_environment; keep one",
    ]
    assert ss.ambiguous(["A", "D"], [], ["D"]) == [
        "D: it is in compose_release_secrets and in compose_release_environment; keep one"
    ]


@pytest.mark.parametrize(
    ("answer", "key", "value", "problem"),
    [
        (Found("x", "3"), "", "x", ""),
        (Found(' {"k": "v"} '), "k", "v", ""),
        (Found('{"k": 5}'), "k", "5", ""),
        (Found('{"k": true}'), "k", "true", ""),
        (Found('{"k": "a\\nb"}'), "k", "a\nb", ""),
        ("it is not there", "", "", "it is not there"),
        (Found(""), "", "", "it is empty"),
        (Found("a\0b"), "", "", "it holds a NUL"),
        (Found("a\udcff"), "", "", "it is not UTF-8"),
        (Found(CANARY), "k", "", "it is not JSON, so it has no key 'k'"),
        (Found(f'["{CANARY}"]'), "k", "", "its JSON has no key 'k'"),
        (Found(f'{{"a": "{CANARY}"}}'), "k", "", "its JSON has no key 'k'"),
        (Found(f'{{"k": {{"a": "{CANARY}"}}}}'), "k", "", "neither a text nor a number"),
        (Found('{"k": null}'), "k", "", "neither a text nor a number"),
        (Found('{"k": ""}'), "k", "", "it is empty"),
    ],
)
def test_an_answer_becomes_a_value_or_a_problem(answer: Found | str, key: str, value: str, problem: str) -> None:
    item = Item("ssm", "/a")
    got = ss.resolve([ss.Source("A", item, key)], {item: answer})
    assert got.values == ({"A": value} if not problem else {})
    assert len(got.problems) == bool(problem)
    assert all(one.startswith("A (ssm /a): ") and problem in one for one in got.problems)
    assert CANARY not in str(got.problems)


def test_the_origin_tells_the_version_and_no_value() -> None:
    items = [Item("ssm", "/a", label="prod"), Item("secretsmanager", "s"), Item("env", "E")]
    sources = [ss.Source("A", items[0]), ss.Source("B", items[1], "k"), ss.Source("E", items[2])]
    got = ss.resolve(sources, {items[0]: Found("x", "3"), items[1]: Found('{"k": "y"}', "id"), items[2]: Found("z")})
    assert got.origins == {
        "A": {"from": "ssm", "name": "/a", "version": "3"},
        "B": {"from": "secretsmanager", "name": "s", "key": "k", "version": "id"},
        "E": {"from": "env", "name": "E"},
    }


@pytest.mark.parametrize(
    ("value", "kept", "said"),
    [
        ("a", "a", ""),
        (7, "7", ""),
        ("", "", "it is empty"),
        (None, "", "it is empty"),
        (True, "", "neither a text nor a number"),
        ({"a": CANARY}, "", "neither a text nor a number"),
    ],
)
def test_a_plain_secret_has_to_be_one(value: Any, kept: str, said: str) -> None:
    got = ss.check_plain({"A": value})
    assert got.values == ({"A": kept} if kept else {})
    assert got.origins == ({"A": {"from": "variable"}} if kept else {})
    assert [said in problem for problem in got.problems] == ([True] if said else [])
    assert CANARY not in str(got.problems)


def test_the_environment_answers_for_its_own_alone() -> None:
    there, empty, gone = Item("env", "A"), Item("env", "B"), Item("env", "C")
    answers = ss.from_environment([there, empty, gone, Item("ssm", "A")], {"A": "a\n", "B": ""})
    assert answers == {there: Found("a\n"), empty: Found(""), gone: "it is not set in the environment"}


def test_names_are_asked_for_in_as_few_calls_as_may_be() -> None:
    items = [Item("ssm", f"/{number}") for number in range(21)]
    assert [len(batch) for batch in ss.batches(items, 10)] == [10, 10, 1]
    twice = [Item("ssm", "/a"), Item("ssm", "/a", version="1"), Item("ssm", "/b")]
    assert ss.batches(twice, 10) == [[twice[0], twice[2]], [twice[1]]]
    assert ss.batches([], 10) == []


def test_nothing_that_holds_a_value_shows_it_by_chance() -> None:
    """As a traceback or a debugger would."""
    item = Item("ssm", "/a")
    assert CANARY not in repr(Found(CANARY, "1"))
    assert CANARY not in repr(ss.resolve([ss.Source("A", item)], {item: Found(CANARY)}))
