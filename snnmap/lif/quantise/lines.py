"""All weights onto a row of neurons, whatever memory and synapse they are stored for, target by target."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnmap.chip import Family
from snnmap.core import CsrMatrix, FloatArray, IntArray, order_keys, record
from snnmap.lif.quantise.decays import DecayCodes
from snnmap.lif.quantise.rounding import Entries

__all__ = ["Lines", "MemoryWeights", "list_lines"]


@record
class MemoryWeights:
    """Trained weights of one kind of memory onto a row of neurons.

    Attributes:
        name: such as ``recurrent_weights``.
        matrices: one ``(n_pre, n)`` matrix a synapse.
    """

    name: str
    matrices: tuple[CsrMatrix, ...]


@record
class Lines:
    """All weights onto a row of neurons as :class:`Entries`, with where they stand in their memories.

    ``target`` and ``memory`` are those of each line; ``places`` gives the line of each stored weight, in the order of its matrix,
    memory by memory and synapse by synapse.
    """

    entries: Entries
    target: IntArray
    memory: npt.NDArray[np.int8]
    places: tuple[tuple[IntArray, ...], ...]

    def scale(self, factor: FloatArray) -> "Lines":
        """Return the same with values at other scales, ``(n,)`` of the neurons."""
        value = self.entries.value * factor[self.target][:, np.newaxis]
        return replace(self, entries=self.entries._replace(value=value))


def list_lines(
    memories: Sequence[MemoryWeights], decays: DecayCodes, scale: FloatArray, shifts: Sequence[int], family: Family
) -> Lines:
    """List the weights at some scales, in state units.

    Args:
        memories: of the weights.
        decays: of the neurons.
        scale: ``(n,) float64``, state units for one trained unit.
        shifts: weight shift of each memory.
        family: the chip's arithmetic.
    """
    n_synapses, n = decays.dash_syn.shape
    patterns = [_join_patterns(memory.matrices) for memory in memories]
    first = np.cumsum([0, *(memory.matrices[0].shape[0] for memory in memories)])
    target = np.concatenate([pattern % n for pattern, _ in patterns])
    source = np.concatenate([pattern // n + start for (pattern, _), start in zip(patterns, first[:-1], strict=True)])
    memory = np.repeat(np.arange(len(memories), dtype=np.int8), [pattern.size for pattern, _ in patterns])
    order = order_keys(target, n)
    line = np.empty_like(order)
    line[order] = np.arange(order.size)
    places = _split(line, patterns)
    value, present = np.zeros((order.size, n_synapses)), np.zeros((order.size, n_synapses), np.bool_)
    for weights, own in zip(memories, places, strict=True):
        for synapse, (matrix, place) in enumerate(zip(weights.matrices, own, strict=True)):
            value[place, synapse] = matrix.data * (decays.weight_factor[synapse] * scale)[matrix.indices]
            present[place, synapse] = True
    memory = memory[order]
    entries = Entries(
        edges=np.r_[0, np.cumsum(np.bincount(target, minlength=n))],
        source=source[order],
        present=present,
        value=value,
        lsb=np.array([float(1 << (shift + family.weight_shift)) for shift in shifts])[memory],
    )
    return Lines(entries=entries, target=target[order], memory=memory, places=places)


def _join_patterns(matrices: tuple[CsrMatrix, ...]) -> tuple[IntArray, tuple[IntArray, ...]]:
    """Return which pairs of source and target have a weight on any synapse, ascending; and which of them each weight is of."""
    keys = [matrix.rows * matrix.shape[1] + matrix.indices for matrix in matrices]
    first = next((own for own in keys if own.size), keys[0])
    if all(np.array_equal(first, own) for own in keys if own.size):
        return first, tuple(np.arange(own.size) for own in keys)
    every = np.sort(np.concatenate(keys), kind="stable")  # runs that ascend, which are merged
    every = every[np.diff(every, prepend=-1) > 0]
    return every, tuple(np.searchsorted(every, own) for own in keys)


def _split(line: IntArray, patterns: Sequence[tuple[IntArray, tuple[IntArray, ...]]]) -> tuple[tuple[IntArray, ...], ...]:
    """Return the line of each weight, memory by memory and synapse by synapse."""
    parts = np.split(line, np.cumsum([pattern.size for pattern, _ in patterns])[:-1])
    return tuple(tuple(part[own] for own in which) for part, (_, which) in zip(parts, patterns, strict=True))
