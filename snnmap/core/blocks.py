"""Products of counts with sparse weights whose targets share their sources, as the channels of a convolution do: compiled.

Targets with the same sources make a block. Block after block, a source's weights onto neighbouring places of a convolution lie in
a row, and so do the sums that they are added to; sources of the same channel at other places have the same weights, which are
kept once.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from snnmap.core.csr import spread_marks
from snnmap.core.record import FloatArray, IntArray

__all__ = ["Blocks", "add_blocks", "find_blocks"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_FEW_ALIKE = 8
"""Targets of a block, on average, from which on it is quicker to add them up beside each other."""
_FEW_SOURCES = 8
"""Sources of a target, on average, from which on it is worth while to look for blocks."""


class Blocks(NamedTuple):
    """A sparse matrix as runs of targets, which are numbered anew, block after block.

    Attributes:
        rank: ``(n_post,) int64``, the new number of each target.
        edges: ``(n_pre + 1,) int64``, where each source's runs start.
        first: ``(n_runs,) int64``, the first target of each run, by its new number.
        wide: ``(n_runs,) int64``, how many there are.
        places: ``(n_pre,) int64``, where each source's weights start in ``data``, run after run.
        data: ``float64``, the weights of all sources that differ.
    """

    rank: IntArray
    edges: IntArray
    first: IntArray
    wide: IntArray
    places: IntArray
    data: FloatArray


def find_blocks(indptr: IntArray, indices: IntArray, data: FloatArray, n_post: int) -> Blocks | None:
    """Arrange compressed rows, ``(n_pre + 1,)``, ``(nnz,)`` and ``(nnz,)``, as blocks; None where that gains nothing."""
    if data.size < _FEW_SOURCES * n_post:
        return None
    marks = _mark_targets(indptr, indices, spread_marks(indptr.size - 1), n_post)
    _, earliest, alike = np.unique(marks, return_index=True, return_inverse=True)
    targets = np.argsort(earliest[alike], kind="stable")
    edges = np.r_[np.flatnonzero(np.diff(marks[targets], prepend=~marks[targets[:1]])), n_post]
    if n_post < _FEW_ALIKE * (edges.size - 1):
        return None
    rank = np.empty(n_post, np.int64)
    rank[targets] = np.arange(n_post)
    block = np.repeat(np.arange(edges.size - 1), np.diff(edges))[rank]
    n_lines, is_whole = _count_lines(indptr, indices, block, edges)
    if not is_whole:
        return None  # of two targets with the same mark that have other sources
    weights = np.empty_like(data)
    lines, first, wide = _list_runs(indptr, indices, data, rank, block, edges, n_lines, weights)
    places, distinct = _keep_distinct(indptr, weights)
    return Blocks(rank, lines, first, wide, places, distinct)


@_compile
def _mark_targets(indptr: Any, indices: Any, marks: Any, n_post: int) -> Any:
    """Return the sum of the marks of each target's sources."""
    sums = np.zeros(n_post, np.uint64)
    for source in range(indptr.size - 1):
        for target in indices[indptr[source] : indptr[source + 1]]:
            sums[target] += marks[source]
    return sums


@_compile
def _count_lines(indptr: Any, indices: Any, block: Any, edges: Any) -> tuple[int, bool]:
    """Return how many blocks all sources have, and whether each has all targets of its blocks."""
    last, n_lines = np.full(edges.size - 1, -1), 0
    for source in range(indptr.size - 1):
        n_targets = 0
        for target in indices[indptr[source] : indptr[source + 1]]:
            mine = block[target]
            if last[mine] != source:
                last[mine] = source
                n_targets += edges[mine + 1] - edges[mine]
                n_lines += 1
        if n_targets != indptr[source + 1] - indptr[source]:
            return n_lines, False
    return n_lines, True


@_compile
def _list_runs(
    indptr: Any, indices: Any, data: Any, rank: Any, block: Any, edges: Any, n_lines: int, weights: Any
) -> tuple[Any, Any, Any]:
    """Return where each source's runs start, first target and length of each; write the weights in their order."""
    lines, first, wide, n_runs = np.zeros(indptr.size, np.int64), np.empty(n_lines, np.int64), np.empty(n_lines, np.int64), 0
    last, start, mine = np.full(edges.size - 1, -1), np.empty(edges.size - 1, np.int64), np.empty(edges.size - 1, np.int64)
    for source in range(indptr.size - 1):
        n_mine = 0
        for target in indices[indptr[source] : indptr[source + 1]]:
            if last[block[target]] != source:
                last[block[target]] = source
                mine[n_mine] = block[target]
                n_mine += 1
        at = indptr[source]
        mine[:n_mine].sort()
        for one in mine[:n_mine]:
            if at == indptr[source] or first[n_runs - 1] + wide[n_runs - 1] != edges[one]:
                first[n_runs], wide[n_runs] = edges[one], 0
                n_runs += 1
            wide[n_runs - 1] += edges[one + 1] - edges[one]
            start[one] = at - edges[one]
            at += edges[one + 1] - edges[one]
        for place in range(indptr[source], indptr[source + 1]):
            target = indices[place]
            weights[start[block[target]] + rank[target]] = data[place]
        lines[source + 1] = n_runs
    return lines, first[:n_runs].copy(), wide[:n_runs].copy()


@_compile
def _keep_distinct(indptr: Any, weights: Any) -> tuple[Any, Any]:
    """Return where each row's weights are among those that differ, and these."""
    n_slots, bits, sizes = 2, weights.view(np.uint64), np.diff(indptr)
    while n_slots < 2 * indptr.size:
        n_slots *= 2
    slots, places, n_kept = np.full(n_slots, -1), np.empty(indptr.size - 1, np.int64), 0
    for row in range(indptr.size - 1):
        mine, mark = bits[indptr[row] : indptr[row + 1]], np.uint64(0)
        for word in mine:
            mark = (mark ^ word) * np.uint64(0x9E3779B97F4A7C15)
            mark ^= mark >> np.uint64(29)
        slot = np.int64(mark % np.uint64(n_slots))
        while slots[slot] >= 0 and not _is_kept(mine, bits[places[slots[slot]] :], sizes[slots[slot]]):
            slot = (slot + 1) % n_slots
        if slots[slot] < 0:
            slots[slot], places[row] = row, n_kept
            bits[n_kept : n_kept + mine.size] = mine
            n_kept += mine.size
        places[row] = places[slots[slot]]
    return places, weights[:n_kept].copy()


@_compile
def _is_kept(mine: Any, kept: Any, size: int) -> bool:
    n_alike = 0
    while n_alike < size == mine.size and kept[n_alike] == mine[n_alike]:
        n_alike += 1
    return bool(n_alike == size == mine.size)


@_compile
def add_blocks(values: Any, blocks: Any, sums: Any) -> None:
    """Write ``values @ weights`` to ``sums``, every sum in ascending source; a source of value 0 adds nothing.

    Args:
        values: ``(n, n_pre)``, finite.
        blocks: finite weights.
        sums: ``(n, n_post) float64``.
    """
    rank, edges, first, wide, places, data = blocks
    own = np.empty(rank.size)
    for row in range(len(values)):
        own[:] = 0.0
        for source in range(places.size):
            count = values[row, source]
            if count != 0.0:
                at = np.uint64(places[source])
                for run in range(edges[source], edges[source + 1]):
                    start, n_lanes = np.uint64(first[run]), wide[run]
                    for lane in range(n_lanes):
                        own[start + np.uint64(lane)] += count * data[at + np.uint64(lane)]
                    at += np.uint64(n_lanes)
        for target in range(rank.size):
            sums[row, target] = own[rank[target]]
