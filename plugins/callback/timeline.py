# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""The callback timeline: what a run does, phase by phase, for the person who waits for it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timeline
type: stdout
short_description: Show the phases of a deploy with times and what they found
version_added: 0.1.0
description:
  - Shows each phase of a deploy or rollback (preflight, fetch, start, gate, switch, soak, finish) with its time, its
    host and what it found; of other plays each role with its time, and a line for each task that changed something.
  - What is well and changed nothing is not shown. Failures, diffs and all else are shown as
    P(ansible.builtin.default#callback) does it, and with C(-v) everything is.
  - On a terminal the last line tells what runs, for how long and how long it may take; elsewhere a line is written
    every minute while something takes long.
  - Should it fail itself, it says so once and leaves the rest of the run to P(ansible.builtin.default#callback).
options:
  display_ok_hosts:
    description: Show tasks that are well and changed nothing.
    type: bool
    default: false
    env:
      - name: ANSIBLE_DISPLAY_OK_HOSTS
    ini:
      - {key: display_ok_hosts, section: defaults}
  display_skipped_hosts:
    description: Show tasks that are skipped.
    type: bool
    default: false
    env:
      - name: ANSIBLE_DISPLAY_SKIPPED_HOSTS
    ini:
      - {key: display_skipped_hosts, section: defaults}
  display_included_hosts:
    description: Show which files are included.
    type: bool
    default: false
    env:
      - name: ANSIBLE_DISPLAY_INCLUDED_HOSTS
    ini:
      - {key: display_included_hosts, section: defaults}
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set as stdout_callback in the configuration.
author:
  - The Davit maintainers (@davit-ec2)
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.davit.ec2.plugins.plugin_utils import pace, report, timeline
from ansible_collections.davit.ec2.plugins.plugin_utils.live_line import LiveLine
from ansible_collections.davit.ec2.plugins.plugin_utils.timeline import Line, Running

QUIET = ("display_ok_hosts", "display_skipped_hosts", "display_included_hosts")
LONG = 1.5
SILENCE = 60.0
"""Seconds after which a task is told on a terminal; and where lines cannot be written over."""

_COLOURS = {
    timeline.GOOD: constants.COLOR_OK,
    timeline.BAD: constants.COLOR_ERROR,
    timeline.CHANGED: constants.COLOR_CHANGED,
    timeline.PLAIN: None,
    timeline.HEAD: constants.COLOR_HIGHLIGHT,
}
LOCKSTEP = ("linear", "ansible.builtin.linear")
_DEBUG = ("debug", "ansible.builtin.debug")
_ASSERT = ("assert", "ansible.builtin.assert")
_ASKS = ("pause", "ansible.builtin.pause")


def or_default(own: Callable[..., None]) -> Callable[..., None]:
    """Show an event as ``own`` does; as the default callback does with ``-v``, and once anything here has failed."""

    @functools.wraps(own)
    def handle(self: Any, *arguments: Any, **named: Any) -> None:
        self.erase()
        _shorten(arguments[0] if arguments else None)
        if not self.leave_to_default:
            try:
                own(self, *arguments, **named)
            except Exception as error:  # whatever is wrong here, the run and its output go on
                self.give_up(error)
            else:
                return
        getattr(Default, own.__name__)(self, *arguments, **named)

    return handle


def by_default(name: str) -> Callable[..., None]:
    """Show the event ``name`` as the default callback does."""

    @functools.wraps(getattr(Default, name))
    def handle(self: Any, *arguments: Any, **named: Any) -> None:
        self.erase()
        getattr(Default, name)(self, *arguments, **named)

    return handle


class CallbackModule(Default):  # type: ignore[misc] # Ansible ships no types
    """The default callback, with a shorter form for what goes well."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "davit.ec2.timeline"

    def __init__(self) -> None:
        super().__init__()
        self._broken = False
        self._since = time.time()
        self._began: dict[tuple[str, str], float] = {}
        self._running: dict[tuple[str, str], Running] = {}
        self._bounds: dict[str, float] = {}
        self._role, self._role_began, self._role_changed = "", 0.0, 0
        self._steps = self._deploys = False
        self._hosts: list[str] = []
        self._live: LiveLine | None = None

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if self.leave_to_default:
            self._show_all()

    @property
    def leave_to_default(self) -> bool:
        return self._broken or self._display.verbosity > 0

    def _show_all(self) -> None:
        """As the default callback, unless somebody has asked for less."""
        for name in QUIET:
            if self._origins.get(name) == "default":
                self._plugin_options[name] = True

    def give_up(self, error: Exception) -> None:
        """Leave what comes to the default callback."""
        self._broken = True
        if self._live is not None:
            self._live.stop()
        self._show_all()
        self._display.warning(f"The callback davit.ec2.timeline failed ({type(error).__name__}: {error}).")

    def erase(self) -> None:
        if self._live is not None:
            self._live.erase()

    def _say(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._display.display(line.text, color=_COLOURS[line.kind])
        # A log that is looked at while it grows.
        sys.stdout.flush()

    # What begins

    @or_default
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end_role()
        self._play = play
        self._steps = self._deploys = False
        self._hosts = []
        name = timeline.one_line(play.get_name())
        self._say([Line(""), Line(f"{name} [check mode]" if play.check_mode else name, timeline.HEAD)])
        self._begin_live()

    def _begin_live(self) -> None:
        if self._live is None:
            terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
            every = 1.0 if terminal else SILENCE
            self._live = LiveLine(sys.stdout, functools.partial(self._progress, terminal), every, plain=not terminal)
            self._live.start()

    def _progress(self, terminal: bool, columns: int) -> str:
        now = time.time()
        lasting = [t for t in list(self._running.values()) if now - t.began >= (LONG if terminal else SILENCE / 2)]
        return timeline.progress(lasting, now, self._since, columns if terminal else 160)

    @or_default
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._enter_role(task)
        super().v2_playbook_on_task_start(task, is_conditional)

    @or_default
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._enter_role(task)
        super().v2_playbook_on_handler_task_start(task)

    def _enter_role(self, task: Any) -> None:
        if self._play.strategy in LOCKSTEP:
            # All hosts are done with what ran before, also with what tells no end.
            self._running.clear()
        role = task._role.get_name() if task._role else ""
        if role != self._role:
            self._end_role()
            self._role, self._role_began = role, time.time()

    def _end_role(self) -> None:
        """A role's line, unless its phases have been told one by one."""
        if self._role and not self._steps:
            took = time.time() - self._role_began
            name = self._role.rpartition(".")[2]
            changed, check = self._role_changed, bool(self._play.check_mode)
            self._say([timeline.role_line(name, self._role_began, took, self._since, changed, check)])
        self._role, self._role_changed = "", 0

    @or_default
    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        name, now = host.get_name(), time.time()
        if name not in self._hosts:
            self._hosts.append(name)
        self._began[name, task._uuid] = now
        if task.action not in _ASKS:
            step = str(task.action).removeprefix(report.PREFIX)
            what = report.PHASES.get(step) or timeline.one_line(task.get_name().rpartition(" : ")[2])
            self._running[name, task._uuid] = Running(what, name, now, *self._bound(step, task))

    def _bound(self, step: str, task: Any) -> tuple[float | None, bool]:
        """How long a task may take, as far as it is known before it has been templated."""
        known = self._bounds.get(step)
        if known is not None:
            return known, step == "release_switch"
        limit = task.args.get("timeout")
        return (float(limit), False) if isinstance(limit, (int, float)) else (None, False)

    # What ends

    def _ended(self, result: Any) -> report.Step | None:
        """Take note of an end; the step of a release if it was one."""
        name, uuid = result.host.get_name(), result.task._uuid
        self._running.pop((name, uuid), None)
        began, now = self._began.pop((name, uuid), time.time()), time.time()
        action = str(result.task.resolved_action or result.task.action)
        step = report.Step(name, action, began, now, False, result.result)
        if step.name not in report.PHASES or (result.task.loop and "results" in result.result):
            return None
        self._steps = True
        self._deploys = self._deploys or step.name == "release_preflight"
        if not result.result.get("failed"):
            self._learn(step.name, result.task.args)
        return step

    def _learn(self, step: str, arguments: Any) -> None:
        """What a step was given tells how long the later ones may take."""
        if step == "release_preflight":
            # Still templates when one of the arguments could not be filled in.
            settings, gate = (
                given if isinstance(given := arguments.get(name), Mapping) else {} for name in ("settings", "gate")
            )
            bound = float(settings.get("start_timeout") or 120) + pace.judged_seconds(gate)
            self._bounds = {"release_start": bound}
            soak = float(settings.get("soak_seconds") or 0)
            if soak:
                self._bounds["release_switch"] = soak

    def _width(self) -> int:
        return max((len(name) for name in self._hosts), default=0)

    @or_default
    def v2_runner_on_ok(self, result: Any) -> None:
        step = self._ended(result)
        self._role_changed += bool(result.result.get("changed"))
        if step is not None and (not result.task.check_mode or step.name == "release_preflight"):
            lines: list[Line] | None = timeline.step_lines(step, self._since, self._width(), reverting=self._deploys)
        elif self.get_option("display_ok_hosts"):
            lines = None
        else:
            lines = self._told(result)
        if lines is None:
            self._shown("v2_runner_on_ok", result)
        else:
            self._handle_warnings_and_exception(result)
            self._say(lines)

    def _told(self, result: Any) -> list[Line] | None:
        """What a play says, or that a task changed something; None for what is to be shown in full."""
        task, told = result.task, result.result
        if task.action in _DEBUG or (task.action in _ASSERT and "success_msg" in task.args):
            if "msg" not in told or task.loop:
                return None
            return timeline.message_lines(told["msg"], self.host_label(result), len(self._hosts) > 1)
        if not told.get("changed"):
            return []
        entries = told.get("results") if task.loop else None
        items = [str(self._get_item_label(one)) for one in entries or [] if one.get("changed")]
        role, _colon, name = task.get_name().rpartition(" : ")
        return [timeline.change_line(self.host_label(result), role, name, items, bool(task.check_mode))]

    def _shown(self, event: str, result: Any) -> None:
        """As the default callback does, also when it is well and has changed nothing."""
        before = self._plugin_options["display_ok_hosts"]
        self._plugin_options["display_ok_hosts"] = True
        try:
            getattr(Default, event)(self, result)
        finally:
            self._plugin_options["display_ok_hosts"] = before

    @or_default
    def v2_runner_item_on_ok(self, result: Any) -> None:
        """The items of a loop are in its task's own line, but for what a debug says."""
        if self.get_option("display_ok_hosts") or result.task.action in _DEBUG:
            self._shown("v2_runner_item_on_ok", result)
        else:
            self._handle_warnings_and_exception(result)

    @or_default
    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result)
        super().v2_runner_on_skipped(result)

    @or_default
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        step = self._ended(result)
        told = step is not None and _tells_itself(result.result)
        if step is not None and told:
            self._handle_warnings(result.result)
            failed = replace(step, failed=True)
            self._say(timeline.step_lines(failed, self._since, self._width(), reverting=self._deploys))
        # The role tells what a failed step means when all hosts have gone back; any other failure is told in full.
        if not (told and ignore_errors):
            super().v2_runner_on_failed(result, ignore_errors)

    @or_default
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._ended(result)
        super().v2_runner_on_unreachable(result)
        if not result.task.ignore_unreachable:
            what = "To do: playbooks/doctor.yml looks at the way to the host, and says what is wrong with it."
            self._say([Line(what, timeline.BAD)])

    @or_default
    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end_role()
        if self._live is not None:
            self._live.stop()
        if stats.failures or stats.dark:
            said = "To do: follow the message above. -v shows every task, playbooks/status.yml what is live."
            self._say([Line(""), Line(said, timeline.BAD)])
        super().v2_playbook_on_stats(stats)

    v2_on_file_diff = by_default("v2_on_file_diff")
    v2_runner_item_on_failed = by_default("v2_runner_item_on_failed")
    v2_runner_item_on_skipped = by_default("v2_runner_item_on_skipped")
    v2_runner_retry = by_default("v2_runner_retry")
    v2_playbook_on_no_hosts_matched = by_default("v2_playbook_on_no_hosts_matched")
    v2_playbook_on_no_hosts_remaining = by_default("v2_playbook_on_no_hosts_remaining")


def _shorten(event: Any) -> None:
    """Leave the probe's series to the report: in full output it would be a line for each number. What is changed is
    this callback's own copy."""
    ended = event.result.get("ended") if isinstance(getattr(event, "result", None), dict) else None
    if isinstance(ended, dict) and isinstance(ended.get("probe"), dict):
        event.result["ended"] = {**ended, "probe": {k: v for k, v in ended["probe"].items() if k != "series"}}


def _tells_itself(result: Any) -> bool:
    """Whether a module ended by itself with a message, and did not crash."""
    return bool(str(result.get("msg", "")).strip()) and not {"module_stdout", "module_stderr"} & set(result)
