"""Decay codes, and the gain that rounding a decay changes."""

import numpy as np

from snnmap.chip import Chip
from snnmap.core import FloatArray, IntArray, record
from snnmap.lif.program import NeuronParameters

__all__ = ["DecayCodes", "code_decays"]


@record
class DecayCodes:
    """Decay codes of a row of neurons, and the factors that keep their response.

    A neuron answers a constant input with the gain ``1 / ((1 - alpha) (1 - beta))``. Where a code differs from the
    trained decay, weights and bias are scaled so that this gain stays. Where the chip decays a current after its
    input arrives, weights are divided by the coded alpha as well.

    Attributes:
        dash_syn: ``(n_synapses, n) int64``.
        dash_mem: ``(n,) int64``.
        weight_factor: ``(n_synapses, n) float64``, chip weight over trained weight, before scaling.
        bias_factor: ``(n,) float64``, chip bias over trained bias, before scaling.
    """

    dash_syn: IntArray
    dash_mem: IntArray
    weight_factor: FloatArray
    bias_factor: FloatArray


def code_decays(parameters: NeuronParameters, chip: Chip) -> DecayCodes:
    """Choose the code with the nearest time constant for every synapse and membrane."""
    family, top = chip.family, chip.bits.dash_max
    dash_syn, dash_mem = family.code_synapses(parameters.alpha, top), family.code_membranes(parameters.beta, top)
    coded_alpha, coded_beta = family.synapse_factors(dash_syn), family.membrane_factors(dash_mem)
    bias_factor = _gain_ratio(parameters.beta, coded_beta)
    weight_factor = _gain_ratio(parameters.alpha, coded_alpha) * bias_factor / family.weight_gain(dash_syn)
    return DecayCodes(dash_syn=dash_syn, dash_mem=dash_mem, weight_factor=weight_factor, bias_factor=bias_factor)


def _gain_ratio(trained: FloatArray, coded: FloatArray) -> FloatArray:
    """Return what an input must be multiplied by to keep the gain; 1 where the trained state never decays."""
    lost = 1.0 - trained
    return np.where(lost > 0, (1.0 - coded) / np.where(lost > 0, lost, 1.0), 1.0)
