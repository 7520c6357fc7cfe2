"""What nodes of a graph carry between neurons: sums of spike counts through weights, with a constant."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from snnmap.core import FloatArray

__all__ = ["Signal", "unit_signal"]


@dataclass(frozen=True, slots=True)
class Signal:
    """What a row of nodes carries: counts of sources through weights, and a constant.

    Attributes:
        counts: ``(n_source, n_nodes)`` sparse float64, by source.
        constant: ``(n_nodes,) float64``, in every step.
    """

    counts: dict[str, Any]
    constant: FloatArray

    def pick(self, columns: list[int], at: list[int], n: int) -> "Signal":
        """Return the signal of ``n`` nodes, of which node ``at[k]`` carries column ``columns[k]``."""
        selection = csr_array((np.ones(len(at)), (columns, at)), shape=(self.constant.size, n))
        return Signal(
            {source: matrix @ selection for source, matrix in self.counts.items()}, np.asarray(self.constant @ selection)
        )

    def add(self, other: "Signal") -> "Signal":
        """Return the sum; what one source sends both ways is one."""
        counts = dict(self.counts)
        for source, matrix in other.counts.items():
            counts[source] = counts[source] + matrix if source in counts else matrix
        return Signal(counts, self.constant + other.constant)


def unit_signal(source: str, size: int) -> Signal:
    """Return the counts of a source as they are."""
    return Signal({source: csr_array((np.ones(size), (np.arange(size), np.arange(size))), shape=(size, size))}, np.zeros(size))
