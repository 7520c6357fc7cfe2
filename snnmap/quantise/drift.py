"""What integer decays drift by, and the bias that makes up for it."""

import numpy as np

from snnmap.ir import FloatArray, IntArray

__all__ = ["expected_drift", "find_bias"]


def find_bias(dash_syn: IntArray, dash_mem: IntArray, current_levels: FloatArray, potential_levels: FloatArray) -> FloatArray:
    """Give the bias that cancels the mean drift of currents and potential.

    What a current drifts by in a step stays in it for ``2**dash`` steps, and enters the potential in each of them.

    Args:
        dash_syn: ``(n_synapses, n) int64``.
        dash_mem: ``(n,) int64``.
        current_levels: ``(n_levels, n_synapses, n) float64``, quantiles of the currents in state units.
        potential_levels: ``(n_levels, n) float64``, the same for the potentials.

    Returns:
        ``(n,) float64`` in state units a step.
    """
    bias = -expected_drift(potential_levels, dash_mem)
    for synapse, dash in enumerate(dash_syn):
        bias -= np.ldexp(expected_drift(current_levels[:, synapse], dash), dash)
    return bias


def expected_drift(levels: FloatArray, dash: IntArray) -> FloatArray:
    """Give the mean of (chip's state - exact state) after one decay.

    The chip takes ``x >> dash`` away, but at least 1 towards 0 (design, section 4). Rounding to minus infinity leaves on
    average nearly half a unit too much of a state of ``2**dash`` or more. A smaller positive state loses a whole unit, and a
    negative one is rounded towards 0.

    Args:
        levels: ``(n_levels, n) float64``, quantiles of the state.
        dash: ``(n,) int64``.
    """
    share = np.ldexp(np.abs(levels), -dash)
    small = share < 1.0
    towards_zero = np.where(levels > 0, -(1.0 - share), 1.0 - share)
    drift = np.where(np.abs(levels) < 0.5, 0.0, np.where(small, towards_zero, 0.5 - np.ldexp(0.5, -dash)))
    return np.where(dash > 0, drift.mean(axis=0), 0.0)
