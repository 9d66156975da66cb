# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The filter gate_with_questions: a gate with the golden set of its file, as the modules on the host take it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: gate_with_questions
short_description: Put the questions of a golden set's file into a gate
version_added: 0.1.0
description:
  - Reads the file that C(golden.file) of a gate names on the controller, one JSON object a line, and puts its content
    in as C(golden.questions). A gate without such a file stays as it is.
author:
  - The Davit maintainers (@davit-ec2)
positional: _input, directory
options:
  _input:
    description: The gate.
    type: dict
    required: true
  directory:
    description: What a relative C(golden.file) is below of.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Show how many questions would be asked
  ansible.builtin.debug:
    msg: "{{ (gate | davit.ec2.gate_with_questions('service')).golden.questions | length }}"
  vars:
    gate: {golden: {file: golden.jsonl, min_score: 0.9}}
"""

RETURN = r"""
_value:
  description: The gate.
  type: dict
"""


def gate_with_questions(gate: Mapping[str, Any], directory: str) -> dict[str, Any]:
    """Raises AnsibleFilterError with the file and line that cannot be used."""
    golden = gate.get("golden") or {}
    if not isinstance(golden, Mapping) or not golden.get("file"):
        return dict(gate)
    path = Path(directory) / str(golden["file"])
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(f"The golden set {path} of compose_release_gate cannot be read: {error}") from error
    questions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = json.loads(line)
        except ValueError as error:
            raise AnsibleFilterError(f"{path}, line {number}: this is not JSON: {error}") from error
        if not isinstance(question, dict):
            raise AnsibleFilterError(f"{path}, line {number}: a question is an object with 'request' and 'expected'.")
        questions.append(question)
    rest = {key: value for key, value in golden.items() if key != "file"}
    return {**gate, "golden": {**rest, "questions": questions}}


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gate_with_questions": gate_with_questions}
