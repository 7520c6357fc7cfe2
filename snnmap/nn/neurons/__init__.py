"""LIF neurons in floats: their dynamics over all steps, surrogate gradients."""

from snnmap.nn.neurons.lif import LIF, LeakyIntegrator
from snnmap.nn.neurons.surrogate import Surrogate, SurrogateName, count_spikes

__all__ = ["LIF", "LeakyIntegrator", "Surrogate", "SurrogateName", "count_spikes"]
