"""A folder with a small saved network and its build, shared by the tests of the command line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, make_runner
from rule_cases import chain

from snnmap.network import save_network
from snnmap.pipeline import compile_model


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_network(chain(3, 5, 4, 2), tmp_path / "model.json")
    return tmp_path / "model.json"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build of ``model``, made once."""
    folder = tmp_path_factory.mktemp("built")
    compile_model(chain(3, 5, 4, 2), "xylo-audio-3").write(folder)
    return folder


@pytest.fixture
def bitstream(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "build") / "chain.bin"


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    np.save(tmp_path / "counts.npy", np.random.default_rng(0).poisson(2.0, (3, 20, 3)))
    return tmp_path / "counts.npy"
