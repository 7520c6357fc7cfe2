"""What calibration data tell the quantiser: how often sources fire, how far states swing."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind
from snnmap.core import CsrMatrix, FloatArray, IntArray, record
from snnmap.lif.program import MappedNetwork, NeuronParameters, as_folded_network
from snnmap.lif.quantise.windows import Counts, SourceCounts
from snnmap.network import join_rasters, simulate_network

__all__ = ["N_LEVELS", "StateSwing", "Statistics", "measure_statistics"]

N_LEVELS = 33
"""Quantiles by which a distribution of states is known."""
_MOST_THRESHOLDS = 256.0
"""Thresholds beyond which potentials of a neuron that fires are not held: it fires in every step, or not for a long time."""
_MOST_VALUES = 16_000_000
"""States of one kind that are kept at a time."""
_FEWEST_KEPT = 512
"""Pairs of sample and step whose states are kept of however many neurons."""
_ROWS = ("hidden", "outputs")
_Arriving: TypeAlias = tuple[tuple[IntArray, tuple[CsrMatrix, ...]], ...]
"""Counts ``(n_samples, n_steps, n_pre)`` and the weights, a matrix a synapse, by which they arrive."""
_SPARE_DEPTH = 8.0
"""Thresholds that are held below what was seen to be needed, where potentials may saturate."""


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
        depth: thresholds below 0 beyond which a potential need not be held; where it is finite, no more is held of a neuron than
            brings no spike too many in these runs.
        height: thresholds beyond which no state of a neuron that fires need be held, partial sums included.

    Raises:
        InputError: rasters that do not suit the network.
    """
    lag = max(mapped.lags.values(), default=0)
    raster = np.pad(join_rasters(mapped.inputs, calibration).clip(max=mapped.chip.inputs.max_count), ((0, 0), (0, lag), (0, 0)))
    network, (n_samples, n_steps) = as_folded_network(mapped), raster.shape[:2]
    rows = [_Swing(parameters, n_samples * n_steps, depth) for parameters in (mapped.hidden, mapped.outputs)]
    arrived: list[Counts] = []
    chunk = max(1, _MOST_VALUES // max(1, n_steps * (mapped.hidden.size + mapped.outputs.size)))
    for start in range(0, n_samples, chunk):
        part = raster[start : start + chunk]
        run = simulate_network(network, part, counts_of=_ROWS, states_of=_ROWS)
        counts = _delay(run.counts["hidden"])
        arriving_in = {kind: (kind.source(inputs=part, hidden=counts), mapped.weights(kind)) for kind in MemoryKind}
        into_hidden = tuple(arriving_in.pop(kind) for kind in HIDDEN_MEMORIES)
        for name, row, arriving in zip(_ROWS, rows, (into_hidden, tuple(arriving_in.values())), strict=True):
            row.add(
                np.asarray(run.potentials[name], np.float64),
                np.asarray(run.currents[name], np.float64),
                run.counts[name],
                arriving,
            )
        arrived.append(_shrink(counts))
    hidden_counts = np.concatenate(arrived) if arrived else np.zeros((0, n_steps, mapped.hidden.size), np.int8)
    return Statistics(
        hidden_sources=SourceCounts(np.concatenate([_shrink(raster), hidden_counts], axis=2)),
        output_sources=SourceCounts(hidden_counts),
        hidden=rows[0].finish(n_steps, height),
        outputs=rows[1].finish(n_steps, height),
    )


def _shrink(counts: Counts) -> Counts:
    return counts.astype(np.min_scalar_type(-int(counts.max(initial=0)) - 1))


class _Swing:
    """What is kept of the states of a row of neurons, part of the samples after part."""

    def __init__(self, parameters: NeuronParameters, n_pairs: int, depth: float) -> None:
        self.parameters, self.depth = parameters, depth
        self.is_finite = np.isfinite(parameters.threshold)
        self.threshold = np.where(self.is_finite, parameters.threshold, 0.0)
        self.highest, self.lowest, self.needed, self.largest = np.zeros((4, parameters.size))
        kept = max(_FEWEST_KEPT, _MOST_VALUES // max(1, parameters.size * (1 + len(parameters.alpha))))
        self.kept = np.unique(np.linspace(0, n_pairs - 1, min(n_pairs, kept)).astype(np.int64))
        self.seen = 0
        self.potentials: list[FloatArray] = []
        self.currents: list[FloatArray] = []

    def add(self, potentials: FloatArray, currents: FloatArray, counts: IntArray, arriving: _Arriving) -> None:
        """Take states ``(n_samples, n_steps, n)`` (currents: ``n_synapses`` before the last), spikes and what arrives."""
        self.highest = np.maximum(self.highest, (potentials + counts * self.threshold).max(axis=(0, 1), initial=0.0))
        self.lowest = np.maximum(self.lowest, -potentials.min(axis=(0, 1), initial=0.0))
        if np.isfinite(self.depth):
            self.needed = np.maximum(self.needed, _measure_return(potentials, counts, self.threshold))
        self.largest = np.maximum(self.largest, np.abs(currents).max(axis=(0, 1, 2), initial=0.0))
        self.largest = np.maximum(self.largest, _bound_sums(self.parameters, currents, arriving))
        stop = self.seen + potentials.shape[0] * potentials.shape[1]
        mine = self.kept[(self.kept >= self.seen) & (self.kept < stop)] - self.seen
        self.potentials.append(potentials.reshape(-1, *potentials.shape[2:])[mine])
        self.currents.append(currents.reshape(-1, *currents.shape[2:])[mine])
        self.seen = stop

    def finish(self, n_steps: int, height: float) -> StateSwing:
        lowest = self.lowest
        if np.isfinite(self.depth):
            needed = np.minimum(self.depth, self.needed + _SPARE_DEPTH) * self.threshold
            lowest = np.where(self.is_finite, np.minimum(lowest, needed), lowest)
        reached = np.maximum(self.highest, lowest)
        reached = np.where(self.is_finite, np.minimum(reached, _MOST_THRESHOLDS * self.threshold), reached)
        shares = np.linspace(0.0, 1.0, N_LEVELS)
        return StateSwing(
            peak=np.minimum(np.maximum(reached, self.largest), height * self.parameters.threshold),
            current_levels=np.quantile(np.concatenate(self.currents), shares, axis=0),
            potential_levels=np.quantile(np.concatenate(self.potentials), shares, axis=0),
            n_steps=n_steps,
        )


def _delay(values: Any) -> Any:
    """Return the values ``(n_samples, n_steps, n)`` of the step before, 0 before the first."""
    return np.pad(values[:, :-1], ((0, 0), (1, 0), (0, 0)))


def _bound_sums(parameters: NeuronParameters, currents: FloatArray, arriving: _Arriving) -> FloatArray:
    """Bound the partial sums of a step in any order, ``(n,)``: what a current holds, and all that arrives, without signs.

    Below the state's limit no sum saturates on its way, so that the order in which spikes arrive plays no part.
    """
    largest = np.zeros(parameters.size)
    for synapse, alpha in enumerate(parameters.alpha):
        total = np.abs(_delay(currents[:, :, synapse]))
        for counts, matrices in arriving:
            weights = matrices[synapse]
            multiply = weights.with_data(np.abs(weights.data)).build_product(counts.shape[1])
            total = total + np.stack([multiply(sample) for sample in counts]) / np.maximum(alpha, 0.5)
        largest = np.maximum(largest, total.max(axis=(0, 1), initial=0.0))
    return largest


def _measure_return(potentials: FloatArray, counts: IntArray, threshold: FloatArray) -> FloatArray:
    """Return how deep below 0 potentials must be held so that no spike is lost or gained, ``(n,)`` in thresholds.

    What saturates at a depth D returns too high by what it sank below it. That shows once it is at the threshold again, or
    would be but for having sunk that low::

        D = max over t of min(u[t], threshold) - min over s <= t of v[s] - threshold

    with u the potential before the reset and v after it. A neuron that is off and sinks ever lower needs none.
    """
    needed = np.zeros(threshold.size)
    for course, spikes in zip(potentials, counts, strict=True):
        risen = np.minimum(course + spikes * threshold, threshold) - np.minimum.accumulate(course, axis=0)
        needed = np.maximum(needed, risen.max(axis=0, initial=0.0) - threshold)
    return np.asarray(needed / np.where(threshold > 0, threshold, 1.0), np.float64)
