"""snnmap convert: the network of an ANN, as the library converts it."""

from pathlib import Path
from runpy import run_path

import numpy as np
from command_line import Run

from snnmap.convert import ConvertOptions, convert_ann
from snnmap.network import load_network, save_network

MODEL_FILE = """
import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
"""


def write_model(folder: Path) -> tuple[str, Path]:
    path = folder / "relus.py"
    path.write_text(MODEL_FILE)
    np.save(folder / "values.npy", np.random.default_rng(0).uniform(0, 1, (40, 4)))
    return f"{path}:make", folder / "values.npy"


def test_a_network_as_the_library_converts_it(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    result = run("convert", model, "--calibration", values, "-o", tmp_path / "net.json", "--n-steps", "4")
    assert result.code == 0
    assert f"{tmp_path}/net.json: " in result.out
    made = run_path(model.removesuffix(":make"))["make"]()
    wanted = convert_ann(made, np.load(values), options=ConvertOptions(n_steps=4))
    assert load_network(tmp_path / "net.json") == wanted.network


def test_a_spiking_network_needs_none(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    made = run_path(model.removesuffix(":make"))["make"]()
    save_network(convert_ann(made, np.load(values)).network, tmp_path / "net.json")
    result = run("convert", tmp_path / "net.json", "--calibration", values, "-o", tmp_path / "other.json")
    assert result.code == 2
    assert "needs no conversion" in result.err
    assert not (tmp_path / "other.json").exists()
