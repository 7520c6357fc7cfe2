"""How far the states of a row of neurons swing in runs."""

from typing import NamedTuple

import numpy as np

from snnmap.core import FloatArray, IntArray, record
from snnmap.lif.program import NeuronParameters

__all__ = ["N_LEVELS", "MOST_STATES", "Extremes", "Kept", "StateSwing", "Swing"]

N_LEVELS = 33
"""Quantiles by which a distribution of states is known."""
MOST_STATES = 1_000_000
"""States of one kind that are held at once."""
_MOST_THRESHOLDS = 256.0
"""Thresholds beyond which potentials of a neuron that fires are not held: it fires in every step, or not for a long time."""
_MOST_VALUES = 8_000_000
"""States that are kept for their quantiles."""
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


class Extremes(NamedTuple):
    """How far the states of a row went so far, all ``(n,) float64``.

    Attributes:
        highest: potentials before the reset.
        lowest: potentials, with their sign turned.
        needed: how deep below 0 a potential must be held so that no spike is lost or gained.
        largest: magnitudes of currents, and of partial sums of them in any order.
    """

    highest: FloatArray
    lowest: FloatArray
    needed: FloatArray
    largest: FloatArray


class Kept(NamedTuple):
    """Which states of a row are kept.

    Attributes:
        place: ``(n_samples, n_steps) int64``, where in ``states``; -1 where they are not kept.
        states: ``(1 + n_synapses, n_kept, n) float64``, potentials and currents.
    """

    place: IntArray
    states: FloatArray


class Swing:
    """What is kept of the states of a row of neurons, step after step, part of the samples after part.

    Args:
        parameters: of the row.
        shape: samples and steps of the runs.
        depth: thresholds below 0 beyond which a potential need not be held.
        has_levels: whether quantiles of the states are wanted.
    """

    def __init__(self, parameters: NeuronParameters, shape: tuple[int, int], depth: float, *, has_levels: bool) -> None:
        self.n_steps, self.depth = shape[1], depth
        self.is_finite = np.isfinite(parameters.threshold)
        self.threshold = np.where(self.is_finite, parameters.threshold, 0.0)
        self.extremes = self.make_extremes()
        n_synapses, n_pairs = len(parameters.alpha), shape[0] * shape[1]
        n_kept = min(n_pairs, max(_FEWEST_KEPT, _MOST_VALUES // max(1, parameters.size * (1 + n_synapses)))) if has_levels else 0
        chosen = np.unique(np.linspace(0, n_pairs - 1, n_kept).astype(np.int64))
        place = np.full(shape, -1)
        place.reshape(-1)[chosen] = np.arange(chosen.size)
        self.kept = Kept(place, np.zeros((1 + n_synapses, chosen.size, parameters.size)))

    def make_extremes(self) -> Extremes:
        """Return extremes of nothing."""
        return Extremes(*np.zeros((4, self.threshold.size)))

    def take(self, found: Extremes) -> None:
        """Take the extremes of other samples in."""
        for mine, other in zip(self.extremes, found, strict=True):
            np.maximum(mine, other, out=mine)

    def begin(self, start: int, n_samples: int) -> None:
        """Start at rest with some samples."""
        self.samples = slice(start, start + n_samples)
        self.held = np.zeros((len(self.kept.states) - 1, n_samples, self.threshold.size))
        self.deepest = np.full((n_samples, self.threshold.size), np.inf)

    def add(
        self, step: int, potentials: FloatArray, currents: FloatArray, counts: FloatArray, arriving: list[list[FloatArray]]
    ) -> None:
        """Take states ``(n_samples, n)`` (currents: ``n_synapses`` before), spikes, and bounds on what arrives at each synapse.

        Below the state's limit no sum of what a current holds and what arrives saturates on its way, so that the order in
        which spikes arrive plays no part.
        """
        reached = potentials + counts * self.threshold
        size, largest = np.abs(currents), np.zeros(self.threshold.size)
        for synapse, held in enumerate(self.held):
            for sums in arriving:
                held += sums[synapse]
            np.maximum(largest, np.maximum(held, size[synapse]).max(axis=0, initial=0.0), out=largest)
        self.held = size
        highest, lowest = reached.max(axis=0, initial=0.0), -potentials.min(axis=0, initial=0.0)
        needed = self._measure_return(potentials, reached) if np.isfinite(self.depth) else np.zeros(self.threshold.size)
        self.take(Extremes(highest, lowest, needed, largest))
        place = self.kept.place[self.samples, step]
        mine = place >= 0
        if mine.any():
            self.kept.states[0, place[mine]], self.kept.states[1:, place[mine]] = potentials[mine], currents[:, mine]

    def _measure_return(self, potentials: FloatArray, reached: FloatArray) -> FloatArray:
        """Measure how deep below 0 potentials must be held so that no spike is lost or gained.

        What saturates at a depth D returns too high by what it sank below it. That shows once it is at the threshold again, or
        would be but for having sunk that low::

            D = max over t of min(u[t], threshold) - min over s <= t of v[s] - threshold

        with u the potential before the reset and v after it. A neuron that is off and sinks ever lower needs none.
        """
        np.minimum(self.deepest, potentials, out=self.deepest)
        risen = np.minimum(reached, self.threshold) - self.deepest
        return np.asarray(risen.max(axis=0, initial=0.0) - self.threshold, np.float64)

    def finish(self, height: float) -> StateSwing:
        """Return what was seen; no state of a neuron that fires is taken to go beyond ``height`` thresholds."""
        highest, lowest, needed, largest = self.extremes
        threshold = self.threshold
        if np.isfinite(self.depth):
            thresholds = needed / np.where(threshold > 0, threshold, 1.0)
            held = np.minimum(self.depth, thresholds + _SPARE_DEPTH) * threshold
            lowest = np.where(self.is_finite, np.minimum(lowest, held), lowest)
        reached = np.maximum(highest, lowest)
        reached = np.where(self.is_finite, np.minimum(reached, _MOST_THRESHOLDS * threshold), reached)
        limit = height * np.where(self.is_finite, threshold, np.inf)
        levels = _find_levels(self.kept.states)
        return StateSwing(
            peak=np.minimum(np.maximum(reached, largest), limit),
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
    block = max(1, MOST_STATES // max(1, n_kept))
    for kind in range(n_kinds):
        for start in range(0, n, block):
            ordered = np.sort(np.ascontiguousarray(states[kind, :, start : start + block].T), axis=1).T
            below, above = ordered[low], ordered[np.minimum(low + 1, n_kept - 1)]
            gap = above - below
            levels[:, kind, start : start + block] = np.where(part >= 0.5, above - gap * (1.0 - part), below + gap * part)
    return levels
