"""Findings of a torch module are told at the line that makes it."""

import sys
from pathlib import Path

import pytest
import torch

from snnmap.core.diagnostics import Location
from snnmap.core.errors import DesignRuleError
from snnmap.core.places import Places
from snnmap.loading import open_model
from snnmap.pipeline import check_model, compile_model

MODEL = """from torch import nn
from blocks import Block
from snnmap.nn import LIF


def make():
    return nn.Sequential(
        nn.Linear(3, 6, bias=False),
        LIF(6, dash_syn=1, dash_mem=2, threshold=-1.0),
        Block(),
    )
"""
BLOCK = """from torch import nn
from snnmap.nn import LIF


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.Linear(6, 2, bias=False)
        self.neurons = LIF(2, dash_syn=1, dash_mem=2, max_count=1)

    def forward(self, counts):
        return self.neurons(self.weights(counts))
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "blocks", raising=False)
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "blocks.py").write_text(BLOCK)
    return "net.py:make"


def test_modules_are_located_where_they_are_made_also_in_other_files(model: str, tmp_path: Path) -> None:
    make = torch.nn.Module.__init__
    places = open_model(model).places
    assert torch.nn.Module.__init__ is make
    assert (places.file, places.line) == ("net.py", 6)
    assert {path: (Path(file).name, line) for path, (file, line) in places.modules.items()} == {
        "": ("net.py", 7), "0": ("net.py", 8), "1": ("net.py", 9), "2": ("net.py", 10),
        "2.weights": ("blocks.py", 8), "2.neurons": ("blocks.py", 9),
    }  # fmt: skip


def test_a_finding_names_file_and_line(model: str) -> None:
    (found,) = [d for d in check_model(model, "xylo-audio-3").report.errors if d.rule == "SNN401"]
    assert (found.location.file, found.location.line) == ("net.py", 9)
    with pytest.raises(DesignRuleError, match=r"\(module 1, net.py:9\)"):
        compile_model(model, "xylo-audio-3")


def test_a_model_that_fails_leaves_torch_as_it_was(tmp_path: Path) -> None:
    make = torch.nn.Module.__init__
    (tmp_path / "net.py").write_text("def make():\n    raise ValueError\n")
    with pytest.raises(Exception, match=r"net.py, line 2"):
        open_model(f"{tmp_path}/net.py:make")
    assert torch.nn.Module.__init__ is make


@pytest.mark.parametrize(("source", "line"), [("a.b", 1), ("b", 1), ("model.c", 2), ("d", 0), ("e", 0), ("", 0), ("a.b; a.c", 0)])
def test_a_module_is_found_by_its_path_or_by_the_end_that_only_it_has(source: str, line: int) -> None:
    places = Places(modules={"a.b": ("f", 1), "c": ("f", 2), "x.d": ("f", 3), "y.d": ("f", 4)})
    assert places.locate(Location(source=source)).line == line
