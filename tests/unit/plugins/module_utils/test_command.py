"""Programs that end well, badly, late, or because nobody needs them any more."""

from __future__ import annotations

import itertools
import time

import pytest

from ansible_collections.davit.ec2.plugins.module_utils import command
from ansible_collections.davit.ec2.plugins.module_utils.command import CommandError


def test_its_output_and_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "yes")
    done = command.run(["sh", "-c", 'echo "$LEAK$GIVEN"; cat; echo warned >&2'], environment={"GIVEN": "1"}, stdin="in")
    assert (done.stdout, done.stderr) == ("1\nin", "warned\n")


def test_a_bad_end_has_its_code_and_its_last_words() -> None:
    with pytest.raises(CommandError, match=r"'sh -c echo out; echo one >&2; exit 3 ...' failed: one") as caught:
        command.run(["sh", "-c", "echo out; echo one >&2; exit 3"])
    assert (caught.value.code, caught.value.stdout, caught.value.stderr) == (3, "out\n", "one\n")


def test_a_program_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(CommandError, match=r"not installed on this host. Run playbooks/configure.yml"):
        command.run(["davit-no-such-program"])


@pytest.mark.parametrize("watched", [True, False])
def test_a_program_that_takes_too_long_is_killed(watched: bool) -> None:
    begin = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 0.7 s"):
        command.run(["sleep", "30"], timeout=0.7, hopeless=(lambda: None) if watched else None)
    assert time.monotonic() - begin < 10


def test_a_program_that_has_become_hopeless_is_killed_with_the_reason() -> None:
    looks = itertools.count(1)
    begin = time.monotonic()
    with pytest.raises(CommandError, match=r"^it died$"):
        command.run(["sleep", "30"], timeout=60, hopeless=lambda: "it died" if next(looks) == 2 else None)
    assert time.monotonic() - begin < 10


def test_input_and_output_are_whole() -> None:
    text = "line\n" * 100_000
    assert command.run(["cat"], stdin=text).stdout == text


def test_output_is_whole_however_often_it_is_looked_at() -> None:
    looks = itertools.count()
    script = "seq 100000; sleep 1.3; echo end"
    done = command.run(["sh", "-c", script], hopeless=lambda: f"{next(looks)}"[:0])
    assert done.stdout.splitlines() == [*(str(number) for number in range(1, 100_001)), "end"]
    assert next(looks) >= 2
