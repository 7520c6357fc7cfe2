"""Torch modules to train with; the torch frontend turns them into networks, count for count."""

from snnmap.nn.compose import Residual, record_counts
from snnmap.nn.lif import LIF, LeakyIntegrator
from snnmap.nn.surrogate import Surrogate, SurrogateName, count_spikes

__all__ = [
    # neurons
    "LIF",
    "LeakyIntegrator",
    # composition
    "Residual",
    "record_counts",
    # surrogate gradients
    "Surrogate",
    "SurrogateName",
    "count_spikes",
]
