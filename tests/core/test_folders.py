"""Folders that are replaced at once, where the system cannot exchange names too."""

import os
import re
from pathlib import Path

import pytest

from snnmap.core import folders
from snnmap.core.errors import InputError
from snnmap.core.folders import replace_folder


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_and_others_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(folders, "_exchange_at_once", lambda *_: False)
        monkeypatch.setattr(os, "link", lambda *_, **__: os.fstat(-1))
    replace_folder(tmp_path / "new" / "a", {"x": b"1", "deep/y": b"2"}, lambda _: True)
    (tmp_path / "new" / "a" / "mine").write_text("mine")
    replace_folder(tmp_path / "new" / "a", {"x": b"3"}, lambda name: name == "deep/y")
    assert names_below(tmp_path) == {"new/a/x", "new/a/mine"}
    assert (tmp_path / "new" / "a" / "x").read_bytes() == b"3"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_what_was_killed_between_two_renames_is_brought_back(tmp_path: Path) -> None:
    (tmp_path / ".a.123.old").mkdir()
    (tmp_path / ".a.123.old" / "mine").write_text("mine")
    (tmp_path / ".a.456.tmp").mkdir()
    (tmp_path / ".b.456.tmp").mkdir()
    replace_folder(tmp_path / "a", {"x": b"1"}, lambda _: False)
    assert names_below(tmp_path) == {"a/x", "a/mine"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".b.456.tmp"}


def test_a_rename_that_fails_half_way_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_folder(tmp_path / "a", {"x": b"old"}, lambda _: True)
    monkeypatch.setattr(folders, "_exchange_at_once", lambda *_: False)
    rename = Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError("broken")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(OSError, match="broken"):
        replace_folder(tmp_path / "a", {"x": b"new"}, lambda _: True)
    assert {path.name: (path / "x").read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_folder_full_of_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MOST_KEPT", 2)
    (tmp_path / "a").mkdir()
    for name in "xyz":
        (tmp_path / "a" / name).write_text("mine")
    with pytest.raises(InputError, match="3 files"):
        replace_folder(tmp_path / "a", {"new": b"1"}, lambda _: False)
    assert names_below(tmp_path) == {"a/x", "a/y", "a/z"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_s_folder_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    replace_folder(tmp_path / "link", {"x": b"1"}, lambda _: True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("inner", ["", "inner"])
def test_a_file_where_the_folder_is_to_be_is_refused_and_stays(tmp_path: Path, inner: str) -> None:
    taken = tmp_path / "build"
    taken.write_text("mine")
    with pytest.raises(InputError, match=rf"(?s)a file lies.*{re.escape(str(taken))}.*another name"):
        replace_folder(taken / inner, {"a": b""}, lambda _: True)
    assert taken.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [taken]
