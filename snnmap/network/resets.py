"""What a spike leaves, in a network and on a chip."""

import numpy as np

from snnmap.chip import Family
from snnmap.network.network import Population

__all__ = ["describe_reset", "resets_as"]


def resets_as(population: Population, family: Family) -> bool:
    """Say whether spikes of a population leave what those of a family of chips do; neurons that never fire leave nothing."""
    if np.isposinf(population.threshold).all():
        return True
    return population.reset == family.reset and (family.reset == "subtract" or not population.v_reset.any())


def describe_reset(family: Family) -> str:
    """Say how neurons of a family reset: ``by subtraction`` or ``to zero``."""
    return "by subtraction" if family.reset == "subtract" else "to zero"
