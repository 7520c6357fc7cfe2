"""A folder with a small saved network and its build, shared by the tests of the command line."""

from pathlib import Path

import numpy as np
import pytest
from command_line import Run, make_runner
from rule_cases import chain

from snnmap.ir import save_network


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_network(chain(3, 5, 4, 2), tmp_path / "model.json")
    return tmp_path / "model.json"


@pytest.fixture
def bitstream(run: Run, model: Path, tmp_path: Path) -> Path:
    assert run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "build").code == 0
    return tmp_path / "build" / "chain.bin"


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    np.save(tmp_path / "counts.npy", np.random.default_rng(0).poisson(2.0, (3, 20, 3)))
    return tmp_path / "counts.npy"
