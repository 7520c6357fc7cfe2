"""Products of counts with sparse weights, compiled: work only where there are counts."""

from typing import Any

import numba

__all__ = ["add_rows"]

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
