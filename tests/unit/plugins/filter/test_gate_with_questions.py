# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The golden set's file, read where a mistake in it can be told by its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.davit.ec2.plugins.filter.gate_with_questions import gate_with_questions
from ansible_collections.davit.ec2.plugins.module_utils import golden_set

ROOT = Path(__file__).parents[4]


def test_the_file_becomes_the_questions(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"a": 1}\n\n{"b": 2}\n', encoding="utf-8")
    gate: dict[str, Any] = {"http": [], "golden": {"file": "set.jsonl", "min_score": 1}}
    assert gate_with_questions(gate, str(tmp_path)) == {
        "http": [],
        "golden": {"min_score": 1, "questions": [{"a": 1}, {"b": 2}]},
    }


@pytest.mark.parametrize("gate", [{}, {"golden": {}}, {"golden": {"questions": [1]}}, {"golden": "broken"}])
def test_a_gate_without_a_file_stays_as_it_is(gate: dict[str, Any], tmp_path: Path) -> None:
    assert gate_with_questions(gate, str(tmp_path)) == gate


@pytest.mark.parametrize(
    ("content", "said"), [('{"a": 1}\n{', "line 2: this is not JSON"), ("[1]", "line 1: a question")]
)
def test_a_line_that_cannot_be_used_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(AnsibleFilterError, match=said):
        gate_with_questions({"golden": {"file": "set.jsonl"}}, str(tmp_path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match=r"absent\.jsonl"):
        gate_with_questions({"golden": {"file": "absent.jsonl"}}, str(tmp_path))


def test_the_set_of_the_reference_service_can_be_used() -> None:
    gate = gate_with_questions(
        {"golden": {"file": "golden.jsonl", "min_score": {"lexical": 0.9}}}, str(ROOT / "service")
    )
    made = golden_set.parse(gate["golden"], "http://127.0.0.1:1")
    assert {question.group for question in made.questions} == {"lexical", "paraphrase"}
    assert len(json.dumps(gate)) < 20_000
