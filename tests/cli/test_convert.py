"""snnmap convert: the network of an ANN, as the library converts it."""

import json
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


def test_pools_that_are_neurons_are_told_with_what_they_cost(run: Run, tmp_path: Path) -> None:
    layers = "torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3)"
    (tmp_path / "cnn.py").write_text(f"import torch\n\n\ndef make():\n    return torch.nn.Sequential({layers})\n")
    np.save(tmp_path / "values.npy", np.random.default_rng(0).uniform(0, 1, (40, 1, 6, 6)))
    given = ("convert", f"{tmp_path}/cnn.py:make", "--calibration", tmp_path / "values.npy", "-o", tmp_path / "net.json")
    assert "pool '2' is 8 neurons and a step of latency" in run(*given, "--pools", "neurons").out
    assert "a step of latency" not in run(*given, "--chip", "generic-4096").out


def test_what_is_pruned_is_told_with_its_cost_and_can_be_built(run: Run, tmp_path: Path) -> None:
    layers = "torch.nn.Linear(300, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3)"
    (tmp_path / "mlp.py").write_text(f"import torch\n\n\ndef make():\n    return torch.nn.Sequential({layers})\n")
    np.save(tmp_path / "values.npy", np.random.default_rng(0).uniform(0, 1, (40, 300)))
    model, values = f"{tmp_path}/mlp.py:make", tmp_path / "values.npy"
    given = ("convert", model, "--calibration", values, "-o", tmp_path / "net.json")
    assert "one chip" in run(*given, "--prune").err
    told = run(*given, "--prune", "--chip", "generic-4096").out
    assert "pruned: weights that contribute least are gone: 564 of 3600 onto '1'; relative error" in told
    assert "same decisions on calibration data" in told
    checked = ("check", model, "--calibration", values, "-c", "generic-4096", "--allow", "SNN6")
    assert "fan-in-exceeded" in run(*checked).out
    pruned = run(*checked, "--read", "prune=True")
    assert (pruned.code, "pruned: weights that contribute least are gone: 564" in pruned.err) == (0, True)


def test_a_choice_that_a_conversion_does_not_have_is_refused(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    for choice, told in (("prnue=True", "did you mean 'prune'?"), ("n_steps=x", "give such as 8"), ("n_steps=0", "limit: >= 1")):
        refused = run("check", model, "--calibration", values, "-c", "generic-4096", "--read", choice)
        assert refused.code == 2
        assert told in refused.err


def test_a_spiking_network_needs_none(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    made = run_path(model.removesuffix(":make"))["make"]()
    save_network(convert_ann(made, np.load(values)).network, tmp_path / "net.json")
    result = run("convert", tmp_path / "net.json", "--calibration", values, "-o", tmp_path / "other.json")
    assert result.code == 2
    assert "needs no conversion" in result.err
    assert not (tmp_path / "other.json").exists()


def test_what_is_too_large_for_the_chip_is_told_at_once(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    result = run("convert", model, "--calibration", values, "-o", tmp_path / "net.json", "--chip", "toy-4")
    assert result.code == 1
    assert "SNN202 [too-many-hidden-neurons]" in result.err
    assert "measured 6 neurons, limit 4 neurons" in result.err
    assert not (tmp_path / "net.json").exists()
    told = run("check", model, "--calibration", values, "-c", "toy-4", "-c", "toy-4", "--format", "json", "-q")
    assert told.code == 1
    assert [found["rule"] for found in json.loads(told.out)["diagnostics"]] == ["SNN201", "SNN202", "SNN203"]
    fixed = run("check", model, "--calibration", values, "-c", "toy-4", "--fix")
    assert "there are more hidden neurons than the chip has (0 of them are relays)" in fixed.out
    built = run("build", model, "--calibration", values, "-c", "toy-4", "-o", tmp_path / "build")
    assert (built.code, "measured 6 neurons" in built.err) == (1, True)
    fit = run("fit", model, "--calibration", values, "-c", "toy-4", "--format", "json", "-q")
    assert fit.code == 1
    assert "measured 6, limit 4" in json.loads(fit.out)["chips"][0]["broken"]


def test_what_is_wrong_is_told_of_the_file_or_option_that_it_is_in(run: Run, tmp_path: Path) -> None:
    model, values = write_model(tmp_path)
    labels = tmp_path / "one-hot.npy"
    np.save(labels, np.eye(3)[np.arange(40) % 3])
    given = ("check", model, "-c", "generic-4096", "--calibration", values)
    assert f"where: {labels}, labels\n" in run(*given, "--labels", labels).err
    assert "where: --read, n_steps\n" in run(*given, "--read", "n_steps=many").err
    assert "where: --read, ConvertOptions.n_steps\n" in run(*given, "--read", "n_steps=0").err
    assert "where: --read\n" in run(*given, "--read", "steps=4").err
    np.save(values, np.ones((40, 5)))
    assert "module '0'" in run(*given).err
    np.save(values, np.full((40, 4), 7.0))
    assert f"where: {values}\n" in run(*given).err
