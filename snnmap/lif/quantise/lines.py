"""All weights onto a row of neurons, whatever memory and synapse they are stored for, target by target."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from snnmap.chip import Family
from snnmap.core import CsrMatrix, FloatArray, IntArray, record, split_near, take_places
from snnmap.core.cached import Cached, cached
from snnmap.lif.quantise.decays import DecayCodes
from snnmap.lif.quantise.rounding import Entries

__all__ = ["Lines", "MemoryWeights", "list_lines"]

_Pairs: TypeAlias = IntArray | slice
"""Which pairs of source and target, as an index."""


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
class Lines(Cached):
    """All weights onto a row of neurons as :class:`Entries`, with where they stand in their memories.

    Attributes:
        entries: of the row.
        places: the line of each stored weight, in the order of its matrix, memory by memory and synapse by synapse.
    """

    entries: Entries
    places: tuple[tuple[IntArray, ...], ...]

    @property
    @cached
    def target(self) -> IntArray:
        """The target of each line, ``(n_lines,) int64``."""
        edges = self.entries.edges
        return np.repeat(np.arange(edges.size - 1), np.diff(edges))


def list_lines(
    memories: Sequence[MemoryWeights], decays: DecayCodes, scale: FloatArray, shifts: Sequence[int], family: Family
) -> Lines:
    """List the weights at some scales, in state units, of the synapses up to the last one used.

    Args:
        memories: of the weights.
        decays: of the neurons.
        scale: ``(n,) float64``, state units for one trained unit.
        shifts: weight shift of each memory.
        family: the chip's arithmetic.
    """
    n_used = 1 + max(s for memory in memories for s, matrix in enumerate(memory.matrices) if matrix.nnz or s == 0)
    patterns = [_join_patterns(memory.matrices) for memory in memories]
    edges = np.r_[0, np.cumsum(np.sum([pattern.column_lengths for pattern, _ in patterns], axis=0))]
    n, free, first = int(edges[-1]), edges[:-1].copy(), 0
    source, value, present = np.empty(n, np.int64), np.zeros((n, n_used)), np.zeros((n, n_used), np.bool_)
    places: list[tuple[IntArray, ...]] = []
    for memory, (pattern, which) in zip(memories, patterns, strict=True):
        line = take_places(pattern.indices, free)
        source[line] = np.repeat(np.arange(first, first + pattern.shape[0]), pattern.row_lengths)
        first += pattern.shape[0]
        places.append(tuple(line[own] for own in which))
        for synapse, (matrix, place) in enumerate(zip(memory.matrices[:n_used], places[-1], strict=False)):
            factor = decays.weight_factor[synapse] * scale
            for part in split_near(matrix.nnz):
                value[:, synapse][place[part]] = matrix.data[part] * factor[matrix.indices[part]]
                present[:, synapse][place[part]] = True
    steps = [float(1 << (shift + family.weight_shift)) for shift in shifts]
    lsb = np.repeat(steps, [pattern.shape[0] for pattern, _ in patterns])
    entries = Entries(edges=edges, source=source, present=present, value=value, lsb=lsb)
    return Lines(entries=entries, places=tuple(places))


def _join_patterns(matrices: tuple[CsrMatrix, ...]) -> tuple[CsrMatrix, tuple[_Pairs, ...]]:
    """Return which sources have a weight onto which targets on any synapse, and which of these each weight is of."""
    first = next((matrix for matrix in matrices if matrix.nnz), matrices[0])
    if all(_is_alike(first, matrix) for matrix in matrices if matrix.nnz):
        return first, tuple(slice(matrix.nnz) for matrix in matrices)
    n_pre, n = first.shape
    keys = [matrix.rows * n + matrix.indices for matrix in matrices]
    every = np.sort(np.concatenate(keys), kind="stable")  # runs that ascend, which are merged
    every = every[np.diff(every, prepend=-1) > 0]
    edges = np.searchsorted(every, np.arange(n_pre + 1) * n)
    joined = CsrMatrix(shape=first.shape, indptr=edges, indices=every % n, data=np.ones(every.size))
    return joined, tuple(np.searchsorted(every, own) for own in keys)


def _is_alike(one: CsrMatrix, other: CsrMatrix) -> bool:
    return np.array_equal(one.indptr, other.indptr) and np.array_equal(one.indices, other.indices)
