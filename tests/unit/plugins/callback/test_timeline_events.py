"""The callback timeline over the events of a run: to a pipe, to a terminal, and when it breaks."""

from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.davit.ec2.plugins.callback import timeline
from ansible_collections.davit.ec2.plugins.plugin_utils import timeline as lines
from ansible_collections.davit.ec2.plugins.plugin_utils.live_line import LiveLine

OPTIONS = {
    "display_ok_hosts": False,
    "display_skipped_hosts": False,
    "display_included_hosts": False,
    "display_failed_stderr": False,
    "show_task_path_on_failure": False,
    "check_mode_markers": False,
    "show_custom_stats": False,
    "show_per_host_start": False,
    "result_format": "yaml",
    "pretty_results": None,
    "result_indentation": 4,
    "result_yaml_line_width": "default",
}


class Screen(io.StringIO):
    """A stream that remembers, and may say that it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Run:
    """A play over hosts, whose events the callback is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, terminal: bool = False, verbosity: int = 0) -> None:
        self.screen = Screen(terminal)
        self.warned: list[str] = []
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", self.screen)
        self.plugin = timeline.CallbackModule()
        self.plugin._display = SimpleNamespace(
            verbosity=verbosity,
            display=lambda text, log_only=False, **_: None if log_only else self.screen.write(f"{text}\n"),
            banner=lambda text, **_: self.screen.write(f"\n{text} ***\n"),
            warning=self.warned.append,
            _warning=lambda warning: self.warned.append(str(warning)),
            _error=lambda _error, **_more: None,
            columns=100,
        )
        self.plugin._plugin_options = dict(OPTIONS)
        self.plugin._origins = dict.fromkeys(OPTIONS, "default")
        if verbosity:
            self.plugin._show_all()
        # Nothing is to be drawn by a thread: a test draws when it wants to see something.
        monkeypatch.setattr(LiveLine, "start", lambda _self: None)
        self.play = SimpleNamespace(get_name=lambda: "Deploy the release", check_mode=False, strategy="linear")
        self.plugin.v2_playbook_on_play_start(self.play)

    @property
    def live(self) -> LiveLine:
        assert self.plugin._live is not None
        return self.plugin._live

    def begin(self, name: str, action: str, *hosts: str, role: str = "", check: bool = False, **arguments: Any) -> Any:
        task = SimpleNamespace(
            _uuid=name,
            _role=SimpleNamespace(get_name=lambda: role) if role else None,
            get_name=lambda: f"{role} : {name}" if role else name,
            action=action,
            resolved_action=action,
            args=arguments,
            loop=None,
            check_mode=check,
            no_log=False,
            delegate_to=None,
            ignore_unreachable=False,
            get_path=lambda: "",
        )
        self.plugin.v2_playbook_on_task_start(task, False)
        for host in hosts or ("web-1",):
            self.plugin.v2_runner_on_start(SimpleNamespace(get_name=lambda host=host: host), task)
        return task

    def end(self, task: Any, how: str, result: dict[str, Any], host: str = "web-1", **more: Any) -> None:
        given = SimpleNamespace(
            host=SimpleNamespace(get_name=lambda: host),
            task=task,
            result=result,
            exception=None,
            warnings=[],
            task_name="",
        )
        getattr(self.plugin, f"v2_runner_on_{how}")(given, **more)

    def task(self, name: str, action: str, how: str, result: dict[str, Any], **more: Any) -> None:
        self.end(self.begin(name, action, **more), how, result)

    def stats(self, *, failed: int = 0) -> str:
        numbers = {
            "ok": 3,
            "changed": 1,
            "unreachable": 0,
            "failures": failed,
            "skipped": 0,
            "rescued": 0,
            "ignored": 0,
        }
        stats = SimpleNamespace(processed={"web-1": 1}, summarize=lambda _host: numbers, dark={}, custom={})
        stats.failures = {"web-1": failed} if failed else {}
        self.plugin.v2_playbook_on_stats(stats)
        return self.screen.getvalue()


@pytest.fixture(autouse=True)
def command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.callback.default.context.CLIARGS", {"check": False})


def deploy(run: Run) -> None:
    """The events of a good deploy."""
    run.task("Read", "davit.ec2.release_status", "ok", {"apps": {}, "changed": False}, role="davit.ec2.compose_release")
    settings = {"start_timeout": 120, "soak_seconds": 30}
    run.task(
        "Check", "davit.ec2.release_preflight", "ok", {"version": "v2", "live": "r1", "changed": True},
        role="davit.ec2.compose_release", app="shop", settings=settings, gate={"timeout": 60},
    )  # fmt: skip
    run.task("Log in", "davit.ec2.registry_login", "skipped", {"skipped": True}, role="davit.ec2.registry_login")
    run.task("Fetch", "davit.ec2.release_fetch", "ok", {"release": "r2"}, role="davit.ec2.compose_release")
    run.task("Tell", "ansible.builtin.debug", "ok", {"msg": "shop: v2 is live as r2.", "_ansible_verbose_always": True})


def test_a_deploy_is_its_phases_what_it_says_and_the_recap(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    deploy(run)
    shown = [line for line in run.stats().splitlines() if line]
    assert shown[0] == "Deploy the release"
    assert [line.split()[3] for line in shown[1:3]] == ["preflight", "fetch"]
    assert shown[3] == "shop: v2 is live as r2."
    assert shown[4] == "PLAY RECAP ***"
    assert shown[5].startswith("web-1                      : ok=3    changed=1    unreachable=0    failed=0")
    assert len(shown) == 6
    assert "\x1b" not in run.screen.getvalue()


def test_roles_with_their_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.task("Look", "ansible.builtin.stat", "ok", {"changed": False}, role="davit.ec2.edge")
    run.task("Write", "ansible.builtin.template", "ok", {"changed": True}, role="davit.ec2.edge")
    run.task("Leave", "ansible.builtin.file", "skipped", {"skipped": True}, role="davit.ec2.monitoring")
    run.play.check_mode = True
    run.task("Try", "ansible.builtin.file", "ok", {"changed": True}, role="davit.ec2.monitoring", check=True)
    shown = [line.split() for line in run.stats().splitlines() if line]
    assert shown[1] == ["changed", "web-1", "davit.ec2.edge", ":", "Write"]
    assert (shown[2][1], shown[2][-2:]) == ("edge", ["1", "changed"])
    assert shown[3][:3] == ["would", "change", "web-1"]
    assert (shown[4][1], shown[4][-2:]) == ("monitoring", ["would", "change"])
    assert len(shown) == 7


def test_a_loop_is_one_line_with_the_items_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    task = run.begin("Open", "ansible.builtin.file")
    task.loop = "{{ x }}"
    items = [{"item": "a", "changed": True}, {"item": "b", "changed": False}, {"item": "s3cret", "changed": True}]
    items[2]["_ansible_no_log"] = True
    run.end(task, "ok", {"changed": True, "results": items})
    assert "Open (a, (censored due to no_log))" in run.screen.getvalue()
    assert "s3cret" not in run.screen.getvalue()


def test_an_assertion_says_what_it_was_given_to_say_when_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.task("Silent", "ansible.builtin.assert", "ok", {"msg": "All assertions passed"}, that="x")
    run.task("Say", "ansible.builtin.assert", "ok", {"msg": "Every drill was caught."}, that="x", success_msg="{{ y }}")
    shown = [line for line in run.stats().splitlines() if line]
    assert shown[1] == "Every drill was caught."
    assert "All assertions passed" not in run.screen.getvalue()


def test_what_a_debug_shows_that_is_no_text_is_shown_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.task("Show", "ansible.builtin.debug", "ok", {"msg": {"a": ["b"]}, "_ansible_verbose_always": True})
    assert "ok: [web-1] =>" in run.screen.getvalue()
    assert run.plugin.get_option("display_ok_hosts") is False


def test_a_failed_step_is_told_once_and_what_follows_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    task = run.begin("Start", "davit.ec2.release_start", role="davit.ec2.compose_release")
    run.end(task, "failed", {"msg": "fail: never ready", "failed": True}, ignore_errors=True)
    assert run.screen.getvalue().count("never ready") == 1
    assert "fatal" not in run.screen.getvalue()
    run.end(run.begin("Fail", "ansible.builtin.fail"), "failed", {"msg": "shop: never ready\nweb-1: live: r1"})
    shown = run.stats(failed=1)
    assert "fatal: [web-1]: FAILED! =>" in shown
    assert "web-1: live: r1" in shown
    assert "To do:" in shown


def test_a_module_that_crashed_is_shown_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    crash = {"msg": "Module failed", "module_stderr": "Traceback: boom", "module_stdout": "", "rc": 1}
    run.end(run.begin("Start", "davit.ec2.release_start"), "failed", crash, ignore_errors=True)
    assert "Traceback: boom" in run.screen.getvalue()
    assert "...ignoring" in run.screen.getvalue()


def test_an_unreachable_host_has_its_message_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.end(
        run.begin("Ping", "ansible.builtin.ping"), "unreachable", {"msg": "Connection timed out", "unreachable": True}
    )
    assert "UNREACHABLE! =>" in run.screen.getvalue()
    assert "Connection timed out" in run.screen.getvalue()
    assert "playbooks/doctor.yml" in run.screen.getvalue()


def test_a_diff_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    task = run.begin("Write", "ansible.builtin.copy")
    diff = {"before": "a\n", "after": "b\n", "before_header": "x", "after_header": "y"}
    given = SimpleNamespace(task=task, result={"changed": True, "diff": diff})
    run.plugin.v2_on_file_diff(given)
    assert "-a" in run.screen.getvalue()
    assert "+b" in run.screen.getvalue()


def test_with_v_all_is_as_in_the_default_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, verbosity=1)
    deploy(run)
    shown = run.stats()
    assert "PLAY [Deploy the release] ***" in shown
    assert "TASK [davit.ec2.compose_release : Fetch] ***" in shown
    assert "ok: [web-1] =>" in shown
    assert "skipping: [web-1]" in shown
    assert "✓" not in shown


@pytest.mark.parametrize("verbosity", [0, 1])
def test_the_series_of_the_probe_is_left_to_the_report(monkeypatch: pytest.MonkeyPatch, verbosity: int) -> None:
    run = Run(monkeypatch, verbosity=verbosity)
    ended = {"result": "failed", "live": "r1", "probe": {"requests": 4711, "series": {"requests": [815]}}}
    run.end(run.begin("Back", "davit.ec2.rollback"), "failed", {"msg": "no way back", "ended": ended})
    assert "4711" in run.screen.getvalue()
    assert "815" not in run.screen.getvalue()
    assert "series" in ended["probe"], "the others' copy is theirs"


@pytest.mark.parametrize("given", ["{{ __settings }}", '{"timeout": 5}', None, {"timeout": "{{ x }}"}], ids=str)
def test_a_step_whose_arguments_could_not_be_filled_in_is_told_as_any_other(
    monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    run = Run(monkeypatch)
    task = run.begin("Check", "davit.ec2.release_preflight", app="{{ app }}", settings=given, gate=given)
    run.end(task, "failed", {"msg": "The Compose file cannot be read", "failed": True}, ignore_errors=True)
    assert run.warned == []
    assert "✗ preflight" in run.screen.getvalue()
    assert "The Compose file cannot be read" in run.screen.getvalue()


def test_a_failure_of_the_callback_leaves_the_run_to_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.task("Check", "davit.ec2.release_preflight", "ok", {"version": "v2", "live": "r1"})

    def boom(*_: Any, **__: Any) -> Any:
        raise KeyError("boom")

    monkeypatch.setattr(lines, "step_lines", boom)
    run.task("Fetch", "davit.ec2.release_fetch", "ok", {"release": "r2"})
    run.task("Look", "ansible.builtin.stat", "ok", {"changed": False})
    assert run.warned == ["The callback davit.ec2.timeline failed (KeyError: 'boom')."]
    shown = run.stats()
    assert "TASK [Fetch] ***\nok: [web-1]" in shown
    assert "TASK [Look] ***\nok: [web-1]" in shown
    assert "PLAY RECAP ***" in shown


def test_what_lasts_is_told_on_a_terminal_with_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, terminal=True)
    deploy(run)
    live = run.live
    live.draw()
    before = run.screen.getvalue()
    run.begin("Switch", "davit.ec2.release_switch", role="davit.ec2.compose_release")
    live.draw()
    assert run.screen.getvalue() == before, "what is quick is not told"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12)
    live.draw()
    drawn = run.screen.getvalue().removeprefix(before)
    assert drawn.startswith("\r\x1b[2K")
    assert drawn.endswith("web-1  … switch and soak  12 of about 30 s\r")
    # Whatever is written next finds the line empty.
    run.plugin.v2_runner_retry(SimpleNamespace(
        task_name="x", host=SimpleNamespace(get_name=lambda: "web-1"), task=SimpleNamespace(delegate_to=None),
        result={"retries": 3, "attempts": 1},
    ))  # fmt: skip
    assert "\r\x1b[2KFAILED - RETRYING" in run.screen.getvalue()


def test_where_nothing_can_be_written_over_a_line_is_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.begin("Fetch", "davit.ec2.release_fetch")
    now = time.time()
    run.live.draw()
    assert "…" not in run.screen.getvalue()
    monkeypatch.setattr(time, "time", lambda: now + 45)
    run.live.draw()
    assert run.screen.getvalue().endswith("web-1  … fetch  45 s\n")
    assert run.live._every == timeline.SILENCE


def test_a_terminal_that_is_gone_ends_the_live_line_and_nothing_else() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

    line = LiveLine(Gone(), lambda _columns: "x", 0.01)
    line.start()
    assert line._thread is not None
    line._thread.join(10)
    assert not line._thread.is_alive()
    line.stop()


def test_the_thread_draws_until_it_is_stopped() -> None:
    screen = Screen(True)
    line = LiveLine(screen, lambda columns: f"{columns > 0}", 0.01)
    line.start()
    end = time.monotonic() + 10
    while "True" not in screen.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    line.stop()
    assert "\r\x1b[2KTrue\r" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K")
