"""Products of counts with sparse weights, compiled.

By rows, there is work only where there are counts; where the same sources have some in several rows, each weight is read once for
all of them. Where sums are too many for a processor's nearest memory, each addition waits for one: by columns every weight is
read, in order, and counts of a byte each stay near.
"""

from typing import Any

import numba
import numpy as np

__all__ = ["add_columns", "add_rows"]

_compile: Any = numba.njit(cache=True, nogil=True)
_FEW_ROWS = 4
"""Rows, on average, in which a source with a value at all has one, from which on its weights are read once for all of them."""
_MOST_IDLE = 3
"""Rows from the first to the last of these, for each of them, up to which it is quicker to leave none out."""


@_compile
def _add_beside(values: Any, is_active: Any, indptr: Any, indices: Any, data: Any, sums: Any) -> None:
    """Do what :func:`add_rows` does with the sums of all rows beside each other, so that each weight is read once."""
    n, n_post = sums.shape
    beside, own, active = np.zeros(n_post * n), np.empty(n), np.empty(n, np.int64)
    for source in np.flatnonzero(is_active):
        n_active = 0
        for row in range(n):
            own[row] = values[row, source]
            if own[row] != 0.0:
                active[n_active] = row
                n_active += 1
        first, n_between = active[0], active[n_active - 1] + 1 - active[0]
        for place in range(indptr[source], indptr[source + 1]):
            weight, start = data[place], np.uint64(indices[place] * n)
            if n_between <= _MOST_IDLE * n_active:
                start += np.uint64(first)
                for row in range(n_between):
                    beside[start + np.uint64(row)] += own[np.uint64(first + row)] * weight
            else:
                for row in active[:n_active]:
                    beside[start + np.uint64(row)] += own[row] * weight
    for row in range(n):
        for target in range(n_post):
            sums[row, target] = beside[target * n + row]


@_compile
def add_rows(values: Any, indptr: Any, indices: Any, data: Any, sums: Any) -> None:
    """Write ``values @ weights`` to ``sums``, every sum in ascending source; a source of value 0 adds nothing.

    Args:
        values: ``(n, n_pre)``, finite.
        indptr: row starts of finite weights.
        indices: their columns.
        data: the weights.
        sums: ``(n, n_post) float64``.
    """
    n_values, is_active = 0, np.zeros(values.shape[1], np.bool_)
    for row in range(values.shape[0]):
        for source in range(values.shape[1]):
            if values[row, source] != 0.0:
                n_values += 1
                is_active[source] = True
    if n_values > _FEW_ROWS * is_active.sum():
        _add_beside(values, is_active, indptr, indices, data, sums)
        return
    sums[:] = 0.0
    for row in range(values.shape[0]):
        for source in range(values.shape[1]):
            value = values[row, source]
            if value != 0.0:
                for place in range(indptr[source], indptr[source + 1]):
                    sums[row, indices[place]] += value * data[place]


@_compile
def add_columns(values: Any, indptr: Any, indices: Any, data: Any, sums: Any) -> None:
    """Write the same, to the bit, from compressed columns.

    Args:
        values: ``(n, n_pre) uint8``.
        indptr: column starts of finite weights.
        indices: their rows, ascending in each column.
        data: the weights.
        sums: ``(n, n_post) float64``.
    """
    for row in range(values.shape[0]):
        counts = values[row]
        for target in range(sums.shape[1]):
            total = 0.0
            for place in range(indptr[target], indptr[target + 1]):
                total += counts[np.uint64(indices[place])] * data[place]
            sums[row, target] = total
