"""What calibration data tell the quantiser: how often sources fire, how far states swing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind
from snnmap.core import FloatArray, IntArray, record
from snnmap.core.errors import InputError
from snnmap.lif.program import MappedNetwork, NeuronParameters, as_folded_network
from snnmap.lif.quantise.windows import Counts, SourceCounts
from snnmap.network import join_rasters, walk_network

__all__ = ["N_LEVELS", "StateSwing", "Statistics", "measure_statistics"]

N_LEVELS = 33
"""Quantiles by which a distribution of states is known."""
_MOST_THRESHOLDS = 256.0
"""Thresholds beyond which potentials of a neuron that fires are not held: it fires in every step, or not for a long time."""
_MOST_VALUES = 16_000_000
"""States that are kept for their quantiles."""
_MOST_STATES = 1_000_000
"""States of one kind in a step: samples beyond as many run after each other."""
_FEWEST_KEPT = 512
"""Pairs of sample and step whose states are kept of however many neurons."""
_SPARE_DEPTH = 8.0
"""Thresholds that are held below what was seen to be needed, where potentials may saturate."""


@record
class StateSwing:
    """How far the states of a row of neurons swing, in trained units.

    Attributes:
        peak: ``(n,) float64``, largest absolute current, partial sum of a current in any order, or potential before the reset.
        current_levels: ``(n_levels, n_synapses, n) float64``, quantiles of the currents as the chip holds them; none are measured
            of neurons that have no bias, which alone makes up for the drift of integer decays.
        potential_levels: ``(n_levels, n) float64``, quantiles of the potentials after the reset; likewise.
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
        calibration: input rasters, as for simulation.
        depth: thresholds below 0 beyond which a potential need not be held; where it is finite, no more is held of a neuron than
            brings no spike too many in these runs.
        height: thresholds beyond which no state of a neuron that fires need be held, partial sums included.

    Raises:
        InputError: rasters that do not suit the network, or a count above what a channel carries.
    """
    lag = max(mapped.lags.values(), default=0)
    raster = np.pad(_read_counts(mapped, calibration), ((0, 0), (0, lag), (0, 0)))
    n_samples, n_steps = raster.shape[:2]
    hidden_counts = np.zeros((n_samples, n_steps, mapped.hidden.size), _find_type(mapped.hidden.max_count))
    chip = mapped.chip
    swings = {
        "hidden": _Swing(mapped.hidden, raster.shape[:2], depth, has_levels=chip.hidden.bias),
        "outputs": _Swing(mapped.outputs, raster.shape[:2], depth, has_levels=chip.outputs.bias),
    }
    chunk = max(1, _MOST_STATES // max(1, mapped.hidden.size + mapped.outputs.size))
    for start in range(0, n_samples, chunk):
        part = slice(start, start + chunk)
        _measure_part(mapped, raster[part], hidden_counts[part], swings, start)
    return Statistics(
        hidden_sources=SourceCounts(raster.astype(_find_type(raster)), hidden_counts),
        output_sources=SourceCounts(hidden_counts),
        hidden=swings["hidden"].finish(height),
        outputs=swings["outputs"].finish(height),
    )


def _read_counts(mapped: MappedNetwork, calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> IntArray:
    """Return the counts of all channels, ``(n_samples, n_steps, n_channels)``, none of which the chip would clamp."""
    raster, most = join_rasters(mapped.inputs, calibration), mapped.chip.inputs.max_count
    if raster.size and raster.max() > most:
        above = np.argwhere(raster > most)
        sample, step, channel = above[0].tolist()
        port = mapped.table.sources[mapped.table.channel_source[channel]]
        raise InputError(
            "calibration counts are more than a channel carries in a step",
            where=f"input port '{port}', channel {mapped.table.channel_neuron[channel]}, first in sample {sample}, step {step}",
            measured=f"{len(above)} counts, largest {raster.max()}",
            limit=f"{most}, chip '{mapped.chip.name}'",
            fix="clamp them (numpy.minimum) where the model is trained, or spread them over more steps",
        )
    return raster


def _find_type(counts: IntArray) -> np.dtype[Any]:
    """Return the narrowest type that holds counts and what is below them."""
    return np.min_scalar_type(-int(counts.max(initial=0)) - 1)


def _measure_part(
    mapped: MappedNetwork, raster: IntArray, hidden_counts: Counts, swings: dict[str, "_Swing"], start: int
) -> None:
    """Run some samples, the first of them number ``start``, and write what hidden neurons send as it arrives, a step later."""
    n_samples = raster.shape[0]
    before = np.zeros((n_samples, mapped.hidden.size))
    bounds = {kind: _build_bounds(mapped, kind, n_samples) for kind in MemoryKind}
    for swing in swings.values():
        swing.begin(start, n_samples)
    for now in walk_network(as_folded_network(mapped), {"inputs": raster}):
        hidden_counts[:, now.step] = before
        sums = {kind: bound(kind.source(inputs=now.counts["inputs"], hidden=before)) for kind, bound in bounds.items()}
        into_hidden = [sums.pop(kind) for kind in HIDDEN_MEMORIES]
        for name, arriving in (("hidden", into_hidden), ("outputs", list(sums.values()))):
            swings[name].add(now.step, now.potentials[name], now.currents[name], now.counts[name], arriving)
        before = now.counts["hidden"].copy()


def _build_bounds(mapped: MappedNetwork, kind: MemoryKind, n_samples: int) -> Callable[[FloatArray], list[FloatArray]]:
    """Return what bounds the partial sums of a step in any order: all that arrives at each synapse, without signs."""
    alpha = kind.target(hidden=mapped.hidden, outputs=mapped.outputs).alpha
    matrices = mapped.weights(kind)
    products = [matrix.with_data(np.abs(matrix.data)).build_product(n_samples) for matrix in matrices]
    return lambda counts: [multiply(counts) / np.maximum(own, 0.5) for multiply, own in zip(products, alpha, strict=True)]


class _Swing:
    """What is kept of the states of a row of neurons, step after step, part of the samples after part."""

    def __init__(self, parameters: NeuronParameters, shape: tuple[int, int], depth: float, *, has_levels: bool) -> None:
        self.n_steps, self.depth = shape[1], depth
        self.is_finite = np.isfinite(parameters.threshold)
        self.threshold = np.where(self.is_finite, parameters.threshold, 0.0)
        self.highest, self.lowest, self.needed, self.largest = np.zeros((4, parameters.size))
        n_synapses, n_pairs = len(parameters.alpha), shape[0] * shape[1]
        n_kept = min(n_pairs, max(_FEWEST_KEPT, _MOST_VALUES // max(1, parameters.size * (1 + n_synapses))))
        kept = np.unique(np.linspace(0, n_pairs - 1, n_kept).astype(np.int64)) if has_levels else np.zeros(0, np.int64)
        self.is_kept = np.zeros(shape, np.bool_)
        self.is_kept.reshape(-1)[kept] = True
        self.states, self.n_seen = np.empty((1 + n_synapses, kept.size, parameters.size)), 0

    def begin(self, start: int, n_samples: int) -> None:
        """Start at rest with some samples."""
        self.samples = slice(start, start + n_samples)
        self.held = np.zeros((len(self.states) - 1, n_samples, self.threshold.size))
        self.deepest = np.full((n_samples, self.threshold.size), np.inf)

    def add(
        self, step: int, potentials: FloatArray, currents: FloatArray, counts: FloatArray, arriving: list[list[FloatArray]]
    ) -> None:
        """Take states ``(n_samples, n)`` (currents: ``n_synapses`` before), spikes, and bounds on what arrives at each synapse.

        Below the state's limit no sum of what a current holds and what arrives saturates on its way, so that the order in
        which spikes arrive plays no part.
        """
        reached = potentials + counts * self.threshold
        self.highest = np.maximum(self.highest, reached.max(axis=0, initial=0.0))
        self.lowest = np.maximum(self.lowest, -potentials.min(axis=0, initial=0.0))
        if np.isfinite(self.depth):
            self._add_return(potentials, reached)
        size = np.abs(currents)
        for synapse, held in enumerate(self.held):
            for sums in arriving:
                held += sums[synapse]
            self.largest = np.maximum(self.largest, np.maximum(held, size[synapse]).max(axis=0, initial=0.0))
        self.held = size
        mine = self.is_kept[self.samples, step]
        if not mine.any():
            return
        places = slice(self.n_seen, self.n_seen + int(mine.sum()))
        self.states[0, places], self.states[1:, places], self.n_seen = potentials[mine], currents[:, mine], places.stop

    def _add_return(self, potentials: FloatArray, reached: FloatArray) -> None:
        """Measure how deep below 0 potentials must be held so that no spike is lost or gained.

        What saturates at a depth D returns too high by what it sank below it. That shows once it is at the threshold again, or
        would be but for having sunk that low::

            D = max over t of min(u[t], threshold) - min over s <= t of v[s] - threshold

        with u the potential before the reset and v after it. A neuron that is off and sinks ever lower needs none.
        """
        np.minimum(self.deepest, potentials, out=self.deepest)
        risen = np.minimum(reached, self.threshold) - self.deepest
        self.needed = np.maximum(self.needed, risen.max(axis=0, initial=0.0) - self.threshold)

    def finish(self, height: float) -> StateSwing:
        lowest, threshold = self.lowest, self.threshold
        if np.isfinite(self.depth):
            thresholds = self.needed / np.where(threshold > 0, threshold, 1.0)
            held = np.minimum(self.depth, thresholds + _SPARE_DEPTH) * threshold
            lowest = np.where(self.is_finite, np.minimum(lowest, held), lowest)
        reached = np.maximum(self.highest, lowest)
        reached = np.where(self.is_finite, np.minimum(reached, _MOST_THRESHOLDS * threshold), reached)
        highest = height * np.where(self.is_finite, threshold, np.inf)
        levels = _find_levels(self.states)
        return StateSwing(
            peak=np.minimum(np.maximum(reached, self.largest), highest),
            current_levels=levels[:, 1:],
            potential_levels=levels[:, 0],
            n_steps=self.n_steps,
        )


def _find_levels(states: FloatArray) -> FloatArray:
    """Return quantiles of states ``(n_kinds, n_kept, n)``, as numpy finds them: ``(n_levels, n_kinds, n)``; none of no states."""
    n_kinds, n_kept, n = states.shape
    if not n_kept:
        return np.zeros((0, n_kinds, n))
    place = np.linspace(0.0, 1.0, N_LEVELS) * (n_kept - 1)
    low = np.floor(place).astype(np.int64)
    part = (place - low)[:, np.newaxis]
    levels = np.empty((N_LEVELS, n_kinds, n))
    block = max(1, _MOST_STATES // max(1, n_kept))
    for kind in range(n_kinds):
        for start in range(0, n, block):
            ordered = np.sort(np.ascontiguousarray(states[kind, :, start : start + block].T), axis=1).T
            below, above = ordered[low], ordered[np.minimum(low + 1, n_kept - 1)]
            gap = above - below
            levels[:, kind, start : start + block] = np.where(part >= 0.5, above - gap * (1.0 - part), below + gap * part)
    return levels
