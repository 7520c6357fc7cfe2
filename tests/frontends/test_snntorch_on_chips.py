"""The networks of snnTorch's tutorials, trained, on a chip, by `snnmap check --fix`: decisions as the model's."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap import compile_model, fix_model, load
from snnmap.core import IntArray

pytest.importorskip("snntorch")
from snntorch import utils
from snntorch_tutorials import TUTORIALS

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")

CASES: dict[str, tuple[dict[str, int], str]] = {
    "3 feedforward": ({"n_in": 64, "n_hidden": 100}, "loop"),
    "4 second order": ({"n_in": 64, "n_hidden": 100}, "loop"),
    "5 static images": ({"n_in": 64, "n_hidden": 100, "n_steps": 20}, "static"),
    "population coding": ({"n_in": 64, "n_hidden": 64, "n_out": 10}, "step"),
    "regression 2": ({"n_in": 64, "n_hidden": 64, "n_steps": 20}, "static"),
    "spoken commands": ({"n_in": 64, "n_hidden": 64, "n_out": 10}, "step"),
    "tactile digits": ({"width": 8}, "frames"),
    "one step a call": ({"n_in": 64, "n_hidden": 100}, "step"),
}
"""Sizes for the digits of scikit-learn, and how the input comes: in a loop, the same in each step, or one step a call, perhaps as
frames of two channels."""
AIM = 0.98
MISSES = {"tactile digits": 0.97}
"""Share of decisions as the model's that is aimed at, also where each of several classes for which the model fires most counts as
its decision, as a build counts them; and what holds of all decisions of the one that reaches it on one machine and misses it on
another, for the same seeds train other weights there: 98.2% in the mean, and 97.5% with two of three.

Of its two convolutions one spike in forty that differs moves one in three of its outputs' spikes, in float64 as well. With seeds
30 to 34, with which nothing was chosen, 97.8 to 98.5% of its decisions are the model's, 98.2% in the mean. With seed 30, in
float64: 100% after `--fix`, 98.5% with decays of bit shifts, 97.8% with the trained decays and weights rounded to the nearest of
8 bits, 99.2% of 10 bits, and 98.8% where nothing differs but beta, by 0.001.
With seed 22, in float64, decays of bit shifts alone leave 97.3%.
"""
N_STEPS, N_TRAINED, N_CALIBRATION = 20, 1200, 150
SEEDS = (11, 12, 13)
"""Of weights, batches and unseen digits; costs in `snnmap.lif.quantise.match` were set with others in view."""
CHIP = "generic-4096-single"


def make_inputs(form: str, seed: int) -> tuple[IntArray, IntArray, float]:
    """Return spike counts of the digits, ``(n_samples, n_steps, size)``, their classes, and what a count is worth."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    pixels, labels = digits.data[order], digits.target[order]
    if form == "static":
        return np.repeat(np.minimum(pixels, 15).astype(np.int64)[:, np.newaxis], N_STEPS, axis=1), labels, 1 / 15
    if form == "frames":
        padded = np.pad(pixels.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
        pixels = np.stack([padded, 16 - padded], axis=1).reshape(len(pixels), -1)
    drawn = np.random.default_rng(seed).random((len(pixels), N_STEPS, pixels.shape[1]))
    return (drawn < pixels[:, np.newaxis] / 16).astype(np.int64), labels, 1.0


def run(model: nn.Module, form: str, raster: IntArray, scale: float) -> Tensor:
    """Return the output's spikes over all steps, ``(n_samples, n_classes)``."""
    x = torch.tensor(raster * scale).float().transpose(0, 1)
    if form == "frames":
        x = x.unflatten(2, (2, 10, 10))
    if form in ("step", "frames"):
        utils.reset(model)
        return torch.stack([model(frame)[0] for frame in x]).sum(dim=0)
    found = model(x[0] if form == "static" else x)
    return (found[0] if isinstance(found, tuple) else found).sum(dim=0)


def train(model: nn.Module, form: str, raster: IntArray, labels: IntArray, scale: float, seed: int) -> None:
    optimiser, rng = torch.optim.Adam(model.parameters(), lr=2e-3), np.random.default_rng(seed)
    for _ in range(18):
        for batch in np.array_split(rng.permutation(N_TRAINED), 12):
            loss = nn.functional.cross_entropy(run(model, form, raster[batch], scale), torch.tensor(labels[batch]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@pytest.mark.nightly
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_they_decide_on_a_chip_as_the_model(name: str, seed: int) -> None:
    sizes, form = CASES[name]
    raster, labels, scale = make_inputs(form, seed)
    torch.manual_seed(seed)
    model: Any = TUTORIALS[name].make(**sizes)
    train(model, form, raster, labels, scale, seed)
    calibration, unseen = raster[:N_CALIBRATION], raster[N_TRAINED:]
    with torch.no_grad():
        counts = run(model.eval(), form, unseen, scale).numpy()
    wanted = counts.argmax(axis=1)
    network = load(model, input_sizes=[TUTORIALS[name].shape if form == "frames" else 64], input_scale=scale)
    fixed = fix_model(network, CHIP, calibration=calibration)
    artifacts = compile_model(fixed.network, CHIP, calibration=calibration)
    found = np.asarray(artifacts.run(unseen)["output"]).sum(axis=1).argmax(axis=1)
    assert np.mean(wanted == labels[N_TRAINED:]) > 0.85
    assert np.mean(found == wanted) >= MISSES.get(name, AIM)
    is_best = counts[np.arange(len(found)), found] == counts.max(axis=1)
    assert np.mean(is_best) >= AIM
