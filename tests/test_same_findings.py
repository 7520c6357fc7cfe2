"""A check finds what a build finds: the same model, chip, data and options, whichever framework the model is of."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import onnx
import pytest
import rockpool.nn.modules as rockpool
import snntorch as snn
import torch
from layer_networks import export_network
from rockpool.nn.combinators import Sequential
from torch import nn

from snnmap.core.errors import DesignRuleError
from snnmap.core.packages import import_nengo
from snnmap.loading import open_model
from snnmap.nn import LIF, ChipLIF
from snnmap.pipeline import CompileOptions, check_model, compile_model

nengo = import_nengo()
CHIPS = ("xylo-audio-2", "xylo-audio-3", "generic-4096", "generic-4096-single", "toy-4")
N_INPUTS, N_OUTPUTS = 3, 2
Make = Callable[[np.random.Generator, Path], Any]


def draw_weights(rng: np.random.Generator, n_pre: int, n_post: int) -> np.ndarray:
    return rng.normal(0.2, 0.8, (n_pre, n_post)).astype(np.float32)


def make_linear(rng: np.random.Generator, n_pre: int, n_post: int, *, bias: bool = False) -> nn.Linear:
    layer = nn.Linear(n_pre, n_post, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(draw_weights(rng, n_pre, n_post).T))
    return layer


def make_torch(rng: np.random.Generator, _: Path) -> nn.Module:
    size = int(rng.integers(2, 40))
    decays = {"alpha": float(rng.uniform(0.5, 0.9)), "beta": float(rng.uniform(0.5, 0.9))}
    return nn.Sequential(
        make_linear(rng, N_INPUTS, size), LIF(size, recurrent=bool(rng.integers(2)), **decays),
        make_linear(rng, size, N_OUTPUTS), LIF(N_OUTPUTS, dash_syn=1, dash_mem=2, max_count=1),
    )  # fmt: skip


def make_chip_exact(rng: np.random.Generator, _: Path) -> nn.Module:
    size = int(rng.integers(2, 40))
    return nn.Sequential(ChipLIF(N_INPUTS, size), ChipLIF(size, N_OUTPUTS, max_count=1))


def make_relu(rng: np.random.Generator, _: Path) -> nn.Module:
    size = int(rng.integers(2, 20))
    return nn.Sequential(make_linear(rng, N_INPUTS, size, bias=True), nn.ReLU(), make_linear(rng, size, N_OUTPUTS, bias=True))


def make_onnx(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(export_network(make_relu(rng, folder), (N_INPUTS,)), path)
    return path


def make_snntorch(rng: np.random.Generator, _: Path) -> nn.Module:
    size = int(rng.integers(2, 40))
    kind: dict[str, Any] = {"alpha": float(rng.uniform(0.5, 0.9)), "beta": float(rng.uniform(0.5, 0.9)), "init_hidden": True}
    return nn.Sequential(
        make_linear(rng, N_INPUTS, size), snn.Synaptic(reset_delay=False, **kind),
        make_linear(rng, size, N_OUTPUTS), snn.Synaptic(reset_delay=False, output=True, **kind),
    )  # fmt: skip


def make_rockpool(rng: np.random.Generator, _: Path) -> Any:
    size = int(rng.integers(2, 40))
    layers = [
        part
        for n_pre, n_post in ((N_INPUTS, size), (size, N_OUTPUTS))
        for part in (
            rockpool.LinearTorch((n_pre, n_post), weight=torch.tensor(draw_weights(rng, n_pre, n_post))),
            rockpool.LIFTorch(n_post, tau_mem=float(rng.uniform(2e-3, 3e-2)), tau_syn=float(rng.uniform(2e-3, 3e-2)), dt=1e-3),
        )
    ]
    return Sequential(*layers)


def make_nir(rng: np.random.Generator, folder: Path) -> Path:
    size, path = int(rng.integers(2, 40)), folder / "model.nir"
    nodes = {"input": nir.Input(np.array([N_INPUTS])), "output": nir.Output(np.array([N_OUTPUTS]))}
    for number, (n_pre, n_post) in enumerate(((N_INPUTS, size), (size, N_OUTPUTS))):
        ones = np.ones(n_post)
        nodes[f"w{number}"] = nir.Linear(draw_weights(rng, n_pre, n_post).T)
        nodes[f"n{number}"] = nir.CubaLIF(tau_syn=4e-3 * ones, tau_mem=9e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=ones)
    order = ["input", "w0", "n0", "w1", "n1", "output"]
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=list(pairwise(order))))
    return path


def make_nengo(rng: np.random.Generator, _: Path) -> Any:
    size = int(rng.integers(2, 20))
    with nengo.Network(seed=int(rng.integers(1000))) as network:
        source = nengo.Node(np.zeros(N_INPUTS), label="input")
        lif = nengo.LIF(tau_ref=0, min_voltage=-np.inf, initial_state={"voltage": nengo.dists.Choice([0])})
        hidden, out = (nengo.Ensemble(n, 1, neuron_type=lif, label=f"e{n}x") for n in (size, N_OUTPUTS))
        for ensemble in (hidden, out):
            ensemble.gain, ensemble.bias = np.ones(ensemble.n_neurons), np.zeros(ensemble.n_neurons)
        nengo.Connection(source, hidden.neurons, transform=100 * draw_weights(rng, N_INPUTS, size).T, synapse=0.005)
        nengo.Connection(hidden.neurons, out.neurons, transform=draw_weights(rng, size, N_OUTPUTS).T, synapse=0.005)
        nengo.Probe(out.neurons)
    return network


MAKERS: dict[str, Make] = {
    make.__name__.removeprefix("make_"): make
    for make in (make_torch, make_chip_exact, make_relu, make_onnx, make_snntorch, make_rockpool, make_nir, make_nengo)
}
READ: dict[str, dict[str, Any]] = {
    "snntorch": {"overshoot": "ignore"},
    "rockpool": {"max_count": 1},
    "nir": {"dt_s": 1e-3, "time_unit": "s", "integrator": "zoh", "reset": "subtract"},
}
CONVERTED = ("relu", "onnx")


def draw_data(rng: np.random.Generator, kind: str) -> np.ndarray:
    if kind in CONVERTED:
        return rng.uniform(0, 1, (16, N_INPUTS)).astype(np.float32)
    return rng.poisson(0.4, (6, 40, N_INPUTS)).clip(0, 15)


def find_difference(kind: str, seed: int, folder: Path) -> str:
    """Say how check and build of a random model on a random chip differ; '' where they do not."""
    rng = np.random.default_rng([seed, *kind.encode()])
    torch.manual_seed(seed)
    model, chip = MAKERS[kind](rng, folder), str(rng.choice(CHIPS))
    data = {"calibration": draw_data(rng, kind)} if kind in CONVERTED or rng.integers(2) else {}
    options = CompileOptions(allow=("SNN6",) if rng.integers(2) else ())
    checked = check_model(open_model(model, **data, **READ.get(kind, {})), chip, options=options, **data)
    opened = open_model(model, **data, **READ.get(kind, {}))
    try:
        built = compile_model(opened, chip, options=options, **data)
    except DesignRuleError as refused:
        return "" if refused.diagnostics == checked.report.errors else f"{kind}, {seed}, {chip}: refused otherwise"
    same = (checked.report, checked.comparison, checked.bitstream) == (built.report, built.comparison, built.bitstream)
    return "" if same else f"{kind}, {seed}, {chip}: built otherwise"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", MAKERS)
def test_check_and_build_find_the_same(kind: str, seed: int, tmp_path: Path) -> None:
    assert find_difference(kind, seed, tmp_path) == ""


@pytest.mark.nightly
@pytest.mark.parametrize("kind", MAKERS)
def test_check_and_build_find_the_same_at_length(kind: str, tmp_path: Path) -> None:
    assert [found for seed in range(100, 160) if (found := find_difference(kind, seed, tmp_path))] == []
