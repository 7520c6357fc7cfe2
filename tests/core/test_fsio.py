"""Files are whole or absent, one or many."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnmap.core import fsio

NAMES = st.lists(st.text("abc.-_é ", min_size=1, max_size=12).filter(lambda name: name.strip(".")), min_size=1, max_size=3)
DIES_WRITING = """
import os, signal, sys
from pathlib import Path
from snnmap.core import fsio
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
fsio.write_file(Path(sys.argv[1]), b"new" * 1000)
"""


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    fsio.write_files(tmp_path / "a" / "b", {"one.bin": b"1", "deep/two.bin": b"22"})
    assert (tmp_path / "a" / "b" / "deep" / "two.bin").read_bytes() == b"22"
    assert names_below(tmp_path) == {"a", "a/b", "a/b/one.bin", "a/b/deep", "a/b/deep/two.bin"}


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES.map("/".join).filter(lambda name: len(name) < 40), st.binary(max_size=200), max_size=5))
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    parents = {str(parent) for name in files for parent in Path(name).parents}
    files = {name: data for name, data in files.items() if str(Path(name)) not in parents}
    with tempfile.TemporaryDirectory() as folder:
        fsio.write_files(Path(folder), files)
        found = {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    assert found == {str(Path(name)): data for name, data in files.items()}


def test_one_file_is_written_and_replaced(tmp_path: Path) -> None:
    for data in (b"first, and longer", b"second", b""):
        fsio.write_file(tmp_path / "new" / "folder" / "file", data)
        assert (tmp_path / "new" / "folder" / "file").read_bytes() == data
    assert names_below(tmp_path) == {"new", "new/folder", "new/folder/file"}


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    fsio.write_files(tmp_path, {"a": b"1"})
    fsio.write_files(tmp_path, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"mine": b"mine", "a": b"1"}


def test_a_reader_sees_old_or_new_but_nothing_between(tmp_path: Path) -> None:
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    fsio.write_file(tmp_path / "file", versions[0])
    done, seen = threading.Event(), set[bytes]()

    def read() -> None:
        while not done.is_set():
            seen.add((tmp_path / "file").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(60):
        fsio.write_file(tmp_path / "file", versions[k % 2])
    done.set()
    reader.join(10)
    assert seen <= set(versions)
    assert seen


def test_data_are_on_disk_before_any_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def record_sync(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync")
        sync(handle)

    def record_replace(source: str, target: str) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    fsio.write_files(tmp_path, {"a": b"1", "b": b"2", "deep/c": b"3"})
    assert calls == ["sync"] * 3 + ["rename"] * 3 + ["folder"] * 2


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    command = [sys.executable, "-c", DIES_WRITING, str(tmp_path / "file")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"old"
    fsio.write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        fsio.write_file(tmp_path / "file", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("calls", range(3))
def test_a_failing_write_leaves_old_files_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    fsio.write_files(tmp_path, {"a": b"old", "b": b"old", "c": b"old"})
    left = iter(range(calls))

    def full(handle: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        fsio.write_files(tmp_path, {"a": b"new", "b": b"new", "c": b"new", "more/d": b"new"})
    assert names_below(tmp_path) == {"a", "b", "c"}
    assert {(tmp_path / name).read_bytes() for name in "abc"} == {b"old"}


def test_a_write_that_fails_halfway_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")
    handles: list[int] = []

    def open_full(handle: int, mode: str) -> object:
        handles.append(handle)
        os.write(handle, b"ne")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fdopen", open_full)
    with pytest.raises(OSError, match="full"):
        fsio.write_file(tmp_path / "file", b"new")
    monkeypatch.undo()
    for handle in handles:
        os.close(handle)
    assert len(handles) == 1
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names_below(tmp_path) == {"file"}


def test_a_name_that_cannot_be_changed_leaves_old_files_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsio.write_files(tmp_path, {"a": b"old", "b": b"old"})

    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", full)
    for names in ("ab", "abc", "c"):
        with pytest.raises(OSError, match="full"):
            fsio.write_files(tmp_path, dict.fromkeys(names, b"new"))
    assert names_below(tmp_path) == {"a", "b"}
    assert {(tmp_path / name).read_bytes() for name in "ab"} == {b"old"}


@pytest.mark.parametrize("place", ["file/new", "file/new/deeper", "a/../file/new"])
def test_a_file_where_a_folder_belongs(tmp_path: Path, place: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(NotADirectoryError):
        fsio.write_file(tmp_path / place, b"new")
    with pytest.raises(NotADirectoryError):
        fsio.write_files(tmp_path / place, {"x": b"new"})
    with pytest.raises(NotADirectoryError):
        fsio.write_files(tmp_path, {"a/x": b"new", "file/x": b"new"})
    assert (tmp_path / "file").read_bytes() == b"in the way"
    assert names_below(tmp_path) == {"a", "file"}


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        fsio.write_file(tmp_path / "folder", b"new")
    assert names_below(tmp_path) == {"folder"}


def test_folders_made_for_a_failing_write_are_removed_but_older_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    monkeypatch.setattr(os, "fsync", lambda _: os.fstat(-1))
    with pytest.raises(OSError, match="Bad file descriptor"):
        fsio.write_files(tmp_path / "old" / "new", {"a": b"1", "deep/er/b": b"2"})
    assert names_below(tmp_path) == {"old"}


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_device_is_written_to_and_stays_one() -> None:
    fsio.write_file(Path("/dev/null"), b"gone")
    with pytest.raises(OSError, match="No space left on device"):
        fsio.write_file(Path("/dev/full"), b"x")
    assert Path("/dev/null").is_char_device()
    assert Path("/dev/full").is_char_device()


def test_a_folder_in_the_way_is_found_before_anything_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(IsADirectoryError):
        fsio.write_files(tmp_path, {"a": b"new", "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"


def test_interruption_cleans_up_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fsio.write_files(tmp_path / "new", {"a": b"x"})
    assert names_below(tmp_path) == set()


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    fsio.write_file(pipe, b"through")
    reader.join(5)
    assert received == [b"through"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("with_links", [True, False])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_later_name_that_cannot_be_changed_brings_the_old_files_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int, with_links: bool
) -> None:
    fsio.write_files(tmp_path, {"a": b"old a", "c": b"old c"})
    replace, left = os.replace, iter(range(calls))

    def fail_once(source: Path, target: Path) -> None:
        if next(left, None) is None and Path(source).suffix == ".tmp":
            raise OSError(errno.EIO, "broken")
        replace(source, target)

    def refuse_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "replace", fail_once)
    if not with_links:
        monkeypatch.setattr(os, "link", refuse_links)
    with pytest.raises(OSError, match="broken"):
        fsio.write_files(tmp_path, {"a": b"new", "b": b"new", "c": b"new", "more/d": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old a", "c": b"old c"}


def test_a_backup_that_cannot_be_made_leaves_old_files_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsio.write_files(tmp_path, {"a": b"old", "b": b"old"})

    def copy_half(source: Path, target: Path) -> None:
        target.write_bytes(b"ol")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", lambda *_, **__: os.fstat(-1))
    monkeypatch.setattr("shutil.copy2", copy_half)
    with pytest.raises(OSError, match="full"):
        fsio.write_files(tmp_path, {"a": b"new", "b": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_no_backup_is_left(tmp_path: Path) -> None:
    for data in (b"1", b"2"):
        fsio.write_files(tmp_path, dict.fromkeys("abc", data))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys("abc", data)


def test_a_folder_that_another_process_makes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def lose_the_race(self: Path, *arguments: object, **options: object) -> None:
        mkdir(self)
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", lose_the_race)
    fsio.write_file(tmp_path / "new" / "file", b"x")
    assert (tmp_path / "new" / "file").read_bytes() == b"x"


def test_folders_are_removed_where_a_deeper_one_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        fsio.write_files(tmp_path / "new", {"a/b": b"x", f"z/{'n' * 300}/c": b"x"})
    assert names_below(tmp_path) == set()


@pytest.mark.parametrize("old", [b"old", None])
def test_a_link_s_target_is_written(tmp_path: Path, old: bytes | None) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "file", tmp_path / "links" / "file"
    link.symlink_to(Path("..") / "data" / "file")
    if old is not None:
        target.write_bytes(old)
    for write in (lambda: fsio.write_file(link, b"one"), lambda: fsio.write_files(link.parent, {"file": b"two", "b": b"2"})):
        write()
        assert link.is_symlink()
    assert target.read_bytes() == b"two"
    assert names_below(tmp_path) == {"data", "data/file", "links", "links/file", "links/b"}


def test_a_device_among_several_files_stays_one(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("/dev/null")
    fsio.write_files(tmp_path, {"a": b"1", "gone": b"2"})
    assert (tmp_path / "gone").is_char_device()
    assert names_below(tmp_path) == {"a", "gone"}
