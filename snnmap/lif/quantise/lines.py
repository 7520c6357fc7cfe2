"""All weights onto a row of neurons, whatever memory and synapse they are stored for, target by target."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from snnmap.chip import Family
from snnmap.core import CsrMatrix, FloatArray, IntArray, order_keys, record
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
class Lines:
    """All weights onto a row of neurons as :class:`Entries`, with where they stand in their memories.

    ``target`` is that of each line; ``places`` gives the line of each stored weight, in the order of its matrix, memory by memory
    and synapse by synapse.
    """

    entries: Entries
    target: IntArray
    places: tuple[tuple[IntArray, ...], ...]


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
    n = scale.size
    n_used = 1 + max(s for memory in memories for s, matrix in enumerate(memory.matrices) if matrix.nnz or s == 0)
    patterns = [_join_patterns(memory.matrices) for memory in memories]
    sizes = [pattern.nnz for pattern, _ in patterns]
    first = np.cumsum([0, *(pattern.shape[0] for pattern, _ in patterns)])
    source = np.concatenate([pattern.rows + start for (pattern, _), start in zip(patterns, first, strict=False)])
    target = np.concatenate([pattern.indices for pattern, _ in patterns])
    order, edges = order_keys(target, n), np.r_[0, np.cumsum(np.bincount(target, minlength=n))]
    line = np.empty_like(order)
    line[order] = np.arange(order.size)
    places = _split(line, [which for _, which in patterns], sizes)
    value, present = np.zeros((order.size, n_used)), np.zeros((order.size, n_used), np.bool_)
    for weights, own in zip(memories, places, strict=True):
        for synapse, (matrix, place) in enumerate(zip(weights.matrices[:n_used], own, strict=False)):
            value[place, synapse] = matrix.data * (decays.weight_factor[synapse] * scale)[matrix.indices]
            present[place, synapse] = True
    memory = np.repeat(np.arange(len(memories), dtype=np.int8), sizes)[order]
    entries = Entries(
        edges=edges,
        source=source[order],
        present=present,
        value=value,
        lsb=np.array([float(1 << (shift + family.weight_shift)) for shift in shifts])[memory],
    )
    return Lines(entries=entries, target=np.repeat(np.arange(n), np.diff(edges)), places=places)


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


def _split(line: IntArray, which: Sequence[tuple[_Pairs, ...]], sizes: Sequence[int]) -> tuple[tuple[IntArray, ...], ...]:
    """Return the line of each weight, memory by memory and synapse by synapse."""
    parts = np.split(line, np.cumsum(sizes)[:-1])
    return tuple(tuple(part[own] for own in owns) for part, owns in zip(parts, which, strict=True))
