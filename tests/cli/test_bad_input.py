"""Bad input ends in a message that says what, where, against what limit and how to fix it; nothing is half-written."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Result, Run
from rule_cases import CLEAN, chain, set_first, with_weights

from snnmap.chip import load_chip
from snnmap.ir import save_network

CATALOG = Path(__import__("snnmap").__file__).parent / "chip" / "catalog"


def require_message(result: Result, code: int, *parts: str) -> None:
    assert result.code == code
    for part in parts:
        assert part in result.err
    assert "fix:" in result.err
    assert "Traceback" not in result.err


def build(run: Run, model: object, folder: Path, chip: object = "xylo-audio-3") -> Result:
    result = run("build", model, "--chip", chip, "-o", folder)
    assert not folder.exists()
    return result


def test_a_model_that_does_not_fit(run: Run, tmp_path: Path) -> None:
    save_network(chain(40, 5, 4, 2), tmp_path / "wide.json")
    result = build(run, tmp_path / "wide.json", tmp_path / "out")
    require_message(result, 1, "SNN201", "measured 40 channels, limit 16 channels", "port 'in'")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(run: Run, tmp_path: Path, value: float) -> None:
    save_network(with_weights("h1->h2", set_first(value)), tmp_path / "bad.json")
    result = build(run, tmp_path / "bad.json", tmp_path / "out")
    require_message(result, 1, "SNN501", "projection 'h1->h2'", f"measured {value}")


@pytest.mark.parametrize("length", [0, 3, 51, 200, -1])
def test_a_truncated_bitstream(run: Run, bitstream: Path, raster: Path, tmp_path: Path, length: int) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(bitstream.read_bytes()[:length])
    for command in (("inspect", cut), ("disasm", cut), ("simulate", cut, "-i", raster)):
        require_message(run(*command), 2, "snnmap: ")


def test_a_foreign_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "foreign.bin").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    require_message(run("inspect", tmp_path / "foreign.bin"), 2, "not a snnmap bitstream", "foreign.bin")


def test_a_bitstream_for_another_chip(run: Run, bitstream: Path) -> None:
    require_message(run("inspect", bitstream, "--chip", "toy-4"), 2, "toy-4")


def change_chip(tmp_path: Path, old: str, new: str) -> Path:
    text = (CATALOG / "xylo-audio-3.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    return tmp_path / "mine.toml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("chip_id = 3\n", "", "chip_id"),
        ("[bits]", "[bit]", "bits"),
        ("weight = 8", "weight = 8\ncolour = 3", "colour"),
        ("weight = 8", 'weight = "eight"', "weight"),
        ("weight = 8", "weight = 99", "bits.weight = 99 is outside 2..16"),
        ("max_words = 2048", "max_words = 20", "max_words = 20 is below 16 x 128 = 2048"),
        ("weight = 8", "weight = = 8", "TOML"),
    ],
)
def test_a_bad_chip_file(run: Run, model: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    chip = change_chip(tmp_path, old, new)
    for result in (build(run, model, tmp_path / "out", chip), run("chips", "show", chip), run("check", model, "--chip", chip)):
        require_message(result, 2, said, "mine.toml")


def test_an_unknown_chip_names_the_known_ones(run: Run, model: Path, tmp_path: Path) -> None:
    require_message(build(run, model, tmp_path / "out", "xylo"), 2, "xylo-audio-3")
    require_message(build(run, model, tmp_path / "out", tmp_path / "none.toml"), 2, "none.toml")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.zeros((2, 10, 5), np.int64), "3"),
        (np.zeros(7, np.int64), "shape"),
        (np.full((2, 10, 3), -1), "-1"),
        (np.full((2, 10, 3), 0.5), "0.5"),
        (np.full((2, 10, 3), np.nan), "nan"),
        (np.array([["a", "b", "c"]]), "raster"),
    ],
)
def test_a_wrong_input_raster(run: Run, bitstream: Path, tmp_path: Path, counts: np.ndarray, said: str) -> None:
    np.save(tmp_path / "bad.npy", counts)
    require_message(run("simulate", bitstream, "-i", tmp_path / "bad.npy", "-o", tmp_path / "run.npz"), 2, said, "where")
    assert not (tmp_path / "run.npz").exists()


def test_a_raster_that_is_no_raster(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("one two three\n")
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    for name in ("bad.txt", "bad.npy", "absent.npy"):
        require_message(run("simulate", bitstream, "-i", tmp_path / name), 2, name)


@pytest.mark.parametrize(
    ("text", "function", "said"),
    [
        ("def make(): return 3\n", "make", "int"),
        ("def make(): raise ValueError('boom')\n", "make", "boom"),
        ("def make(argument): return 3\n", "make", "argument"),
        ("import no_such_module\n", "make", "no_such_module"),
        ("def make( return\n", "make", "SyntaxError"),
        ("x = 1\n", "make", "make"),
        ("make = 1\n", "make", "make"),
    ],
)
def test_a_bad_model_file(run: Run, tmp_path: Path, text: str, function: str, said: str) -> None:
    (tmp_path / "bad_model.py").write_text(text)
    require_message(build(run, f"{tmp_path / 'bad_model.py'}:{function}", tmp_path / "out"), 2, said, "bad_model.py")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 9}', b"\xff\xfe", b'{"snnmap": 1}'])
def test_a_bad_saved_network(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    require_message(build(run, tmp_path / "bad.json", tmp_path / "out"), 2, "bad.json")


def test_no_model_at_all(run: Run, tmp_path: Path) -> None:
    for model in (tmp_path / "none.json", f"{tmp_path / 'none.py'}:make", tmp_path / "none.py", tmp_path):
        require_message(build(run, model, tmp_path / "out"), 2, str(model).partition(":")[0])


def test_an_unwritable_directory(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "file" / "out")
    require_message(result, 2, "cannot be")
    assert (tmp_path / "file").read_text() == "in the way"


def fail_after(count: int, function: Callable[..., object]) -> Callable[..., object]:
    """Stand in for a disk that is full after some calls."""
    calls = iter(range(count))

    def call(*arguments: object) -> object:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some file")
        return function(*arguments)

    return call


@pytest.mark.parametrize("count", [0, 3, 9])
def test_a_full_disk_leaves_nothing(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(os, "fsync", fail_after(count, os.fsync))
    require_message(build(run, model, tmp_path / "out"), 2, "No space left on device", "free space")
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_a_full_disk_keeps_the_old_build(run: Run, bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in bitstream.parent.rglob("*") if path.is_file()}
    save_network(replace(chain(3, 6, 4, 2), name="chain"), tmp_path / "other.json")
    monkeypatch.setattr(os, "fsync", fail_after(4, os.fsync))
    assert run("build", tmp_path / "other.json", "--chip", "xylo-audio-3", "-o", bitstream.parent).code == 2
    assert {path: path.read_bytes() for path in bitstream.parent.rglob("*") if path.is_file()} == before


def test_wrong_use(run: Run, bitstream: Path) -> None:
    for command in (
        ("biuld",),
        ("build",),
        ("build", "x.json"),
        ("check", "x.json", "--chip"),
        ("inspect",),
        ("explain", "SNN999"),
    ):
        result = run(*command)
        assert result.code == 2
        assert result.err
    require_message(run("explain", "SNN999"), 2, "SNN999")
    require_message(run("inspect", "model.json"), 2, "model.json")


def test_a_defect_of_ours_says_so_and_exits_3(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("snnmap.cli.check.check_model", fail)
    result = run("check", model, "--chip", "toy-4")
    assert result.code == 3
    assert "internal error" in result.err
    assert "ZeroDivisionError: ours" in result.err


def test_the_clean_model_is_clean(run: Run, tmp_path: Path) -> None:
    save_network(CLEAN, tmp_path / "clean.json")
    assert run("check", tmp_path / "clean.json", "--chip", load_chip("toy-4").name).code == 1
    assert run("check", tmp_path / "clean.json", "--chip", "xylo-audio-3").code == 0
