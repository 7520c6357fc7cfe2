"""Spike counts of a converted ANN against the levels of its activations."""

import numpy as np

from snnmap.convert import Conversion, run_ann
from snnmap.core import FloatArray
from snnmap.network import simulate_network


def share_of_levels(conversion: Conversion, inputs: FloatArray) -> float:
    """Give the share of neurons and samples whose spike count is the quantised ANN's level."""
    names = [layer.name for layer in conversion.ann.layers]
    counts = simulate_network(conversion.network, conversion.split(conversion.encode(inputs)), counts_of=names).counts
    wanted = run_ann(conversion.ann, inputs)
    same = [counts[name].sum(axis=1) == np.rint(wanted[name] / conversion.units[name]) for name in names]
    return float(np.concatenate([values.ravel() for values in same]).mean())
