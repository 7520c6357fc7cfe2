"""What takes one pass over many synapses, compiled: their order, where they go, what there is of each target."""

from typing import Any

import numba
import numpy as np

__all__ = [
    "add_marks",
    "are_ordered",
    "count_columns",
    "keep_marked",
    "measure_columns",
    "order_by_row",
    "order_rows",
    "place_rows",
    "take_places",
    "turn",
]

_compile: Any = numba.njit(cache=True, nogil=True)


@_compile
def are_ordered(rows: Any, columns: Any) -> bool:
    """Say whether synapses ascend strictly, by row and then by column; both ``(nnz,) int64``."""
    for place in range(1, rows.size):
        if rows[place] < rows[place - 1] or (rows[place] == rows[place - 1] and columns[place] <= columns[place - 1]):
            return False
    return True


@_compile
def order_rows(edges: Any, ordered: Any, weights: Any) -> bool:
    """Order each row by column, those of one column as they stand; say whether no row has a column twice."""
    is_strict = True
    for row in range(edges.size - 1):
        mine, its = ordered[edges[row] : edges[row + 1]], weights[edges[row] : edges[row + 1]]
        ascends = True
        for place in range(1, mine.size):
            ascends = ascends and mine[place] > mine[place - 1]
        if not ascends:
            order = np.argsort(mine, kind="mergesort")
            mine[:], its[:] = mine[order], its[order]
            for place in range(1, mine.size):
                is_strict = is_strict and mine[place] > mine[place - 1]
    return is_strict


@_compile
def order_by_row(rows: Any, columns: Any, data: Any, n_rows: int) -> tuple[Any, Any]:
    """Return columns and weights by row and then by column, those of one place in the order in which they are given.

    Args:
        rows: ``(nnz,) int64``, each of ``0 .. n_rows - 1``.
        columns: ``(nnz,) int64``.
        data: ``(nnz,)``, the weights.
        n_rows: of the matrix.
    """
    edges = np.zeros(n_rows + 1, np.int64)
    for row in rows:
        edges[row + 1] += 1
    edges = np.cumsum(edges)
    free, ordered, weights = edges[:-1].copy(), np.empty_like(columns), np.empty_like(data)
    for place in range(rows.size):
        at = free[rows[place]]
        free[rows[place]] += 1
        ordered[at], weights[at] = columns[place], data[place]
    order_rows(edges, ordered, weights)
    return ordered, weights


@_compile
def place_rows(indptr: Any, indices: Any, data: Any, rows: Any, columns: Any, free: Any, ordered: Any, weights: Any) -> None:
    """Write a matrix's columns and weights behind what stands in the rows of a larger one.

    Args:
        indptr: of the matrix.
        indices: of the matrix.
        data: of the matrix.
        rows: where each of its rows goes.
        columns: where each of its columns goes.
        free: ``(n_rows,) int64``, where the next of each row goes, which is moved on.
        ordered: ``(nnz,) int64`` columns of the larger matrix.
        weights: ``(nnz,)``, likewise.
    """
    for row in range(rows.size):
        at = free[rows[row]]
        for place in range(indptr[row], indptr[row + 1]):
            ordered[at], weights[at] = columns[indices[place]], data[place]
            at += 1
        free[rows[row]] = at


@_compile
def turn(indptr: Any, indices: Any, data: Any, free: Any, rows: Any, weights: Any) -> None:
    """Write rows and weights column after column.

    Args:
        indptr: of a matrix.
        indices: of the matrix.
        data: of the matrix.
        free: ``(n_columns,) int64``, where the next of each column goes, which is moved on.
        rows: ``(nnz,)`` integers, where the row of each weight goes.
        weights: ``(nnz,)``, where the weights go.
    """
    for row in range(indptr.size - 1):
        for place in range(indptr[row], indptr[row + 1]):
            at = free[indices[place]]
            free[indices[place]] += 1
            rows[at], weights[at] = row, data[place]


@_compile
def keep_marked(indptr: Any, indices: Any, data: Any, kept: Any, columns: Any, weights: Any) -> Any:
    """Write the columns and weights of those that are to be kept, ``(nnz,) bool``; return where each row's start."""
    edges, at = np.zeros(indptr.size, np.int64), 0
    for row in range(indptr.size - 1):
        for place in range(indptr[row], indptr[row + 1]):
            if kept[place]:
                columns[at], weights[at] = indices[place], data[place]
                at += 1
        edges[row + 1] = at
    return edges


@_compile
def count_columns(indices: Any, n_columns: int) -> Any:
    """Return how many weights are in each column, without the copy that numpy makes of a read-only array."""
    counts = np.zeros(n_columns, np.int64)
    for column in indices:
        counts[column] += 1
    return counts


@_compile
def measure_columns(indptr: Any, indices: Any, data: Any, values: Any, n_columns: int) -> tuple[Any, Any]:
    """Return the largest magnitude in each column, and the sum of the values of the rows that have a weight in it."""
    peaks, sums = np.zeros(n_columns), np.zeros(n_columns)
    for row in range(indptr.size - 1):
        for place in range(indptr[row], indptr[row + 1]):
            size, column = abs(data[place]), indices[place]
            sums[column] += values[row]
            if size > peaks[column] or np.isnan(size):
                peaks[column] = size
    return peaks, sums


@_compile
def add_marks(sums: Any, edges: Any, sources: Any, marks: Any) -> None:
    """Add up the marks of each target's sources."""
    for target in range(sums.size):
        for place in range(edges[target], edges[target + 1]):
            sums[target] += marks[sources[place]]


@_compile
def take_places(keys: Any, free: Any, places: Any) -> None:
    """Write to ``places`` what :func:`snnmap.core.csr.take_places` returns."""
    for place in range(keys.size):
        places[place] = free[keys[place]]
        free[keys[place]] += 1
