"""What was trained against what the bitstream does."""

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snnmap.ir import IntArray, Recording, read_raster
from snnmap.mapping import Verification, folded_counts
from snnmap.nn import ChipIntegrator, record_counts
from snnmap.pipeline import Artifacts, require_counts
from snnmap.simulator import simulate_image

__all__ = ["verify_model"]


def verify_model(model: nn.Module, artifacts: Artifacts, raster: npt.ArrayLike) -> Verification:
    """Run a torch model and the bitstream's image, and compare every spiking layer, count for count, its lag taken away.

    The module is run in float64. A model of chip layers must agree exactly, its readout's potentials too (as ``NAME
    potential``); for a float model this measures what quantisation changed.

    Args:
        model: what the artifacts were compiled from.
        artifacts: of the build.
        raster: ``(n_samples, n_steps, n_inputs)`` spike counts.

    Returns:
        Values compared and those that differ, by layer.

    Raises:
        InputError: wrong raster, or counts beyond those of a channel of the chip.
    """
    mapped = artifacts.mapped
    counts = read_raster(raster, mapped.table.channel_source.size, where="raster")
    require_counts(counts, mapped.chip)
    expected = _run_module(model, counts)
    padded = np.pad(counts, ((0, 0), (0, max(mapped.lags.values(), default=0)), (0, 0)))
    run = simulate_image(artifacts.image, padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
    found = {name: _find_values(run, artifacts, name, counts.shape[1]) for name in expected}
    return Verification(
        n_compared=sum(values.size for values in expected.values()),
        mismatches={name: int((found[name] != values).sum()) for name, values in expected.items()},
        spikes={name: int(np.abs(values).sum()) for name, values in expected.items()},
    )


def _run_module(model: nn.Module, counts: IntArray) -> dict[str, IntArray]:
    """Give the counts of every spiking layer, and the integer potentials of a readout in the chip's integers."""
    model = copy.deepcopy(model).double().eval()
    with record_counts(model) as layers, torch.no_grad():
        output = model(torch.tensor(counts, dtype=torch.float64))
    expected = {name: tensor.numpy().astype(np.int64) for name, tensor in layers.items()}
    readouts = [(path, module) for path, module in model.named_modules() if isinstance(module, ChipIntegrator)]
    if len(readouts) == 1 and isinstance(output, torch.Tensor):
        path, module = readouts[0]
        expected[f"{path.removeprefix('model.')} potential"] = np.rint((output * module.scale).numpy()).astype(np.int64)
    return expected


def _find_values(run: Recording, artifacts: Artifacts, name: str, n_steps: int) -> IntArray:
    mapped, population = artifacts.mapped, name.removesuffix(" potential")
    if name == population:
        return folded_counts(run, mapped, name)[:, :n_steps]
    lag = mapped.lags[population]
    potentials = np.asarray(run.potentials["outputs"], np.int64)
    return potentials[:, lag : lag + n_steps, mapped.table.output_slots(population)]
