# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Where the report goes: where it is asked to go, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.callback import report


def told(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    directory: str | None,
    *,
    result: str = "succeeded",
    said: list[str] | None = None,
    **environment: str,
) -> list[str]:
    """The files that lie about after a play with one step of a release."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "DAVIT_RESUME_COMMANDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plugin = report.CallbackModule()
    monkeypatch.setattr(plugin, "get_option", lambda _name: directory)
    monkeypatch.setattr(plugin, "_display", SimpleNamespace(display=(said if said is not None else []).append))
    task = SimpleNamespace(_uuid="1", resolved_action="davit.ec2.rollback", action="rollback", args={"app": "shop"})
    host = SimpleNamespace(get_name=lambda: "web-1")
    plugin.v2_runner_on_start(host, task)
    returned = {"live": "r1", "ended": {"result": result}}
    plugin.v2_runner_on_ok(SimpleNamespace(task=task, host=host, result=returned))
    plugin.v2_playbook_on_stats(None)
    return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())


def test_nothing_is_written_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert told(monkeypatch, tmp_path, None) == []
    # An empty path would become the current directory.
    assert "default" not in yaml.safe_load(report.DOCUMENTATION)["options"]["directory"]


def test_it_goes_into_the_directory_and_into_the_job_s_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    found = told(monkeypatch, tmp_path, str(tmp_path / "out"), GITHUB_STEP_SUMMARY=str(summary))
    assert found == ["out/shop.html", "out/shop.json", "out/shop.md", "summary.md"]
    assert "rollback of shop: succeeded" in summary.read_text(encoding="utf-8")


def test_a_summary_that_is_nearly_full_is_not_made_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GitHub would show nothing of it."""
    summary = tmp_path / "summary.md"
    summary.write_text("x" * 999_900)
    told(monkeypatch, tmp_path, None, GITHUB_STEP_SUMMARY=str(summary))
    assert 999_900 <= summary.stat().st_size <= 1_000_000


@pytest.mark.parametrize(
    ("title", "message", "command"),
    [
        ("deploy: failed", "gate: 200, not 503", "::error title=deploy%3A failed::gate: 200, not 503"),
        ("a,b", "50 %", "::error title=a%2Cb::50 %25"),
        ("a\nb", "c\r\n::warning::d", "::error title=a%0Ab::c%0D%0A::warning::d"),
    ],
)
def test_an_annotation_is_escaped_as_github_reads_it(title: str, message: str, command: str) -> None:
    assert report.annotation(title, message) == command


@pytest.mark.parametrize(
    ("environment", "before", "after"),
    [
        ({}, "", ""),
        # The action has told GitHub to take no commands out of what a play says.
        ({"DAVIT_RESUME_COMMANDS": "w0rd"}, "::w0rd::\n", "\n::stop-commands::w0rd"),
    ],
)
def test_an_annotation_is_obeyed_and_nothing_else_of_the_play(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], before: str, after: str
) -> None:
    said: list[str] = []
    told(monkeypatch, tmp_path, None, result="failed", said=said, GITHUB_ACTIONS="true", **environment)
    (line,) = said
    assert re.fullmatch(f"{before}::error title=rollback of shop%3A failed.*::.*{after}", line), line
