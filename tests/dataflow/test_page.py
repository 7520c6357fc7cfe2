"""The page of docs/ runs as shown, and names all templates, and fields of the record."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from pipeline_cases import LARGE, SMALL, draw_inputs
from quantised_networks import make_small

from snnmap.dataflow import Device
from snnmap.dataflow.templates import TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "dataflow.md").read_text()


def test_it_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline_cases import build

    monkeypatch.chdir(tmp_path)
    onnx.save(make_small(), "net.onnx")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {"inputs": draw_inputs(build(make_small()))}
    exec(block, names)
    assert "0 cycles of stalls" in capsys.readouterr().out


def test_every_template_and_every_field_of_the_record_is_on_the_page() -> None:
    assert [template.name for template in TEMPLATES if f"`{template.name}`" not in PAGE] == []
    for field in fields(Device):
        part = getattr(SMALL, field.name)
        names = [one.name for one in fields(part)] if is_dataclass(part) else [field.name]
        assert all(f"`{name}`" in PAGE or f"`[{name}]`" in PAGE for name in names), field.name


@pytest.mark.parametrize("multipliers", [256, 830])
def test_the_intervals_of_the_page_are_those_of_a_build(multipliers: int) -> None:
    from pipeline_cases import build
    from quantised_networks import make_mobilenet

    pipeline = build(make_mobilenet(), LARGE, multipliers=multipliers)
    mixed = build(make_mobilenet(), LARGE, multipliers=multipliers, cut="auto")
    told = f"{mixed.interval / pipeline.interval - 1:.0%}"
    assert f"{told} more cycles on {multipliers}" in PAGE or f"{told} on {multipliers}" in PAGE
    assert f"| {multipliers} | {pipeline.interval:,} | {pipeline.interval / pipeline.bound:.3f} |" in PAGE
