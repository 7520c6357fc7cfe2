"""Neurons and networks in the chip's integers, to train on in."""

from snnmap.nn.chip.engine import torch_engine
from snnmap.nn.chip.network import ChipNetwork, ChipRun
from snnmap.nn.chip.neurons import ChipCodes, ChipIntegrator, ChipLIF
from snnmap.nn.chip.parts import ChipPopulation, ChipProjection

__all__ = ["ChipCodes", "ChipIntegrator", "ChipLIF", "ChipNetwork", "ChipPopulation", "ChipProjection", "ChipRun", "torch_engine"]
