"""Products of counts with sparse weights whose targets share their sources, as the channels of a convolution do: compiled.

Targets with the same sources make a block of weights without gaps, whose sums stay near the processor. Blocks at different places
of a convolution hold the same weights, which are kept once.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from snnmap.core.csr import spread_marks
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


def find_blocks(indptr: IntArray, indices: IntArray, data: FloatArray, n_post: int) -> Blocks | None:
    """Arrange compressed rows, ``(n_pre + 1,)``, ``(nnz,)`` and ``(nnz,)``, as blocks; None where that gains nothing."""
    if data.size < _FEW_SOURCES * n_post:
        return None
    marks = _mark_targets(indptr, indices, spread_marks(indptr.size - 1), n_post)
    targets = np.argsort(marks, kind="stable")
    edges = _split_alike(marks[targets])
    if n_post < _FEW_ALIKE * (edges.size - 1):
        return None
    sources, lines, places, weights = _fill_blocks(indptr, indices, data, targets, edges)
    if weights.size != data.size:
        return None  # of two targets with the same mark that have other sources
    known, distinct, n_placed = dict[tuple[int, bytes], int](), list[FloatArray](), 0
    for block, (first, last) in enumerate(zip(places[:-1].tolist(), places[1:].tolist(), strict=True)):
        mine = weights[first:last]
        key = int(edges[block + 1] - edges[block]), mine.tobytes()
        if key not in known:
            known[key], n_placed = n_placed, n_placed + mine.size
            distinct.append(mine)
        places[block] = known[key]
    return Blocks(targets, edges, sources, lines, places[:-1], np.concatenate(distinct))


@_compile
def _mark_targets(indptr: Any, indices: Any, marks: Any, n_post: int) -> Any:
    """Return the sum of the marks of each target's sources."""
    sums = np.zeros(n_post, np.uint64)
    for source in range(indptr.size - 1):
        for target in indices[indptr[source] : indptr[source + 1]]:
            sums[target] += marks[source]
    return sums


@_compile
def _split_alike(marks: Any) -> Any:
    """Return where blocks start: at most ``_WIDEST`` equal marks in a row."""
    starts, n_starts = np.empty(marks.size + 1, np.int64), 0
    for place in range(marks.size):
        if not n_starts or marks[place] != marks[place - 1] or place - starts[n_starts - 1] == _WIDEST:
            starts[n_starts] = place
            n_starts += 1
    starts[n_starts] = marks.size
    return starts[: n_starts + 1].copy()


@_compile
def _fill_blocks(indptr: Any, indices: Any, data: Any, targets: Any, edges: Any) -> tuple[Any, Any, Any, Any]:
    """Return sources and weights of the blocks, and where each block's start; of targets with other sources, more weights."""
    n_blocks = edges.size - 1
    block_of, lane_of, n_lines = np.empty(targets.size, np.int64), np.empty(targets.size, np.int64), np.zeros(n_blocks, np.int64)
    for block in range(n_blocks):
        for place in range(edges[block], edges[block + 1]):
            block_of[targets[place]], lane_of[targets[place]] = block, place - edges[block]
    last = np.full(n_blocks, -1)
    for source in range(indptr.size - 1):
        for target in indices[indptr[source] : indptr[source + 1]]:
            n_lines[block_of[target]] += last[block_of[target]] != source
            last[block_of[target]] = source
    lines, places = np.zeros(n_blocks + 1, np.int64), np.zeros(n_blocks + 1, np.int64)
    lines[1:], places[1:] = np.cumsum(n_lines), np.cumsum(n_lines * np.diff(edges))
    sources, weights, line = np.empty(lines[-1], np.int32), np.zeros(places[-1]), lines[:-1] - 1
    for source in range(indptr.size - 1):
        for place in range(indptr[source], indptr[source + 1]):
            block = block_of[indices[place]]
            if line[block] < lines[block] or sources[line[block]] != source:
                line[block] += 1
                sources[line[block]] = source
            wide = edges[block + 1] - edges[block]
            weights[places[block] + (line[block] - lines[block]) * wide + lane_of[indices[place]]] = data[place]
    return sources, lines, places, weights


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
