"""Values inside a forward, as sums of what the steps so far gave: counts of inputs, spikes and states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.record import IntArray

__all__ = ["Part", "Signal", "Source", "Sources", "join", "make_constant"]


@dataclass(frozen=True, slots=True)
class Source:
    """What gives values in a step.

    Attributes:
        name: of an argument of forward, or of a population.
        kind: what it gives.
        state: which, of a state.
        step: in which it gives them; None where they are the same in every step.
        start: place of the first value among all values.
        size: number of values.
    """

    name: str
    kind: Literal["input", "spikes", "state"]
    state: str
    step: int | None
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Values that are linear in those of sources.

    Attributes:
        matrix: ``(n, n_sources_so_far)`` csr_array.
        constant: ``(n,) float64``, what is added.
        path: of the last module that weighed the values.
    """

    matrix: Any
    constant: FloatArray
    path: str = ""

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.constant.size)

    def pick(self, places: IntArray) -> "Signal":
        """Return the values at places, ``(m,)``; at -1 stands 0."""
        from scipy.sparse import csr_array, vstack

        if (places < 0).any():
            zero = Signal(csr_array((1, self.matrix.shape[1])), np.zeros(1))
            grown = replace(self, matrix=vstack([self.matrix, zero.matrix], format="csr"), constant=np.append(self.constant, 0.0))
            return grown.pick(np.where(places < 0, self.size, places))
        return replace(self, matrix=self.matrix[places], constant=self.constant[places])

    def through(self, weights: Any, bias: FloatArray | None = None, *, path: str = "") -> "Signal":
        """Return the product with ``(n, m)`` weights, and a bias ``(m,)``."""
        from scipy.sparse import csr_array

        weights = csr_array(weights)
        matrix = (weights.T.tocsr() @ self.matrix).tocsr()
        constant = np.asarray(self.constant @ weights, np.float64)
        return Signal(matrix, constant if bias is None else constant + bias, path or self.path)

    def scale(self, factors: FloatArray) -> "Signal":
        """Return the values times factors, ``(n,)``."""
        from scipy.sparse import diags_array

        return replace(self, matrix=(diags_array(factors) @ self.matrix).tocsr(), constant=self.constant * factors)

    def plus(self, other: "Signal") -> "Signal":
        """Return the sum."""
        one, two = _widen([self, other])
        return Signal((one + two).tocsr(), self.constant + other.constant, other.path or self.path)


def join(signals: Sequence[Signal]) -> Signal:
    """Return the values of several signals one after the other."""
    from scipy.sparse import vstack

    path = next((signal.path for signal in reversed(signals) if signal.path), "")
    return Signal(vstack(_widen(signals), format="csr"), np.concatenate([signal.constant for signal in signals]), path)


def make_constant(values: FloatArray) -> Signal:
    """Return values that depend on no source."""
    from scipy.sparse import csr_array

    return Signal(csr_array((values.size, 0)), values)


def _widen(signals: Sequence[Signal]) -> list[Any]:
    from scipy.sparse import csr_array

    width = max(signal.matrix.shape[1] for signal in signals)
    parts = [signal.matrix for signal in signals]
    return [csr_array((part.data, part.indices, part.indptr), shape=(part.shape[0], width)) for part in parts]


@dataclass(frozen=True, slots=True)
class Part:
    """What one source brings to a signal.

    Attributes:
        source: it.
        weights: ``(n_source, n)`` csr_array.
    """

    source: Source
    weights: Any

    @property
    def scales(self) -> FloatArray | None:
        """``(n,)`` where each value is the source's value of the same place times a factor, else None."""
        weights = self.weights
        diagonal = np.arange(weights.shape[0])
        if weights.shape[0] != weights.shape[1] or not np.array_equal(weights.indptr, np.arange(weights.shape[0] + 1)):
            return None
        return np.array(weights.data) if np.array_equal(weights.indices, diagonal) else None


class Sources:
    """All sources so far, in order."""

    def __init__(self) -> None:
        self.found: list[Source] = []
        self.size = 0

    def add(
        self, name: str, kind: Literal["input", "spikes", "state"], size: int, *, step: int | None, state: str = ""
    ) -> Signal:
        """Add a source and return its values."""
        from scipy.sparse import csr_array

        self.found.append(Source(name, kind, state, step, self.size, size))
        matrix = csr_array(
            (np.ones(size), np.arange(self.size, self.size + size), np.arange(size + 1)), shape=(size, self.size + size)
        )
        self.size += size
        return Signal(matrix, np.zeros(size))

    def split(self, signal: Signal) -> Iterator[Part]:
        """Yield what each source brings, those that bring nothing left out."""
        columns = signal.matrix.tocsc()
        columns.eliminate_zeros()
        starts = np.array([source.start for source in self.found])
        used = np.unique(np.searchsorted(starts, np.unique(_list_columns(columns)), side="right") - 1)
        for number in used:
            source = self.found[number]
            weights = columns[:, source.start : source.start + source.size].T.tocsr()
            weights.sort_indices()
            yield Part(source, weights)


def _list_columns(matrix: Any) -> IntArray:
    return np.flatnonzero(np.diff(matrix.indptr))
