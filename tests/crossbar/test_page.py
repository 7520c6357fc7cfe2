"""The page of docs/ runs as shown, and names all fields of the record."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from snnmap.crossbar import Architecture, load_architecture

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
