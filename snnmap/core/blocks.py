"""Products of counts with sparse weights whose targets share their sources, as the channels of a convolution do: compiled.

Targets with the same sources make a block of weights without gaps, whose sums stay near the processor. Blocks at different places
of a convolution hold the same weights, which are kept once.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from snnmap.core.csr import order_alike
from snnmap.core.record import FloatArray, IntArray

__all__ = ["Blocks", "add_blocks", "find_blocks"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_FEW_ALIKE = 8
"""Targets of a block, on average, from which on it is quicker to add them up beside each other."""
_FEW_SOURCES = 8
"""Sources of a target, on average, from which on it is worth while to look for blocks."""
_WIDEST = 64
"""Targets of a block, whose sums of some tens of rows are held near."""


class Blocks(NamedTuple):
    """A sparse matrix as blocks.

    Attributes:
        targets: ``(n_post,) int64``, block after block.
        edges: ``(n_blocks + 1,) int64``, where each block's targets start.
        sources: ``int32``, block after block, ascending in each.
        lines: ``(n_blocks + 1,) int64``, where each block's sources start.
        places: ``(n_blocks,) int64``, where each block's weights start in ``data``, source after source.
        data: ``float64``, the weights of all blocks that differ.
    """

    targets: IntArray
    edges: IntArray
    sources: npt.NDArray[np.int32]
    lines: IntArray
    places: IntArray
    data: FloatArray


def find_blocks(edges: IntArray, sources: npt.NDArray[np.int32], data: FloatArray) -> Blocks | None:
    """Arrange compressed columns, ``(n_post + 1,)``, ``(nnz,)`` and ``(nnz,)``, as blocks; None where that gains nothing."""
    if data.size < _FEW_SOURCES * (edges.size - 1):
        return None
    targets = order_alike(edges, sources)
    starts = _split_targets(edges, sources, targets, _WIDEST)
    first = targets[starts[:-1]]
    if targets.size < _FEW_ALIKE * first.size:
        return None
    lines = np.r_[0, np.cumsum(np.diff(edges)[first])]
    own = [sources[start:end] for start, end in zip(edges[first].tolist(), edges[first + 1].tolist(), strict=True)]
    places, distinct, n_placed = dict[tuple[int, bytes], int](), list[FloatArray](), 0
    place = np.zeros(first.size, np.int64)
    for block, mine in enumerate(_list_targets(targets, starts)):
        weights = np.stack([data[edges[target] : edges[target + 1]] for target in mine], axis=1)
        key = mine.size, weights.tobytes()
        if key not in places:
            places[key], n_placed = n_placed, n_placed + weights.size
            distinct.append(weights.ravel())
        place[block] = places[key]
    joined = [np.concatenate(parts) if parts else np.zeros(0, kind) for parts, kind in ((own, np.int32), (distinct, np.float64))]
    return Blocks(targets, starts, joined[0], lines, place, joined[1])


def _list_targets(targets: IntArray, starts: IntArray) -> Iterator[IntArray]:
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield targets[first:last]


@_compile
def _split_targets(edges: Any, sources: Any, targets: Any, widest: int) -> Any:
    """Return where blocks start among targets: at most so many in a row that have the same sources."""
    starts, n_starts = np.empty(targets.size + 1, np.int64), 0
    for place in range(targets.size):
        is_same = n_starts > 0 and place - starts[n_starts - 1] < widest
        if is_same:
            mine, its = targets[place], targets[place - 1]
            first, last, other = edges[mine], edges[mine + 1], edges[its]
            is_same = last - first == edges[its + 1] - other
            while is_same and first < last:
                is_same = sources[first] == sources[other]
                first, other = first + 1, other + 1
        if not is_same:
            starts[n_starts] = place
            n_starts += 1
    starts[n_starts] = targets.size
    return starts[: n_starts + 1].copy()


@_compile
def add_blocks(values: Any, blocks: Any) -> Any:
    """Return ``values @ weights``, ``(n, n_post) float64``, every sum in ascending source; a source of value 0 adds nothing.

    Args:
        values: ``(n, n_pre) float64``, finite.
        blocks: finite weights.
    """
    targets, edges, sources, lines, places, data = blocks
    n, n_post = len(values), targets.size
    starts, rows, counts = _list_counts(values)
    beside, first, width = np.zeros(n * n_post), np.empty(n_post, np.int64), np.empty(n_post, np.int64)
    for block in range(len(places)):
        wide, own, line = edges[block + 1] - edges[block], edges[block] * n, np.uint64(places[block])
        for place in range(edges[block], edges[block + 1]):
            first[targets[place]], width[targets[place]] = own + place - edges[block], wide
        for source in sources[lines[block] : lines[block + 1]]:
            for event in range(starts[source], starts[source + 1]):
                count, at = counts[event], np.uint64(own + rows[event] * wide)
                for lane in range(wide):
                    beside[at + np.uint64(lane)] += count * data[line + np.uint64(lane)]
            line += np.uint64(wide)
    sums = np.empty((n, n_post))
    for row in range(n):
        for target in range(n_post):
            sums[row, target] = beside[first[target] + row * width[target]]
    return sums


@_compile
def _list_counts(values: Any) -> tuple[Any, Any, Any]:
    """Return the values that are not 0, source by source: where each source's start, their rows, and they themselves."""
    n, n_pre = values.shape
    found, ends, n_found = np.empty(n * n_pre + 1, np.int32), np.zeros(n + 1, np.int64), 0
    for row in range(n):
        for source in range(n_pre):
            found[np.uint64(n_found)] = source
            n_found += values[row, source] != 0.0
        ends[row + 1] = n_found
    starts = np.zeros(n_pre + 1, np.int64)
    for source in found[:n_found]:
        starts[source + 1] += 1
    starts = np.cumsum(starts)
    free, rows, counts = starts[:-1].copy(), np.empty(n_found, np.int32), np.empty(n_found)
    for row in range(n):
        for source in found[ends[row] : ends[row + 1]]:
            rows[free[source]], counts[free[source]] = row, values[row, source]
            free[source] += 1
    return starts, rows, counts
