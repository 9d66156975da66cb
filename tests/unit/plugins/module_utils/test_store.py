"""Records survive a crash at any moment, and one process at a time works on an app."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.davit.ec2.plugins.module_utils import store
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import AppLayout
from ansible_collections.davit.ec2.plugins.module_utils.plan import DEPLOY, SUCCEEDED, Event

ID, NEXT = "20260131-120000-0a1b2c3-9", "20260130-120000-0a1b2c4-10"


@pytest.fixture
def layout(tmp_path: Path) -> AppLayout:
    made = AppLayout("shop", str(tmp_path))
    store.make_private(made.releases)
    return made


def keep(layout: AppLayout, release_id: str, *files: str) -> None:
    directory = layout.release(release_id)
    directory.mkdir()
    for name in files or (store.RECORD, store.RUNNING):
        (directory / name).write_text("{}")


def test_directories_are_private(layout: AppLayout) -> None:
    assert [p.stat().st_mode & 0o777 for p in (layout.home, layout.releases)] == [0o700] * 2


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_write_replaces_the_file_and_sets_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o666)
    with path.open() as reader:
        store.write(path, b"new", mode)
        assert reader.read() == "old", "who has the old file open keeps the whole of it"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.mkdir()
    with pytest.raises(OSError, match="x"):
        store.write(target, b"new")
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_write_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".deploy.json.ab12_x9z", ".deploy.json.cd34_y8w", ".hidden"))
    for path in (old, young, other):
        path.write_text("{")
    for path in (old, other):
        os.utime(path, (0, 0))
    store.sweep_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, other])


def test_links_lead_to_releases(layout: AppLayout) -> None:
    assert store.pointed(layout.live) is None
    for release_id in (ID, NEXT):
        keep(layout, release_id)
        store.point(layout.live, layout.release(release_id))
        assert store.pointed(layout.live) == release_id
        assert layout.live.resolve() == layout.release(release_id)
    assert str(layout.live.readlink()) == f"releases/{NEXT}", "relative, so that the tree can be moved"
    store.point(layout.live, None)
    store.point(layout.live, None)
    assert store.pointed(layout.live) is None


def test_a_link_left_over_from_a_crash_is_no_obstacle(layout: AppLayout) -> None:
    (layout.home / ".live.new").symlink_to("nowhere")
    store.point(layout.live, layout.release(ID))
    assert store.pointed(layout.live) == ID


def test_only_complete_releases_are_kept_ones(layout: AppLayout) -> None:
    assert store.kept_releases(AppLayout("other", layout.root)) == ()
    keep(layout, NEXT)
    keep(layout, ID)
    keep(layout, "20260131-120000-0a1b2c3-11", store.RECORD)
    keep(layout, "20260131-120000-0a1b2c3-12", store.RUNNING)
    (layout.releases / ".building").mkdir()
    assert store.kept_releases(layout) == (ID, NEXT), "in the order of their numbers"


def test_a_history_grows_by_lines(layout: AppLayout) -> None:
    assert store.read_history(layout) == []
    for number in (1, 2):
        store.append_history(layout, {"sequence": number, "note": "two\nlines"})
    assert [line["sequence"] for line in store.read_history(layout)] == [1, 2]
    assert layout.history.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", ['{"sequence": 2, "act', "{", '{"sequence": 2'])
def test_a_torn_last_line_is_left_out_and_does_not_swallow_the_next(layout: AppLayout, torn: str) -> None:
    store.append_history(layout, {"sequence": 1})
    with layout.history.open("a") as stream:
        stream.write(torn)
    assert store.read_history(layout) == [{"sequence": 1}]
    store.append_history(layout, {"sequence": 3})
    assert store.read_history(layout) == [{"sequence": 1}, {"sequence": 3}]


def test_a_line_that_fits_in_part_is_not_begun(layout: AppLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append_history(layout, {"sequence": 1})
    real, room = os.write, [5, 0]

    def write(handle: int, content: bytes) -> int:
        if content and not room[0]:
            raise OSError(28, "No space left on device")
        return real(handle, content[: room.pop(0)])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        store.append_history(layout, {"sequence": 2})
    monkeypatch.undo()
    assert layout.history.read_text() == '{"sequence": 1}\n'


MIB = 1 << 20


@pytest.mark.parametrize(
    ("free", "kept", "full"),
    [(31 * MIB, False, False), (32 * MIB, True, False), (8 * MIB, False, False), (8 * MIB - 1, False, True)],
)
def test_room_is_set_aside_where_there_is_plenty_and_given_up_on_a_full_disk(
    layout: AppLayout, monkeypatch: pytest.MonkeyPatch, free: int, kept: bool, full: bool
) -> None:
    monkeypatch.setattr(store, "_free", lambda _: free)
    store.keep_reserve(layout)
    assert layout.reserve.exists() is kept
    assert store.is_full(layout) is full
    # One that a killed process had only begun.
    layout.reserve.write_bytes(b"")
    store.keep_reserve(layout)
    if kept:
        seen = layout.reserve.stat()
        assert (seen.st_size, seen.st_blocks * 512 >= store.RESERVE) == (store.RESERVE, True), "no hole"
    store.make_room(layout)
    store.make_room(layout)
    assert layout.reserve.exists() is not full


@pytest.mark.parametrize(("number", "passed"), [(28, True), (122, True), (30, False)])
def test_only_a_full_disk_is_passed_over(number: int, *, passed: bool) -> None:
    with contextlib.nullcontext() if passed else pytest.raises(OSError, match="Read-only"), store.unless_full():
        raise OSError(number, os.strerror(number))


def test_the_state_is_what_the_records_say(layout: AppLayout) -> None:
    keep(layout, ID)
    store.point(layout.live, layout.release(ID))
    store.append_history(layout, {"sequence": 9, "action": DEPLOY, "release": ID, "result": SUCCEEDED})
    seen = store.read_state(layout)
    assert (seen.live, seen.last_good, seen.kept) == (ID, None, (ID,))
    assert seen.history == (Event(9, DEPLOY, ID, None, SUCCEEDED),)


@pytest.mark.parametrize("text", [None, "", '{"id": '])
def test_a_damaged_record_is_named(layout: AppLayout, text: str | None) -> None:
    layout.release(ID).mkdir()
    if text is not None:
        (layout.release(ID) / store.RECORD).write_text(text)
    with pytest.raises(DavitError, match=rf"{ID} cannot be read .*release\.json"):
        store.read_record(layout, ID)


def test_a_record_is_read(layout: AppLayout) -> None:
    layout.release(ID).mkdir()
    store.write_json(layout.release(ID) / store.RECORD, {"id": ID})
    assert store.read_record(layout, ID) == {"id": ID}


def test_a_release_is_published_once(layout: AppLayout) -> None:
    for _attempt in range(2):
        built = layout.releases / ".building"
        built.mkdir()
        (built / store.RECORD).write_text("{}")
        if not layout.release(ID).exists():
            store.publish_release(layout, ID, built)
    with pytest.raises(DavitError, match="never overwritten"):
        store.publish_release(layout, ID, layout.releases / ".building")
    assert (layout.release(ID) / store.RECORD).is_file()


def test_a_lock_is_exclusive_and_goes_with_the_block(layout: AppLayout) -> None:
    with store.locked(layout.lock), pytest.raises(DavitError, match="is locked"), store.locked(layout.lock):
        pytest.fail("two processes had the lock")
    with store.locked(layout.lock):
        assert layout.lock.stat().st_mode & 0o777 == 0o600


HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "w")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_no_lock(layout: AppLayout) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(layout.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DavitError, match="Another process works"), store.locked(layout.lock):
            pytest.fail("the lock of another process was ignored")
        holder.kill()
        holder.wait()
    with store.locked(layout.lock):
        pass


def test_a_copy_is_on_disk_with_its_modes_before_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(str(Path(f"/proc/self/fd/{handle}").readlink())))
    source, target = tmp_path / "conf", tmp_path / "release" / "files" / "conf"
    (source / "sub").mkdir(parents=True)
    for name, mode in (("a", 0o444), ("sub/b", 0o755)):
        (source / name).write_text(name)
        (source / name).chmod(mode)
    store.copy(source, target)
    store.copy(source / "a", tmp_path / "release" / "alone")
    copies = (("files/conf/a", "a", 0o444), ("files/conf/sub/b", "sub/b", 0o755), ("alone", "a", 0o444))
    for name, content, mode in copies:
        made = tmp_path / "release" / name
        assert (made.read_text(), made.stat().st_mode & 0o777) == (content, mode)
    assert {str(path) for path in (target, target / "sub", target.parent, tmp_path / "release")} <= synced
    assert sum("/.a." in name or "/.b." in name or "/.alone." in name for name in synced) == 3


def test_what_compose_reads_has_no_surrogate_pairs(tmp_path: Path) -> None:
    hard = "".join(map(chr, (7, 0x7F, 0x85, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)))
    document = {"a": "é \U0001f600", "b": hard, "c": "\\ud83d\\ude00 \\", "\U00010000": ['"\\']}
    store.write_compose(tmp_path / "x", document)
    text = (tmp_path / "x").read_bytes().decode()
    assert json.loads(text) == yaml.safe_load(text) == document
    assert sorted({c for c in text if c > "~"}) == ["\U00010000", "\U0001f600"]
    store.write_compose(tmp_path / "x", {"b": hard})
    plain = (tmp_path / "x").read_bytes()
    store.write_json(tmp_path / "x", {"b": hard})
    assert plain == (tmp_path / "x").read_bytes(), "a file without such a character stays the same"


def test_json_is_written_in_a_stable_order(tmp_path: Path) -> None:
    store.write_json(tmp_path / "x", {"b": 1, "a": 2})
    assert (tmp_path / "x").read_text() == json.dumps({"a": 2, "b": 1}, indent=2) + "\n"
