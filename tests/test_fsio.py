"""Files are whole or absent, one or many."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from snnmap import fsio


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_files_are_written_with_their_folders(tmp_path: Path) -> None:
    fsio.write_files(tmp_path / "a" / "b", {"one.bin": b"1", "deep/two.bin": b"22"})
    assert (tmp_path / "a" / "b" / "deep" / "two.bin").read_bytes() == b"22"
    assert names_below(tmp_path) == {"a", "a/b", "a/b/one.bin", "a/b/deep", "a/b/deep/two.bin"}


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
