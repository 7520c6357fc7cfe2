"""Torch modules to train with; the torch frontend turns them into networks, count for count."""

from snnmap.nn.chip import ChipCodes, ChipIntegrator, ChipLIF
from snnmap.nn.compose import LeadIn, Residual, record_counts
from snnmap.nn.lif import LIF, LeakyIntegrator
from snnmap.nn.readout import Readout, ReadoutName, collate_sequences
from snnmap.nn.surrogate import Surrogate, SurrogateName, count_spikes

__all__ = [
    # neurons
    "LIF",
    "LeakyIntegrator",
    # neurons in the chip's integers
    "ChipCodes",
    "ChipIntegrator",
    "ChipLIF",
    # composition
    "LeadIn",
    "Residual",
    "record_counts",
    # readouts
    "Readout",
    "ReadoutName",
    "collate_sequences",
    # surrogate gradients
    "Surrogate",
    "SurrogateName",
    "count_spikes",
]
