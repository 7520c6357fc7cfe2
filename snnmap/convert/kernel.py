"""A layer's neurons over the steps of one sample, compiled."""

from typing import Any

import numba
import numpy as np

__all__ = ["advance_layer"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_NEAR = 2048
"""Neurons whose states, over all steps, a processor holds near."""
_FEW = 64
"""Neurons of which, in many steps, none fires."""
_CERTAIN = 1.0 - 1e-9
"""Potential below which a neuron surely does not fire, whatever the order in which a sum is taken."""


@_compile
def advance_layer(
    parameters: Any, arriving: Any, charges: Any, fires: bool, shares: Any, counts: Any, spikes: Any, rest: Any, beyond: Any
) -> None:
    """Run integrate-and-fire neurons of threshold 1 from rest.

    Where nothing comes any more and no neuron can fire, the last potentials are computed at once.

    Args:
        parameters: alpha, beta, bias and max_count of all neurons, ``float``.
        arriving: sums ``(n_active, n) float64``, and which of them comes in each step, ``(n_steps,) int64``, -1 for none.
        charges: weights ``(n_charges, n) float64`` of sources of one neuron, and their counts, ``(n_charges, n_steps) float64``.
        fires: whether the neurons do.
        shares: ``(n_kept,) float64``, of what is held back, in the first steps.
        counts: ``(n_steps, n) int8`` of zeros, where spikes go; of no steps where these are not wanted.
        spikes: ``(n,) int64``, where the sum of them over all steps goes.
        rest: ``(n,) float64``, where the last potentials go.
        beyond: ``(n,) float64``, raised to what the potentials of the first steps are above the last one, or above 0, over the
            share of the step.
    """
    n_busy, kept = max(_count_busy(arriving[1], charges[1]), shares.size), np.empty((shares.size, min(_NEAR, rest.size)))
    for first in range(0, rest.size, _NEAR):
        near = slice(first, min(first + _NEAR, rest.size))
        sent = np.zeros(rest[near].size)
        _advance_near(parameters, arriving, charges, fires, n_busy, near, kept, counts, sent, rest[near])
        for neuron in range(sent.size):
            spikes[first + neuron] = np.int64(sent[neuron])
        _raise_beyond(kept, shares, rest[near], beyond[near])


@_compile
def _advance_near(
    parameters: Any,
    arriving: Any,
    charges: Any,
    fires: bool,
    n_busy: int,
    near: Any,
    kept: Any,
    counts: Any,
    spikes: Any,
    v: Any,
) -> None:
    """Run some of the neurons; ``spikes``, in ``float64``, and ``v`` are theirs. Nothing comes from step ``n_busy`` on."""
    n_steps, current, nothing, room = arriving[1].size, np.zeros(v.size), np.zeros(v.size), np.empty(v.size)
    v[:] = 0.0
    for step in range(n_steps):
        if step >= n_busy and _settle(parameters, n_steps - step, fires, current, v):
            break
        _flow(parameters, _bring(arriving, charges, step, near, nothing, room), current, v)
        if fires:
            _fire(parameters[3], v, counts[step : step + 1, near], spikes)
        if step < len(kept):
            kept[step, : v.size] = v


@_compile
def _count_busy(row_of: Any, sent: Any) -> int:
    """Return the steps up to the last in which something comes."""
    n_busy = 0
    for step in range(row_of.size):
        is_busy = row_of[step] >= 0
        for charge in range(len(sent)):
            is_busy |= sent[charge, step] != 0.0
        if is_busy:
            n_busy = step + 1
    return n_busy


@_compile
def _settle(parameters: Any, n_steps: int, fires: bool, current: Any, v: Any) -> bool:
    """Give neurons to which nothing comes the potentials after some steps, unless one may fire; say whether it was done."""
    alpha, beta, bias, _ = parameters
    brought, drift, decay, flow = 0.0, 0.0, 1.0, 1.0  # of a unit of current and by the bias; of a unit of potential and current
    for _ in range(n_steps):
        flow *= alpha
        brought, drift, decay = beta * brought + flow, beta * drift + bias, beta * decay
    highest = n_steps * max(bias, 0.0)
    most = alpha * (1.0 - flow) / (1.0 - alpha) if alpha < 1.0 else float(n_steps)
    n_near = np.int64(0)
    for neuron in range(v.size):
        n_near += np.int64(max(v[neuron], 0.0) + most * max(current[neuron], 0.0) + highest >= _CERTAIN)
    if fires and n_near:
        return False
    for neuron in range(v.size):
        v[neuron] = decay * v[neuron] + brought * current[neuron] + drift
    return True


@_compile
def _bring(arriving: Any, charges: Any, step: int, near: Any, nothing: Any, room: Any) -> Any:
    """Return what comes in a step: what the sources send, and then charge after charge."""
    (sums, row_of), (weights, sent) = arriving, charges
    total = sums[row_of[step], near] if row_of[step] >= 0 else nothing
    for charge in range(len(sent)):
        count = sent[charge, step]
        if count != 0.0:
            brought = weights[charge, near]
            for neuron in range(room.size):
                room[neuron] = total[neuron] + count * brought[neuron]
            total = room
    return total


@_compile
def _flow(parameters: Any, total: Any, current: Any, v: Any) -> None:
    """Let charge come, and flow to the membrane."""
    alpha, beta, bias, _ = parameters
    for neuron in range(v.size):
        flowing = alpha * current[neuron] + total[neuron]
        current[neuron] = flowing
        v[neuron] = beta * v[neuron] + flowing + bias


@_compile
def _fire(max_count: float, v: Any, counts: Any, spikes: Any) -> None:
    """Send spikes; every loop is one of which a processor does several turns at once."""
    for first in range(0, v.size, _FEW):
        near, n_firing = v[first : first + _FEW], np.int64(0)
        for neuron in range(near.size):
            n_firing += np.int64(near[neuron] >= 1.0)
        if n_firing:
            sent, total = np.floor(near), spikes[first : first + _FEW]
            for neuron in range(near.size):
                count = min(max(sent[neuron], 0.0), max_count)
                sent[neuron] = count
                near[neuron] -= count
                total[neuron] += count
            for row in counts:
                own = row[first : first + _FEW]
                for neuron in range(near.size):
                    own[neuron] = np.int8(np.int32(sent[neuron]))


@_compile
def _raise_beyond(kept: Any, shares: Any, rest: Any, beyond: Any) -> None:
    for step in range(shares.size):
        share, potentials = shares[step], kept[step]
        for neuron in range(rest.size):
            beyond[neuron] = max(beyond[neuron], (potentials[neuron] - max(rest[neuron], 0.0)) / share)
