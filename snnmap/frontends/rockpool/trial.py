"""Trial runs: a Rockpool module whose forward is the user's own against the network that its graph gave."""

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.rockpool.modules import walk_modules
from snnmap.network import Network, simulate_network

__all__ = ["require_same_outputs"]

N_SAMPLES, N_STEPS = 16, 24
RATES = (0.5, 2.0, 8.0)
MOST_DIFFERENT = 1
"""Samples of a run that may differ: Rockpool runs in float32, where a membrane may fall on the other side of its threshold."""
TOLERANCE = 1e-3
"""Of the largest potential of a sample."""


def require_same_outputs(module: Any, network: Network, own: list[str]) -> None:
    """Run a copy of the module and the network on drawn spike counts.

    Args:
        module: the user's model, which stays as it is.
        network: what its graph says.
        own: paths of the modules with a forward of their own, for errors.

    Raises:
        FrontendError: the module fails, gives something else than the network, or nothing at all, which shows nothing.
    """
    where = f"module{'s' if len(own) > 1 else ''} {', '.join(own[:4])}{', ...' if len(own) > 4 else ''}"
    rng, n_active = np.random.default_rng(0), 0
    for rate in RATES:
        raster = rng.poisson(rate, (N_SAMPLES, N_STEPS, network.inputs[0].size))
        wanted, found = _run_module(module, raster, where), _run_network(network, raster)
        n_different = N_SAMPLES if wanted.shape != found.shape else _count_different(wanted, found)
        if n_different > MOST_DIFFERENT:
            raise FrontendError(
                "a forward of the user's own gives other outputs than the graph of the module", where=where,
                measured=f"{n_different} of {N_SAMPLES} drawn samples differ", limit=f"{MOST_DIFFERENT}",
                fix="give the Sequential inside, or let as_graph() say what forward does",
            )  # fmt: skip
        n_active += int((wanted != 0).any(axis=(1, 2)).sum())
    if not n_active:
        raise FrontendError(
            "a forward of the user's own gave no output on drawn inputs, so that it could not be compared with the graph",
            where=where, measured=f"0 spikes at {RATES[-1]:g} a channel and step", fix="give the Sequential inside",
        )  # fmt: skip


def _count_different(wanted: FloatArray, found: FloatArray) -> int:
    scale = np.abs(wanted).max(axis=(1, 2), keepdims=True)
    return int((np.abs(wanted - found) > TOLERANCE * scale).any(axis=(1, 2)).sum())


def _run_network(network: Network, raster: npt.NDArray[Any]) -> FloatArray:
    recording = simulate_network(network, raster, states_of=network.output_populations)
    parts = [
        recording.potentials[name] if port.readout == "potential" else recording.counts[name]
        for port in network.outputs
        for name in port.populations
    ]
    return np.concatenate(parts, axis=2).astype(np.float64)


def _run_module(module: Any, raster: npt.NDArray[Any], where: str) -> FloatArray:
    """Run a copy in evaluation mode, from zero states."""
    records: dict[int, Any] = {}
    for _, part in walk_modules(module):  # what a run recorded may hang on the graph of a training step, which cannot be copied
        if hasattr(part, "_record_dict"):
            records[id(part._record_dict)] = {}
    try:
        twin = copy.deepcopy(module, records)
        for _, part in walk_modules(twin):
            if hasattr(part, "reset_state"):
                part.reset_state()
        return _call(twin, raster)
    except Exception as error:
        fix = "give the Sequential inside, or let as_graph() and forward take (batch, steps, channels)"
        raise FrontendError.from_failure("the module cannot be run for a comparison", error, where=where, fix=fix) from error


def _call(module: Any, raster: npt.NDArray[Any]) -> FloatArray:
    if not hasattr(module, "_forward_hooks"):
        return np.asarray(module(raster.astype(np.float64))[0], np.float64)
    import torch

    module.eval()
    with torch.no_grad():
        result = module(torch.tensor(raster, dtype=torch.get_default_dtype()))
    output = result[0] if isinstance(result, tuple) else result
    return np.asarray(output.detach().cpu().numpy(), np.float64)
