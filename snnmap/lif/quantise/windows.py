"""Which sources fire together: their counts, added up over windows of time."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray
from snnmap.lif.quantise.rounding import Sources

__all__ = ["Counts", "SourceCounts"]

Counts: TypeAlias = npt.NDArray[np.integer[Any]]

_MOST_WINDOWS = 1024


class SourceCounts:
    """Counts of all sources of a row of neurons in runs, from which their moments are measured.

    What weights' rounding errors make of a potential depends on which sources fire together: pixels beside each other, neurons of
    one channel, a source that fires in all samples. A potential adds its input up over a number of steps
    (:attr:`Response.length`), so the counts are added up over windows of about as many.
    """

    def __init__(self, counts: Counts) -> None:
        """Take counts ``(n_samples, n_steps, n)`` as they arrive."""
        self._counts = counts
        n_pairs = max(1, counts.shape[0] * counts.shape[1])
        mean = counts.sum(axis=(0, 1), dtype=np.int64) / n_pairs
        squares = np.zeros(counts.shape[2], np.int64)
        for sample in counts:
            squares += (sample.astype(np.int64) ** 2).sum(axis=0)
        variance = squares / n_pairs - mean * mean
        self.mean: FloatArray = np.maximum(mean, 1.0 / n_pairs)
        self.variance: FloatArray = np.maximum(variance, 1.0 / n_pairs)
        self._windows: dict[int, npt.NDArray[np.int32]] = {}

    def choose_length(self, response_length: float) -> int:
        """Return the steps of the windows for potentials that add up so many steps: a power of two, or all of a run."""
        return min(max(1, self._counts.shape[1]), 1 << (math.ceil(max(response_length, 1.0)) - 1).bit_length())

    def add_up(self, length: int) -> Sources:
        """Add counts up over windows of a length, at most ``_MOST_WINDOWS``, evenly chosen."""
        if length not in self._windows:
            n_samples, n_steps = self._counts.shape[:2]
            n_each = -(-n_steps // length)
            n_windows = n_samples * n_each
            chosen = np.unique(np.linspace(0, n_windows - 1, min(n_windows, _MOST_WINDOWS)).astype(np.int64))
            sums = np.empty((self._counts.shape[2], len(chosen)), np.int32)
            for place, window in enumerate(chosen.tolist()):
                steps = self._counts[window // n_each, window % n_each * length :][:length]
                sums[:, place] = steps.sum(axis=0, dtype=np.int32)
            self._windows[length] = sums
        return Sources(self.mean, self.variance, self._windows[length], float(length))
