"""What was trained against what the bitstream does."""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.mapping import Verification, folded_counts, folded_potentials, lower_network, stretch_network
from snnmap.lif.program import MappedNetwork
from snnmap.lif.simulator import require_counts, simulate_image
from snnmap.network import Network, Recording, join_rasters, read_raster, simulate_network
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, ChipNetwork, LeadIn, record_counts, record_outputs
from snnmap.pipeline import Artifacts, CompileOptions, Rasters, compile_model
from snnmap.train.models import has_layers, read_network

__all__ = ["verify_model"]

_POTENTIAL = " potential"


def verify_model(model: object, artifacts: Artifacts, raster: Rasters) -> Verification:
    """Run a model and the bitstream's image, and compare every spiking population, count for count, its lag taken away.

    A model of chip layers, a :class:`snnmap.nn.ChipNetwork` or a network of the chip's integers must agree exactly, its
    readout's potentials too (as ``NAME potential``); for a float model this measures what quantisation changed. Torch modules
    with layers of ours are run themselves, in float64; of all others the network that :func:`snnmap.load` reads is run.

    Args:
        model: what the artifacts were compiled from: a torch module, anything else that :func:`snnmap.load` takes (a
            ``Network``, snnTorch, Rockpool, a NIR graph), or a :class:`snnmap.convert.Conversion`.
        artifacts: of the build.
        raster: ``(n_samples, n_steps, n_inputs)`` spike counts, or such arrays by input port.

    Returns:
        Values compared and those that differ, by population; those that can never fire are not among ``spikes``.

    Raises:
        InputError: wrong raster, counts beyond those of a channel of the chip, or artifacts of another model.
        FrontendError: a model that cannot be read; it is named.
    """
    mapped = artifacts.mapped
    if isinstance(raster, Mapping):
        counts = join_rasters(mapped.inputs, raster)
    else:
        counts = read_raster(raster, mapped.table.channel_source.size, where="raster")
    require_counts(counts, mapped.chip)
    expected, silent = _run_model(model, mapped, _split(counts, mapped))
    padded = np.pad(counts, ((0, 0), (0, max(mapped.lags.values(), default=0)), (0, 0)))
    run = simulate_image(artifacts.image, padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
    found = {name: _find_values(run, mapped, name, values) for name, values in expected.items()}
    return Verification(
        n_compared=sum(values.size for values in expected.values()),
        mismatches={name: int((found[name] != values).sum()) for name, values in expected.items()},
        spikes={name: int(np.abs(values).sum()) for name, values in expected.items() if name not in silent},
    )


def _split(counts: IntArray, mapped: MappedNetwork) -> dict[str, IntArray]:
    """Return the counts of each input port, in the order of the chip's channels."""
    return {port.name: counts[:, :, mapped.table.channels(port.name)] for port in mapped.inputs}


def _run_model(model: object, mapped: MappedNetwork, rasters: dict[str, IntArray]) -> tuple[dict[str, IntArray], set[str]]:
    """Return what a model's populations do, and the names of those that can never fire."""
    if isinstance(model, ChipNetwork):
        _require_ports([(port.name, port.size) for port in model.inputs], mapped)
        return _run_chip_network(model, rasters), set()
    if has_layers(model):
        return _run_module(cast(nn.Module, model), list(rasters.values())), set()
    network = read_network(model)
    _require_ports([(port.name, port.size) for port in network.inputs], mapped)
    if network.integers:
        built = compile_model(network, mapped.chip, options=CompileOptions(verify=False, allow=("SNN6",)))
        return _run_chip_network(ChipNetwork(built.quantised), rasters), set()
    return _run_network(network, mapped, rasters)


def _require_ports(ports: list[tuple[str, int]], mapped: MappedNetwork) -> None:
    wanted = [(port.name, port.size) for port in mapped.inputs]
    if sorted(ports) != sorted(wanted):
        raise _other_model(f"input ports {ports}", str(wanted))


def _other_model(measured: str, limit: str) -> InputError:
    return InputError(
        "the artifacts are of another model",
        where="verify_model",
        measured=measured,
        limit=limit,
        fix="compile this model; if it was read with options, give the network that snnmap.load(model, ...) gave",
    )


def _run_network(network: Network, mapped: MappedNetwork, rasters: dict[str, IntArray]) -> tuple[dict[str, IntArray], set[str]]:
    names = [population.name for population in network.populations]
    if not set(names) <= mapped.lags.keys():
        raise _other_model(f"populations {', '.join(names)}", ", ".join(mapped.lags))
    if mapped.stretched:
        network = stretch_network(lower_network(network), dict(mapped.stretched))
    run = simulate_network(network, rasters, counts_of=names, warmup_steps=mapped.lags)
    silent = {population.name for population in network.populations if np.isposinf(population.threshold).all()}
    return dict(run.counts), silent


def _run_chip_network(model: ChipNetwork, rasters: dict[str, IntArray]) -> dict[str, IntArray]:
    model = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        run = model.run({name: torch.tensor(raster, dtype=torch.float64) for name, raster in rasters.items()})
    found = run.counts | {f"{name}{_POTENTIAL}": values for name, values in run.potentials.items()}
    return {name: np.rint(values.numpy()).astype(np.int64) for name, values in found.items()}


def _run_module(model: nn.Module, rasters: Sequence[IntArray]) -> dict[str, IntArray]:
    """Return the counts of every spiking layer, and the integer potentials of readouts in the chip's integers."""
    model = copy.deepcopy(model).double().eval()
    if isinstance(model, LIF | ChipLIF | ChipIntegrator):
        model = nn.Sequential(model)
    with record_counts(model) as found, record_outputs(model, (ChipIntegrator,)) as readouts, torch.no_grad():
        model(*(torch.tensor(raster, dtype=torch.float64) for raster in rasters))
    layers = dict((model.model if isinstance(model, LeadIn) else model).named_modules())
    for path, potentials in readouts.items():
        found[f"{path}{_POTENTIAL}"] = potentials * cast(ChipIntegrator, layers[path]).scale
    return {name: np.rint(values.numpy()).astype(np.int64) for name, values in found.items()}


def _find_values(run: Recording, mapped: MappedNetwork, name: str, expected: IntArray) -> IntArray:
    population = name.removesuffix(_POTENTIAL)
    if population not in mapped.lags:
        raise _other_model(f"population '{population}'", ", ".join(mapped.lags))
    read = folded_counts if name == population else folded_potentials
    values = np.asarray(read(run, mapped, population)[:, : expected.shape[1]], np.int64)
    if values.shape != expected.shape:
        raise _other_model(f"population '{population}' of {expected.shape[2]} neurons", str(values.shape[2]))
    return values
