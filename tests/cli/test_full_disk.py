"""Where a file cannot be written: the exit code says so, old files stay whole and nothing new is left behind."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Result, Run
from rule_cases import chain

from snnmap.network import save_network

FULL = Path("/dev/full")
needs_dev_full = pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")

SMALL_FILES = """
import resource, sys
from snnmap.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
main(sys.argv[1:])
"""
DIES_WRITING = """
import os, signal, sys
from snnmap.cli import main
left, sync = iter(range(5)), os.fsync
os.fsync = lambda handle: sync(handle) if next(left, None) is not None else os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def require_refusal(result: Result, *parts: str) -> None:
    assert result.code == 2
    assert "snnmap: a file cannot be read or written: " in result.err
    assert "fix: check path, permissions and free space" in result.err
    assert "Traceback" not in result.err
    assert [part for part in parts if part not in result.err] == []


def run_script(script: str, *arguments: object) -> Result:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return Result(finished.returncode, finished.stdout, finished.stderr)


def fail_after(count: int, function: Callable[..., object]) -> Callable[..., object]:
    """Stand in for a disk that is full after some calls."""
    calls = iter(range(count))

    def call(*arguments: object) -> object:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some file")
        return function(*arguments)

    return call


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """A network that builds to files of the same names as the old build's, all with other content."""
    save_network(replace(chain(3, 6, 4, 2), name="chain"), tmp_path / "other.json")
    return tmp_path / "other.json"


@pytest.mark.parametrize("place", ["file", "file/out", "file/a/b"])
def test_a_build_below_a_file(run: Run, model: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / place)
    assert (result.code, "Traceback" in result.err, str(tmp_path / "file") in result.err) == (2, False, True)
    assert contents(tmp_path) == {"file": b"in the way", "model.json": model.read_bytes()}


@pytest.mark.parametrize("place", ["file/out", "file/a/b", "folder"])
def test_every_verb_that_writes_one_file(run: Run, bitstream: Path, raster: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    before = contents(tmp_path)
    for command in (
        ("disasm", bitstream),
        ("asm", bitstream.with_suffix(".txt")),
        ("simulate", bitstream, "-i", raster),
    ):
        require_refusal(run(*command, "-o", tmp_path / place), "directory", f"where: {tmp_path}/{place.partition('/')[0]}")
    assert contents(tmp_path) == before
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize("count", [0, 3, 9])
def test_a_full_disk_leaves_nothing(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(os, "fsync", fail_after(count, os.fsync))
    require_refusal(run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "out"), "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize(("name", "count"), [("fsync", 0), ("fsync", 4), ("replace", 0)])
def test_a_full_disk_keeps_the_old_build(
    run: Run, bitstream: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    before = contents(bitstream.parent)
    monkeypatch.setattr(os, name, fail_after(count, getattr(os, name)))
    require_refusal(run("build", other_model, "--chip", "xylo-audio-3", "-o", bitstream.parent), "No space left on device")
    assert contents(bitstream.parent) == before
    monkeypatch.undo()
    assert run("build", other_model, "--chip", "xylo-audio-3", "-o", bitstream.parent).code == 0
    after = contents(bitstream.parent)
    assert set(after) == set(before)
    assert after["chain.bin"] != before["chain.bin"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(
    run: Run, bitstream: Path, raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr(os, name, fail_after(0, getattr(os, name)))
    before = contents(tmp_path)
    for command in (
        ("disasm", bitstream),
        ("asm", bitstream.with_suffix(".txt")),
        ("simulate", bitstream, "-i", raster),
    ):
        require_refusal(run(*command, "-o", tmp_path / "old"), "No space left on device")
    assert contents(tmp_path) == before


def test_a_write_that_the_system_cuts_short(bitstream: Path, other_model: Path) -> None:
    before = contents(bitstream.parent)
    assert max(map(len, before.values())) > 600 > min(map(len, before.values()))
    result = run_script(SMALL_FILES, "build", other_model, "--chip", "xylo-audio-3", "-o", bitstream.parent)
    require_refusal(result, "File too large")
    assert contents(bitstream.parent) == before


def test_a_process_that_is_killed_while_writing(run: Run, bitstream: Path, other_model: Path) -> None:
    before = contents(bitstream.parent)
    build = ("build", other_model, "--chip", "xylo-audio-3", "-o", bitstream.parent)
    assert run_script(DIES_WRITING, *build).code == -signal.SIGKILL
    assert contents(bitstream.parent) == before
    names = {path.name for path in bitstream.parents[1].iterdir()}
    left = {name for name in names if name.startswith(".build.")}
    assert left
    assert run(*build).code == 0
    assert {path.name for path in bitstream.parents[1].iterdir()} == names - left


@needs_dev_full
def test_a_device_that_is_full(run: Run, bitstream: Path, raster: Path) -> None:
    for command in (
        ("disasm", bitstream),
        ("asm", bitstream.with_suffix(".txt")),
        ("simulate", bitstream, "-i", raster),
    ):
        require_refusal(run(*command, "-o", FULL), "No space left on device")
    assert FULL.is_char_device()


@needs_dev_full
def test_data_that_cannot_be_printed(bitstream: Path) -> None:
    with FULL.open("wb") as stdout:
        command = [sys.executable, "-m", "snnmap", "disasm", str(bitstream)]
        finished = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    require_refusal(Result(finished.returncode, "", finished.stderr), "No space left on device")
