"""What integer decays drift by, and the bias that makes up for it."""

import numpy as np

from snnmap.chip import Family
from snnmap.core import FloatArray, IntArray

__all__ = ["find_bias"]


def find_bias(
    family: Family, dash_syn: IntArray, dash_mem: IntArray, current_levels: FloatArray, potential_levels: FloatArray
) -> FloatArray:
    """Return the bias that cancels the mean drift of currents and potential.

    What a current drifts by in a step stays in it for ``1 / (1 - alpha)`` steps, and enters the potential in each of them.

    Args:
        family: the chip's arithmetic.
        dash_syn: ``(n_synapses, n) int64``.
        dash_mem: ``(n,) int64``.
        current_levels: ``(n_levels, n_synapses, n) float64``, quantiles of the currents in state units.
        potential_levels: ``(n_levels, n) float64``, the same for the potentials.

    Returns:
        ``(n,) float64`` in state units a step.
    """
    bias = -family.membrane_drift(potential_levels, dash_mem)
    for synapse, codes in enumerate(dash_syn):
        bias -= family.synapse_drift(current_levels[:, synapse], codes) / (1.0 - family.synapse_factors(codes))
    return np.asarray(bias, np.float64)
