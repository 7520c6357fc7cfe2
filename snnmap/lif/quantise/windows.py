"""Which sources fire together: their counts, added up over windows of time."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray, IntArray
from snnmap.lif.quantise.rounding import Response, SourceMoments

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
        self._windows: dict[int, FloatArray] = {}

    def moments(self, sources: IntArray, response: Response) -> SourceMoments:
        """Return the moments of some sources, as a potential with this response sees them.

        Where windows are few beside the sources, chance makes some of them fire together: the more so, the nearer the moments
        are drawn to those of independent sources.
        """
        n_steps = max(1, self._counts.shape[1])
        length = min(n_steps, 1 << (math.ceil(max(response.length, 1.0)) - 1).bit_length())
        windows = self._add_up(length)[:, sources]
        mean, variance = self.mean[sources], self.variance[sources]
        measured = windows.T @ windows / (len(windows) * float(length) ** 2)  # whole numbers: exact in any order
        drawn = sources.size / (sources.size + len(windows))
        together = (1.0 - drawn) * measured + drawn * (np.outer(mean, mean) + np.diag(variance / length))
        return SourceMoments(variance=variance, together=together)

    def _add_up(self, length: int) -> FloatArray:
        """Add counts up over windows, at most ``_MOST_WINDOWS``, evenly chosen; ``(n_windows, n)`` whole numbers."""
        if length not in self._windows:
            n_samples, n_steps = self._counts.shape[:2]
            n_each = -(-n_steps // length)
            n_windows = n_samples * n_each
            chosen = np.unique(np.linspace(0, n_windows - 1, min(n_windows, _MOST_WINDOWS)).astype(np.int64))
            sums = [
                self._counts[window // n_each, window % n_each * length :][:length].sum(axis=0, dtype=np.float64)
                for window in chosen.tolist()
            ]
            self._windows[length] = np.stack(sums)
        return self._windows[length]
