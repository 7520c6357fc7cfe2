"""A layer's neurons over the steps of one sample, compiled."""

from typing import Any

import numba
import numpy as np

__all__ = ["advance_layer"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_NEAR = 512
"""Neurons whose states, over all steps, a processor holds near."""


@_compile
def advance_layer(
    parameters: Any, arriving: Any, charges: Any, shares: Any, counts: Any, spikes: Any, rest: Any, beyond: Any
) -> None:
    """Run integrate-and-fire neurons of threshold 1 from rest.

    Args:
        parameters: alpha, beta, bias and max_count of all neurons, ``float``.
        arriving: sums ``(n_active, n) float64``, and which of them comes in each step, ``(n_steps,) int64``, -1 for none.
        charges: weights ``(n_charges, n) float64`` of sources of one neuron, and their counts, ``(n_charges, n_steps) float64``.
        shares: ``(n_kept,) float64``, of what is held back, in the first steps.
        counts: ``(n_steps, n) int8`` of zeros, where spikes go; of no steps where the neurons do not fire.
        spikes: ``(n,)`` of zeros, to which they are added up.
        rest: ``(n,) float64``, where the last potentials go.
        beyond: ``(n,) float64``, raised to what the potentials of the first steps are above the last one, or above 0, over the
            share of the step.
    """
    kept = np.empty((shares.size, min(_NEAR, rest.size)))
    for first in range(0, rest.size, _NEAR):
        near = slice(first, min(first + _NEAR, rest.size))
        _advance_near(parameters, arriving, charges, near, counts, spikes[near], rest[near], kept)
        _raise_beyond(kept, shares, rest[near], beyond[near])


@_compile
def _advance_near(parameters: Any, arriving: Any, charges: Any, near: slice, counts: Any, spikes: Any, v: Any, kept: Any) -> None:
    """Run some of the neurons; ``spikes`` and ``v`` are theirs."""
    alpha, beta, bias, max_count = parameters
    (sums, row_of), (weights, sent) = arriving, charges
    current, total = np.zeros(v.size), np.empty(v.size)
    v[:] = 0.0
    for step in range(row_of.size):
        _add_arriving(sums, row_of[step], weights, sent[:, step], near, total)
        for neuron in range(v.size):
            current[neuron] = alpha * current[neuron] + total[neuron]
        for neuron in range(v.size):
            v[neuron] = beta * v[neuron] + current[neuron] + bias
        if len(counts):
            _fire(max_count, v, counts[step, near], spikes)
        if step < len(kept):
            kept[step, : v.size] = v


@_compile
def _add_arriving(sums: Any, row: int, weights: Any, sent: Any, near: slice, total: Any) -> None:
    """Write what arrives in a step: the sums, and then charge after charge."""
    total[:] = 0.0
    if row >= 0:
        total[:] = sums[row, near]
    for charge in range(sent.size):
        if sent[charge] != 0.0:
            brought = weights[charge, near]
            for neuron in range(total.size):
                total[neuron] += sent[charge] * brought[neuron]


@_compile
def _fire(max_count: float, v: Any, counts: Any, spikes: Any) -> None:
    n_firing = np.int64(0)
    for neuron in range(v.size):
        n_firing += np.int64(v[neuron] >= 1.0)
    if n_firing:  # which is rare
        for neuron in range(v.size):
            if v[neuron] >= 1.0:
                sent = min(np.floor(v[neuron]), max_count)
                v[neuron] -= sent
                counts[neuron] = np.int8(sent)
                spikes[neuron] += np.int64(sent)


@_compile
def _raise_beyond(kept: Any, shares: Any, rest: Any, beyond: Any) -> None:
    for step in range(shares.size):
        share = shares[step]
        for neuron in range(rest.size):
            above = (kept[step, neuron] - max(rest[neuron], 0.0)) / share
            beyond[neuron] = max(beyond[neuron], above)
