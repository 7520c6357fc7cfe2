"""What was trained against what the bitstream does."""

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snnmap.ir import IntArray, MappedNetwork, Recording, read_raster
from snnmap.mapping import Verification, folded_counts, folded_potentials
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, LeadIn, record_counts, record_outputs
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
    expected = _run_module(model, _split(counts, mapped))
    padded = np.pad(counts, ((0, 0), (0, max(mapped.lags.values(), default=0)), (0, 0)))
    run = simulate_image(artifacts.image, padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
    found = {name: _find_values(run, mapped, name, counts.shape[1]) for name in expected}
    return Verification(
        n_compared=sum(values.size for values in expected.values()),
        mismatches={name: int((found[name] != values).sum()) for name, values in expected.items()},
        spikes={name: int(np.abs(values).sum()) for name, values in expected.items()},
    )


def _split(counts: IntArray, mapped: MappedNetwork) -> list[IntArray]:
    """Give the counts of each input port, in the order of the module's inputs."""
    return [counts[:, :, mapped.table.channels(port.name)] for port in mapped.inputs]


def _run_module(model: nn.Module, rasters: Sequence[IntArray]) -> dict[str, IntArray]:
    """Give the counts of every spiking layer, and the integer potentials of readouts in the chip's integers."""
    model = copy.deepcopy(model).double().eval()
    if isinstance(model, LIF | ChipLIF | ChipIntegrator):
        model = nn.Sequential(model)
    with record_counts(model) as found, record_outputs(model, (ChipIntegrator,)) as readouts, torch.no_grad():
        model(*(torch.tensor(raster, dtype=torch.float64) for raster in rasters))
    layers = dict((model.model if isinstance(model, LeadIn) else model).named_modules())
    for path, potentials in readouts.items():
        found[f"{path} potential"] = potentials * cast(ChipIntegrator, layers[path]).scale
    return {name: np.rint(values.numpy()).astype(np.int64) for name, values in found.items()}


def _find_values(run: Recording, mapped: MappedNetwork, name: str, n_steps: int) -> IntArray:
    population = name.removesuffix(" potential")
    read = folded_counts if name == population else folded_potentials
    return np.asarray(read(run, mapped, population)[:, :n_steps], np.int64)
