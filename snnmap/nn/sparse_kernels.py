"""Compiled loops over weights that are held as lists: products with events, and neurons whose counts return to them.

``starts``, ``targets`` and ``weights`` are compressed rows: the weights of source ``n`` are those from ``starts[n]`` to before
``starts[n + 1]``. Counts that return have such rows for each of some delays.
"""

from typing import Any

import numba
import numpy.typing as npt

from snnmap.nn.kernels import advance_chip, retreat

__all__ = ["advance_wired", "collect_wired", "gather_back", "gather_sparse", "retreat_wired", "scatter_sparse"]

Array = npt.NDArray[Any]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def gather_sparse(
    first: int,
    last: int,
    event_starts: Array,
    columns: Array,
    values: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    total: Array,
) -> None:
    """Add, for each row from ``first`` to before ``last``, ``value * weight`` over its events to the weights' targets."""
    for row in range(first, last):
        for event in range(event_starts[row], event_starts[row + 1]):
            column, value = columns[event], values[event]
            for k in range(starts[column], starts[column + 1]):
                total[row, targets[k]] += value * weights[k]


@_compile
def scatter_sparse(
    first: int,
    last: int,
    event_starts: Array,
    columns: Array,
    values: Array,
    starts: Array,
    targets: Array,
    rows: Array,
    total: Array,
) -> None:
    """Add, for each weight, ``value * rows[row]`` at its target over the events of its source."""
    for row in range(first, last):
        for event in range(event_starts[row], event_starts[row + 1]):
            column, value = columns[event], values[event]
            for k in range(starts[column], starts[column + 1]):
                total[k] += value * rows[row, targets[k]]


@_compile
def gather_back(first: int, last: int, starts: Array, targets: Array, weights: Array, rows: Array, total: Array) -> None:
    """Give, for each source, the sum of ``weight * rows[row]`` at its targets."""
    for row in range(first, last):
        for source in range(starts.size - 1):
            total[row, source] = 0
            for k in range(starts[source], starts[source + 1]):
                total[row, source] += weights[k] * rows[row, targets[k]]


@_compile
def advance_wired(
    delays: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    x: Array,
    shift_syn: Array,
    shift_mem: Array,
    bias: Array,
    threshold: Array,
    limits: Array,
    current: Array,
    potential: Array,
    currents: Array,
    reached: Array,
    counts: Array,
) -> None:
    """Run :func:`snnmap.nn.kernels.advance_chip` over all steps, earlier counts added to ``x`` through their weights."""
    batch, n_steps, size = counts.shape
    for row in range(batch):
        for step in range(n_steps):
            arriving = x[row, step].reshape(-1)
            for number in range(delays.size):
                then = step - delays[number]
                if then < 0:
                    continue
                for source in range(size):
                    count = counts[row, then, source]
                    if count != 0:
                        for k in range(starts[number, source], starts[number, source + 1]):
                            arriving[targets[k]] += count * weights[k]
            one = slice(row, row + 1)
            advance_chip(
                step,
                step + 1,
                x[one],
                shift_syn,
                shift_mem,
                bias,
                threshold,
                limits,
                current[one],
                potential[one],
                currents[one],
                reached[one],
                counts[one],
            )


@_compile
def retreat_wired(
    delays: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    given: Array,
    alpha: Array,
    beta: Array,
    threshold: Array,
    kind: int,
    constants: Array,
    reached: Array,
    counts: Array,
    by_x: Array,
    by_u: Array,
    by_current: Array,
    by_beta: Array,
    by_bias: Array,
    by_threshold: Array,
) -> None:
    """Run :func:`snnmap.nn.kernels.retreat` over all steps, what later steps ask of the counts added to ``given``."""
    batch, n_steps, size = counts.shape
    for row in range(batch):
        for step in range(n_steps - 1, -1, -1):
            for number in range(delays.size):
                later = step + delays[number]
                if later >= n_steps:
                    continue
                asked = by_x[row, later].reshape(-1)
                for source in range(size):
                    for k in range(starts[number, source], starts[number, source + 1]):
                        given[row, step, source] += weights[k] * asked[targets[k]]
            one = slice(row, row + 1)
            retreat(
                step,
                step + 1,
                given[one],
                alpha,
                beta,
                threshold,
                threshold,
                kind,
                constants,
                reached[one],
                counts[one],
                by_x[one],
                by_u[one],
                by_current[one],
                by_beta,
                by_bias,
                by_threshold,
            )


@_compile
def collect_wired(delays: Array, starts: Array, targets: Array, counts: Array, by_x: Array, total: Array) -> None:
    """Add, for each returning weight, its source's counts times what they led to after its delay."""
    batch, n_steps, size = counts.shape
    for row in range(batch):
        for number in range(delays.size):
            for step in range(n_steps - delays[number]):
                led_to = by_x[row, step + delays[number]].reshape(-1)
                for source in range(size):
                    count = counts[row, step, source]
                    if count != 0:
                        for k in range(starts[number, source], starts[number, source + 1]):
                            total[k] += count * led_to[targets[k]]
