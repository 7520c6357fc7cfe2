"""The page of docs/ runs as shown, and names all fields of the record."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import Run

from snnmap.crossbar import Architecture, load_architecture
from snnmap.crossbar.record import read_architecture_text

PAGE = (Path(__file__).parents[2] / "docs" / "crossbar.md").read_text()


def test_it_runs_as_shown(
    small: Any, images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(small, "net.onnx")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {"inputs": images}
    exec(block, names)
    assert all(levels.dtype == np.uint8 for levels in names["levels"].values())
    assert "computation cycles, at least 1" in capsys.readouterr().out


def test_every_field_of_the_record_is_on_the_page() -> None:
    record = load_architecture("grid-128")
    for field in fields(Architecture):
        part = getattr(record, field.name)
        names = [one.name for one in fields(part)] if is_dataclass(part) else [field.name]
        assert all(f"`{name}`" in PAGE or f"`[{name}]`" in PAGE for name in names), field.name


def test_the_architecture_of_the_page_works_in_every_verb(run: Run, small: Any, images: Any, tmp_path: Path) -> None:
    paragraph = PAGE.partition("For example, four cores")[2].partition("\n\n")[0]
    text, at = read_architecture_text("grid-128"), 0
    for key, value in re.findall(r"`(\w+) = ([^`]+)`", paragraph):
        found = re.compile(rf"^{key} = .*$", re.MULTILINE).search(text, at)
        assert found is not None, key
        text, at = f"{text[: found.start()]}{key} = {value}{text[found.end() :]}", found.start() + 1
    chip, built, copy = tmp_path / "mine.toml", tmp_path / "out" / "quantised.bin", tmp_path / "b.bin"
    chip.write_text(text)
    onnx.save(small, str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", images)
    assert "64 rows x 64 columns" in run("crossbar", "chips", "blueprint", chip).out
    made = run("crossbar", "build", tmp_path / "net.onnx", "-c", chip, "-o", built.parent, "--order", "traffic", "--copies", "2")
    assert "0 values of 11 tensors differ" in made.out, made.err
    assert run("crossbar", "check", tmp_path / "net.onnx", "-c", chip, "--file", built).code == 0
    assert run("crossbar", "run", built, "-i", tmp_path / "x.npy", "-c", chip).out.startswith("0: ")
    assert "cores" in run("crossbar", "inspect", built, "-c", chip).out
    assert run("crossbar", "disasm", built, "-c", chip, "-o", tmp_path / "a.txt").code == 0
    assert run("crossbar", "asm", tmp_path / "a.txt", "-c", chip, "-o", copy).code == 0
    assert copy.read_bytes() == built.read_bytes()
    for words in (("inspect", built), ("asm", tmp_path / "a.txt", "-o", tmp_path / "c.bin")):
        assert "--chip mine.toml" in run("crossbar", *words).err
