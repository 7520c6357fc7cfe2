"""The order of synapses in compressed rows, compiled."""

from typing import Any

import numba
import numpy as np

__all__ = ["are_ordered", "order_by_row", "take_places"]

_compile: Any = numba.njit(cache=True, nogil=True)


@_compile
def are_ordered(rows: Any, columns: Any) -> bool:
    """Say whether synapses ascend strictly, by row and then by column; both ``(nnz,) int64``."""
    for place in range(1, rows.size):
        if rows[place] < rows[place - 1] or (rows[place] == rows[place - 1] and columns[place] <= columns[place - 1]):
            return False
    return True


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
    for row in range(n_rows):
        mine, its = ordered[edges[row] : edges[row + 1]], weights[edges[row] : edges[row + 1]]
        if (mine[1:] < mine[:-1]).any():
            order = np.argsort(mine, kind="mergesort")
            mine[:], its[:] = mine[order], its[order]
    return ordered, weights


@_compile
def take_places(keys: Any, free: Any) -> Any:
    """Do what :func:`snnmap.core.csr.take_places` does."""
    places = np.empty(keys.size, np.int64)
    for place in range(keys.size):
        places[place] = free[keys[place]]
        free[keys[place]] += 1
    return places
