"""Input channels that calibration data never use, and whose weights all the same set the scale of what else arrives."""

from collections.abc import Iterator, Mapping

import numpy as np

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind
from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.lif.program import QuantisedNetwork, SilentInputs
from snnmap.network import join_rasters

__all__ = ["find_silent_inputs"]


def find_silent_inputs(quantised: QuantisedNetwork, calibration: Mapping[str, IntArray]) -> tuple[SilentInputs, ...]:
    """Find channels that never come and have the largest word onto a neuron, by port.

    All weights onto a neuron share its scale, which its largest weight sets. Where that is one of a channel of which no spike
    comes, no other data show what the others lose; in use the channel may come, so that its weight is kept.

    Args:
        quantised: network in integers.
        calibration: ``(n_samples, n_steps, size)`` counts by input port.
    """
    mapped = quantised.mapped
    silent: BoolArray = np.logical_not(join_rasters(mapped.inputs, calibration).any(axis=(0, 1)))
    if not silent.any() or silent.all():
        return ()
    return tuple(_find_by_port(quantised, silent))


def _find_by_port(quantised: QuantisedNetwork, silent: BoolArray) -> Iterator[SilentInputs]:
    table, (weights, shift) = quantised.mapped.table, quantised.program.memory(MemoryKind.INPUT)
    rows, onto = (np.concatenate(parts) for parts in zip(*((one.rows, one.indices) for one in weights), strict=True))
    reached = np.zeros(quantised.program.hidden.size, np.bool_)
    reached[onto[silent[rows]]] = True
    others = _find_largest_others(quantised, silent, reached)
    sizes = np.concatenate([np.abs(one.data) for one in weights]) * float(1 << shift)
    kept = silent[rows] & (others[onto] > 0)
    coarser = np.where(kept, sizes / np.where(others > 0, others, 1.0)[onto], 0.0)
    source = table.channel_source[rows]
    for number in np.unique(source[coarser > 1.0]).tolist():
        mine = np.where(source == number, coarser, 0.0)
        beyond = (mine > SilentInputs.LIMIT) | (mine == mine.max())
        yield SilentInputs(
            port=table.sources[number],
            channels=tuple(np.unique(table.channel_neuron[rows[beyond]]).tolist()),
            n_neurons=np.unique(onto[beyond]).size,
            coarser=float(mine.max()),
        )


def _find_largest_others(quantised: QuantisedNetwork, silent: BoolArray, reached: BoolArray) -> FloatArray:
    """Return the largest weight onto each hidden neuron that is reached, in units of its state; that of silent channels is none.

    Where all became 0 it is half of a word.
    """
    largest = np.zeros(quantised.program.hidden.size)
    for kind in HIDDEN_MEMORIES:
        stored = quantised.program.memory(kind)
        for trained, words in zip(quantised.mapped.weights(kind), stored.weights, strict=True):
            for matrix in (trained, words):
                places = np.flatnonzero(reached[matrix.indices])
                if kind is MemoryKind.INPUT:
                    places = places[~silent[matrix.rows[places]]]
                sizes = np.abs(words.data[places]) if matrix is words else np.full(places.size, 0.5)
                np.maximum.at(largest, matrix.indices[places], sizes * float(1 << stored.shift))
    return largest
