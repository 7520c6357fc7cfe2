"""Decays that the chip codes, in place of those that it does not."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.core import CsrMatrix, FloatArray
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import Network, Population

__all__: list[str] = []


@fix("code-decays", "SNN502", "SNN503", exact=False)
def code_decays(case: Case) -> Change | None:
    """Replace decays by the nearest that the chip codes (of a synapse that is too fast, its fastest), and keep the gains.

    Weights and biases are scaled so that a neuron answers a constant input as before; its time course is another. A build does
    without: it rebuilds neurons from several codes (rule SNN503).
    """
    named = {finding.location.population for finding in case.findings}
    coded = {part.name: _code(part, case) for part in case.network.populations if part.name in named}
    coded = {name: part for name, part in coded.items() if part != case.network.population(name)}
    if not coded:
        return None
    told = ", ".join(f"'{name}'" for name in coded)
    return Change(
        network=_replace(case.network, coded), done=f"decays are the nearest that the chip codes, with the same gain: {told}"
    )


def _code(population: Population, case: Case) -> Population:
    family, top = case.chip.family, case.chip.bits.dash_max
    alpha = family.synapse_factors(family.code_synapses(population.alpha, top))
    beta = family.membrane_factors(family.code_membranes(population.beta, top))
    return replace(population, alpha=alpha, beta=beta, bias=population.bias * _keep_gain(population.beta, beta))


def _replace(network: Network, coded: Mapping[str, Population]) -> Network:
    """Put populations in, the weights onto them scaled so that gains stay."""
    projections = []
    for part in network.projections:
        if part.post in coded:
            old, new = network.population(part.post), coded[part.post]
            gain = _keep_gain(old.alpha[part.synapse], new.alpha[part.synapse]) * _keep_gain(old.beta, new.beta)
            part = replace(part, weights=_scale(part.weights, gain))
        projections.append(part)
    populations = tuple(coded.get(part.name, part) for part in network.populations)
    return replace(network, populations=populations, projections=tuple(projections))


def _scale(weights: CsrMatrix, gain: FloatArray) -> CsrMatrix:
    return weights.with_data(weights.data * gain[weights.indices])


def _keep_gain(old: FloatArray, new: FloatArray) -> FloatArray:
    """Return what inputs are multiplied by so that a state answers a constant one as before; 1 where it never decays."""
    decays = old < 1.0
    return np.where(decays, (1.0 - new) / np.where(decays, 1.0 - old, 1.0), 1.0)
