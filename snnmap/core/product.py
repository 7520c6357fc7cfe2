"""Products of counts with sparse weights, compiled.

By rows, there is work only where there are counts; but where sums are too many for a processor's nearest memory, each addition
waits for one. By columns every weight is read, in order, and counts of a byte each stay near.
"""

from typing import Any

import numba
import numpy as np

__all__ = ["add_columns", "add_rows"]

_compile: Any = numba.njit(cache=True, nogil=True)


@_compile
def add_rows(values: Any, indptr: Any, indices: Any, data: Any, sums: Any) -> None:
    """Write ``values @ weights`` to ``sums``, every sum in ascending source; a source of value 0 adds nothing.

    Args:
        values: ``(n, n_pre) float64``.
        indptr: row starts of finite weights.
        indices: their columns.
        data: the weights.
        sums: ``(n, n_post) float64``.
    """
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
