# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The callback report: what a deploy or rollback came to, as files for people and for a job's summary."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report
type: notification
short_description: Write what a deploy or rollback came to, as JSON, Markdown and HTML
version_added: 0.1.0
description:
  - After a run with steps of a release, writes C(<app>.json), C(<app>.md) and C(<app>.html) into a directory, for each
    app that was deployed or rolled back. Drills are left out, and so is check mode.
  - In GitHub Actions the Markdown also becomes the job's summary, and a failure an annotation.
  - Only fields that are known to hold nothing secret are taken out of what the steps return.
options:
  directory:
    description: Directory to write into; nothing is written without one.
    type: path
    env:
      - name: DAVIT_REPORT_DIR
author:
  - The Davit maintainers (@davit-ec2)
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ansible_collections.davit.ec2.plugins.plugin_utils import report
from ansible_collections.davit.ec2.plugins.plugin_utils.report import Report, Step
from ansible_collections.davit.ec2.plugins.plugin_utils.report_markdown import SUMMARY_BYTES, fitted, markdown
from ansible_collections.davit.ec2.plugins.plugin_utils.report_page import as_html


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible ships no types
    """Gathers the steps of a release as they end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "davit.ec2.report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[tuple[str, str], float] = {}
        self._steps: list[Step] = []
        self._play: Any = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._began[host.get_name(), task._uuid] = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result, failed=False)

    def v2_runner_on_failed(self, result: Any, **_: Any) -> None:
        self._take(result, failed=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._take(result, failed=True)

    def _take(self, result: Any, *, failed: bool) -> None:
        task, host, now = result.task, result.host.get_name(), time.time()
        action = str(task.resolved_action or task.action)
        if action.removeprefix(report.PREFIX) not in report.PHASES or task.check_mode:
            return
        began = self._began.get((host, task._uuid), now)
        app, by, commit, drill = (self._given(result, name) for name in ("app", "owner", "commit", "drill"))
        self._steps.append(Step(host, action, began, now, failed, dict(result.result), app, by, commit, drill))

    def _given(self, result: Any, name: str) -> str:
        """An argument of a step. When one of them could not be filled in, all are still templates; '' for that one."""
        given = str(result.task.args.get(name) or "")
        if "{{" not in given:
            return given
        with contextlib.suppress(Exception):  # whatever is wrong with it, the step has failed of it
            known = self._play.get_variable_manager().get_vars(play=self._play, host=result.host, task=result.task)
            return str(Templar(self._play.get_loader(), known).template(result.task.args[name]) or "")
        return ""

    def v2_playbook_on_stats(self, _stats: Any) -> None:
        for run in report.runs(self._steps):
            made = report.make(run)
            if made is not None:
                self._write(made)
                self._summarize(made)

    def _write(self, made: Report) -> None:
        directory = self.get_option("directory")
        if not directory:
            return
        place = Path(str(directory))
        place.mkdir(parents=True, exist_ok=True)
        for ending, text in (
            ("json", made.to_json()),
            ("md", markdown(made)),
            ("html", as_html(made)),
        ):
            (place / f"{made.app or 'release'}.{ending}").write_text(text, encoding="utf-8")
        self._display.display(f"Report: {place / (made.app or 'release')}.html")

    def _summarize(self, made: Report) -> None:
        """For GitHub Actions."""
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(fitted(markdown(made), SUMMARY_BYTES - stream.tell()))
        if os.environ.get("GITHUB_ACTIONS") == "true" and not made.good:
            cause = next((host.cause for host in made.hosts if host.cause), report.headline(made))
            said = annotation(report.headline(made), cause)
            resume = os.environ.get("DAVIT_RESUME_COMMANDS")
            # The runner takes no commands out of a play's output, in which there are lines of other people's logs.
            self._display.display(f"::{resume}::\n{said}\n::stop-commands::{resume}" if resume else said)


_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = {**_MESSAGE, **str.maketrans({":": "%3A", ",": "%2C"})}


def annotation(title: str, message: str) -> str:
    """A workflow command. What would end it, or begin another one, is escaped; GitHub undoes no more than that."""
    return f"::error title={title.translate(_PROPERTY)}::{message.translate(_MESSAGE)}"
