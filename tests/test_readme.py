"""The README's Python runs as shown, and its commands are those that there are."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import make_runner
from torch import nn

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the README takes for granted: a model of its own kind, a raster, an ANN, images."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    (model_file,) = [block for block in BLOCKS if "def make()" in block]
    exec(model_file, found)
    (tmp_path / "model.py").write_text(model_file)
    mlp = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
    images = np.random.default_rng(0).uniform(0, 1, (40, 20))
    samples = [(torch.ones(10 + number, 12), number % 4) for number in range(8)]
    raster = np.ones((2, 20, 12), np.int64)
    labels = np.arange(40) % 5
    video = {"cnn": mlp, "clips": torch.rand(3, 16, 20), "targets": torch.rand(3, 16, 5), "criterion": nn.MSELoss()}
    return {
        "model": found["make"](),
        "raster": raster,
        "samples": samples,
        "mlp": mlp,
        "images": images,
        "labels": labels,
        **video,
    }


def test_there_is_python_to_run() -> None:
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_runs_as_shown(number: int, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    block = BLOCKS[number]
    if "ChipLIF" in block:
        names["raster"] = np.ones((2, 20, 16), np.int64)
        block = "import snnmap\n" + block
    exec(block, names)
    if "n_mismatches" in block:
        assert capsys.readouterr().out == "0\n"


def test_commands_run_as_shown(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    np.save("counts.npy", names["raster"])
    run = make_runner(capsys)
    commands = re.findall(r"`snnmap ([^`]+)`", README.partition("| command | does |")[2].partition("Exit codes")[0])
    assert len(commands) >= 10
    for command in commands:
        words = command.replace("NAME", "toy-4").split()
        if words[0] != "demo" and not command.startswith("-"):
            assert run(*words).code == 0, command
