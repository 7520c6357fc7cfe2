"""Which sources fire together: their counts, added up over windows of time."""

import math
from copy import copy
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray, IntArray
from snnmap.lif.quantise.rounding import Sources

__all__ = ["Counts", "SourceCounts"]

Counts: TypeAlias = npt.NDArray[np.integer[Any]]

_MOST_WINDOWS = 1024
_MOST_NARROW = 2.0**24
"""Whole numbers below which float32 holds every one."""


class SourceCounts:
    """Counts of all sources of a row of neurons in runs, from which their moments are measured.

    What weights' rounding errors make of a potential depends on which sources fire together: pixels beside each other, neurons of
    one channel, a source that fires in all samples. A potential adds its input up over a number of steps
    (the length of its response), so the counts are added up over windows of about as many.
    """

    def __init__(self, *parts: Counts) -> None:
        """Take counts ``(n_samples, n_steps, n)`` as they arrive, part of the sources after part."""
        self._parts = parts
        self._n_samples, self._n_steps = parts[0].shape[:2]
        n_pairs = max(1, self._n_samples * self._n_steps)
        sums, squares = np.concatenate([_add_powers(part) for part in parts], axis=1)
        mean = sums / n_pairs
        variance = squares / n_pairs - mean * mean
        self.mean: FloatArray = np.maximum(mean, 1.0 / n_pairs)
        self.variance: FloatArray = np.maximum(variance, 1.0 / n_pairs)
        self._windows: dict[int, npt.NDArray[np.int32]] = {}

    def take_part(self, number: int) -> "SourceCounts":
        """Return the counts of one part of the sources alone."""
        taken, edges = copy(self), np.cumsum([0, *(part.shape[2] for part in self._parts)])
        mine = slice(edges[number], edges[number + 1])
        taken._parts, taken._windows = self._parts[number : number + 1], {}
        taken.mean, taken.variance = self.mean[mine], self.variance[mine]
        return taken

    def choose_length(self, response_length: float) -> int:
        """Return the steps of the windows for potentials that add up so many steps: a power of two, or all of a run."""
        return min(max(1, int(self._n_steps)), 1 << (math.ceil(max(response_length, 1.0)) - 1).bit_length())

    def add_up(self, length: int) -> Sources:
        """Add counts up over windows of a length, at most ``_MOST_WINDOWS``, evenly chosen."""
        if length not in self._windows:
            n_each = -(-self._n_steps // length)
            n_windows = self._n_samples * n_each
            chosen = np.unique(np.linspace(0, n_windows - 1, min(n_windows, _MOST_WINDOWS)).astype(np.int64))
            parts = [_add_windows(part, chosen // n_each, chosen % n_each * length, length) for part in self._parts]
            self._windows[length] = np.concatenate(parts)
        windows = self._windows[length]
        largest = np.einsum("nw,nw->n", windows, windows, dtype=np.float64).max(initial=0.0)  # no two sources' sum is larger
        return Sources(self.mean, self.variance, windows, float(length), bool(largest < _MOST_NARROW))


def _add_powers(counts: Counts) -> IntArray:
    """Return the sums of counts and of their squares, ``(2, n)``."""
    powers = np.zeros((2, counts.shape[2]), np.int64)
    kind = np.float64 if counts.dtype.itemsize <= 2 else np.int64  # sums of short words are exact in either
    for sample in counts:
        wide = sample.astype(kind)
        powers[0] += wide.sum(axis=0).astype(np.int64)
        powers[1] += np.einsum("tn,tn->n", wide, wide).astype(np.int64)
    return powers


def _add_windows(counts: Counts, samples: IntArray, starts: IntArray, length: int) -> npt.NDArray[np.int32]:
    """Add counts up over windows of some samples, ``(n, n_windows)``."""
    sums = np.empty((counts.shape[2], samples.size), np.int32)
    for place, (sample, start) in enumerate(zip(samples.tolist(), starts.tolist(), strict=True)):
        sums[:, place] = counts[sample, start : start + length].sum(axis=0, dtype=np.int32)
    return sums
