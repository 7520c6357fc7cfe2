"""A layer's neurons over the steps of one sample, compiled."""

from typing import Any

import numba
import numpy as np

__all__ = ["advance_layer"]

_compile: Any = numba.njit(cache=True, nogil=True)


@_compile
def advance_layer(parameters: Any, arriving: Any, counts: Any, potentials: Any, v: Any) -> None:
    """Run integrate-and-fire neurons of threshold 1 from rest.

    Args:
        parameters: alpha, beta, bias and max_count, ``(n,) float64`` each.
        arriving: ``(n_steps, n) float64``.
        counts: ``(n_steps, n)``, where spikes go; of no steps where the neurons do not fire.
        potentials: ``(n_kept, n) float64``, where potentials after the reset go, of the first steps.
        v: ``(n,) float64`` of zeros, in which the last potentials are left.
    """
    alpha, beta, bias, max_count = parameters
    current = np.zeros(v.size)
    for step in range(len(arriving)):
        for neuron in range(v.size):
            current[neuron] = alpha[neuron] * current[neuron] + arriving[step, neuron]
            v[neuron] = beta[neuron] * v[neuron] + current[neuron] + bias[neuron]
        if len(counts):
            for neuron in range(v.size):
                sent = min(max(np.floor(v[neuron]), 0.0), max_count[neuron])
                v[neuron] -= sent
                counts[step, neuron] = sent
        if step < len(potentials):
            potentials[step] = v
