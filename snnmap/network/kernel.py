"""The step of a population, compiled: the equations of :class:`snnmap.network.Population`, neuron by neuron."""

from typing import Any

import numba
import numpy as np

__all__ = ["advance_neurons"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def advance_neurons(parameters: Any, subtracts: bool, arriving: Any, currents: Any, potentials: Any, counts: Any) -> None:
    """Advance all neurons in all samples by a step, in place.

    Args:
        parameters: alpha ``(n_synapses, n)``, beta, threshold, bias, v_reset and max_count ``(n,)``.
        subtracts: whether a spike subtracts the threshold; else it sets the potential to ``v_reset``.
        arriving: ``(n_synapses, n_samples, n) float64``.
        currents: likewise.
        potentials: ``(n_samples, n) float64``.
        counts: ``(n_samples, n) float64``, spikes of the step.
    """
    alpha, beta, threshold, bias, v_reset, max_count = parameters
    for sample in range(potentials.shape[0]):
        for neuron in range(potentials.shape[1]):
            total = 0.0
            for synapse in range(alpha.shape[0]):
                current = alpha[synapse, neuron] * currents[synapse, sample, neuron] + arriving[synapse, sample, neuron]
                currents[synapse, sample, neuron] = current
                total += current
            u, count = beta[neuron] * potentials[sample, neuron] + total + bias[neuron], 0.0
            if not u < threshold[neuron]:
                count = min(np.floor(u / threshold[neuron]), max_count[neuron])
            if subtracts:
                potentials[sample, neuron] = u if count == 0.0 else u - count * threshold[neuron]
            else:
                potentials[sample, neuron] = v_reset[neuron] if count > 0.0 else u
            counts[sample, neuron] = count
