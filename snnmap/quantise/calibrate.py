"""What calibration data tell the quantiser: how often sources fire, how far states swing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.ir import (
    CsrMatrix,
    FloatArray,
    IntArray,
    MappedNetwork,
    NeuronParameters,
    as_folded_network,
    join_rasters,
    record,
    simulate_network,
)
from snnmap.quantise.windows import SourceCounts

__all__ = ["N_LEVELS", "StateSwing", "Statistics", "measure_statistics"]

N_LEVELS = 33
"""Quantiles by which a distribution of states is known."""
_MOST_THRESHOLDS = 256.0
"""Thresholds beyond which potentials of a neuron that fires are not held: it fires in every step, or not for a long time."""


@record
class StateSwing:
    """How far the states of a row of neurons swing, in trained units.

    Attributes:
        peak: ``(n,) float64``, largest absolute current, partial sum of a current in any order, or potential before the reset.
        current_levels: ``(n_levels, n_synapses, n) float64``, quantiles of the currents as the chip holds them.
        potential_levels: ``(n_levels, n) float64``, quantiles of the potentials after the reset.
        n_steps: length of the runs.
    """

    peak: FloatArray
    current_levels: FloatArray
    potential_levels: FloatArray
    n_steps: int


@record
class Statistics:
    """Spike counts of the sources, and the states of the neurons.

    Attributes:
        hidden_sources: counts of inputs and hidden neurons, as they arrive at hidden neurons.
        output_sources: counts of hidden neurons.
        hidden: states of the hidden neurons.
        outputs: likewise.
    """

    hidden_sources: SourceCounts
    output_sources: SourceCounts
    hidden: StateSwing
    outputs: StateSwing


def measure_statistics(
    mapped: MappedNetwork,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    depth: float = np.inf,
    height: float = np.inf,
) -> Statistics:
    """Run the folded float network on rasters, and on for as long as its slowest population lags behind, as the chip runs.

    Args:
        mapped: folded network.
        calibration: input rasters, as for simulation; counts above what a channel carries are clamped, as on the chip.
        depth: thresholds below 0 beyond which a potential need not be held.
        height: thresholds beyond which no state of a neuron that fires need be held, partial sums included.

    Raises:
        InputError: rasters that do not suit the network.
    """
    lag = max(mapped.lags.values(), default=0)
    raster = np.pad(join_rasters(mapped.inputs, calibration).clip(max=mapped.chip.inputs.max_count), ((0, 0), (0, lag), (0, 0)))
    both = ("hidden", "outputs")
    run = simulate_network(as_folded_network(mapped), raster, counts_of=both, states_of=both)
    hidden_counts = _delay(run.counts["hidden"])
    sources = {
        "hidden": (mapped.hidden, ((raster, mapped.input_weights), (hidden_counts, mapped.recurrent_weights))),
        "outputs": (mapped.outputs, ((hidden_counts, mapped.output_weights),)),
    }
    swings = {}
    for name, (parameters, arriving) in sources.items():
        currents = np.asarray(run.currents[name], np.float64)
        swing = _measure_swing(parameters, np.asarray(run.potentials[name], np.float64), currents, run.counts[name], depth)
        peak = np.maximum(swing.peak, _bound_sums(parameters, currents, arriving))
        swings[name] = replace(swing, peak=np.minimum(peak, height * parameters.threshold))
    return Statistics(
        hidden_sources=SourceCounts(np.concatenate([raster, hidden_counts], axis=2)),
        output_sources=SourceCounts(hidden_counts),
        hidden=swings["hidden"],
        outputs=swings["outputs"],
    )


def _delay(values: Any) -> Any:
    """Give the values ``(n_samples, n_steps, n)`` of the step before, 0 before the first."""
    return np.pad(values[:, :-1], ((0, 0), (1, 0), (0, 0)))


def _bound_sums(
    parameters: NeuronParameters, currents: FloatArray, arriving: tuple[tuple[IntArray, tuple[CsrMatrix, ...]], ...]
) -> FloatArray:
    """Bound the partial sums of a step in any order, ``(n,)``: what a current holds, and all that arrives, without signs.

    Below the state's limit no sum saturates on its way, so that the order in which spikes arrive plays no part.
    """
    largest = np.zeros(parameters.size)
    for synapse, alpha in enumerate(parameters.alpha):
        total = np.abs(_delay(currents[:, :, synapse]))
        for counts, matrices in arriving:
            weights = abs(matrices[synapse].to_scipy())
            added = (weights.T @ counts.reshape(-1, counts.shape[2]).T).T
            total = total + np.asarray(added).reshape(total.shape) / np.maximum(alpha, 0.5)
        largest = np.maximum(largest, total.max(axis=(0, 1), initial=0.0))
    return largest


def _measure_swing(
    parameters: NeuronParameters, potentials: FloatArray, currents: FloatArray, counts: IntArray, depth: float
) -> StateSwing:
    finite = np.where(np.isfinite(parameters.threshold), parameters.threshold, 0.0)
    highest = (potentials + counts * finite).max(axis=(0, 1), initial=0.0)
    lowest = np.where(np.isfinite(parameters.threshold), np.minimum(depth, 1e30) * finite, np.inf)
    reached = np.maximum(highest, np.minimum(-potentials.min(axis=(0, 1), initial=0.0), lowest))
    reached = np.where(np.isfinite(parameters.threshold), np.minimum(reached, _MOST_THRESHOLDS * finite), reached)
    shares = np.linspace(0.0, 1.0, N_LEVELS)
    return StateSwing(
        peak=np.maximum(reached, np.abs(currents).max(axis=(0, 1, 2), initial=0.0)),
        current_levels=np.quantile(currents, shares, axis=(0, 1)),
        potential_levels=np.quantile(potentials, shares, axis=(0, 1)),
        n_steps=potentials.shape[1],
    )
