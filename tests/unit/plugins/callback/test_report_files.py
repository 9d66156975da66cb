# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Where the report goes: where it is asked to go, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template

from ansible_collections.davit.ec2.plugins.callback import report

Event = tuple[str, dict[str, Any], dict[str, Any]]
"""Of a step: its name, its arguments, and what it returned."""
BACK: Event = ("rollback", {"app": "shop"}, {"live": "r1", "changed": True})
NO_WAY_BACK: Event = ("rollback", {"app": "shop"}, {"msg": "none is kept", "failed": True})


def told(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    directory: str | None,
    *events: Event,
    said: list[str] | None = None,
    check: bool = False,
    **environment: str,
) -> list[str]:
    """The files that lie about after a play with these steps of a release."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "DAVIT_RESUME_COMMANDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    plugin = report.CallbackModule()
    monkeypatch.setattr(plugin, "get_option", lambda _name: directory)
    monkeypatch.setattr(plugin, "_display", SimpleNamespace(display=(said if said is not None else []).append))
    host = SimpleNamespace(get_name=lambda: "web-1")
    variables = SimpleNamespace(get_vars=lambda **_: {"compose_release_app": "shop", "kind": "slow"})
    plugin.v2_playbook_on_play_start(
        SimpleNamespace(get_variable_manager=lambda: variables, get_loader=lambda: DataLoader())
    )
    for number, (action, arguments, returned) in enumerate(events or [BACK]):
        task = SimpleNamespace(
            _uuid=str(number),
            resolved_action=f"davit.ec2.{action}",
            args=arguments,
            check_mode=check,
        )
        plugin.v2_runner_on_start(host, task)
        ended = plugin.v2_runner_on_failed if returned.get("failed") else plugin.v2_runner_on_ok
        ended(SimpleNamespace(task=task, host=host, result=returned))
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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, Any], before: str, after: str
) -> None:
    said: list[str] = []
    told(monkeypatch, tmp_path, None, NO_WAY_BACK, said=said, GITHUB_ACTIONS="true", **environment)
    (line,) = said
    assert re.fullmatch(f"{before}::error title=rollback of shop%3A failed.*::.*{after}", line), line


STAGED = {"version": "v2", "live": "r1"}
REFUSED: dict[str, Any] = {"msg": "Finalization of task args failed", "failed": True}


@pytest.mark.parametrize(
    ("events", "names"),
    [
        ([("release_preflight", {"app": "{{ compose_release_app }}"}, REFUSED)], ["shop"]),
        ([("release_preflight", {"app": "{{ not_defined }}"}, REFUSED)], ["release"]),
        (
            [
                ("release_secrets", {"app": "shop"}, {}),
                ("release_preflight", {"app": "{{ not_defined }}"}, REFUSED),
            ],
            ["shop"],
        ),
        (
            [
                ("release_preflight", {"app": "cart"}, STAGED),
                ("release_preflight", {"app": "{{ compose_release_app }}", "drill": ""}, REFUSED),
            ],
            ["cart", "shop"],
        ),
        ([("release_preflight", {"app": "shop", "drill": "slow"}, STAGED)], []),
        ([("release_preflight", {"app": "shop", "drill": "{{ kind }}"}, REFUSED)], []),
    ],
    ids=["a template", "nobody knows", "an earlier step knows", "two apps", "a drill", "a drill that is refused"],
)
def test_a_report_has_its_app_s_name_and_none_a_template_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: list[Event], names: list[str]
) -> None:
    """When one argument of a step cannot be filled in, all of them are templates still."""
    given = [
        (action, {key: trust_as_template(text) for key, text in arguments.items()}, returned)
        for action, arguments, returned in events
    ]
    found = told(monkeypatch, tmp_path, str(tmp_path / "out"), *given)
    assert found == [f"out/{name}.{ending}" for name in names for ending in ("html", "json", "md")]
    assert not any("{{" in (tmp_path / name).read_text(encoding="utf-8") for name in found)


def test_nothing_comes_of_a_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert told(monkeypatch, tmp_path, str(tmp_path / "out"), check=True) == []
