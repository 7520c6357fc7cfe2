"""Torch modules: of spiking neurons as networks, of any layers as layer graphs."""

from snnmap.frontends.torch.network import load
from snnmap.frontends.torch.read import read_layer_graph

__all__ = ["load", "read_layer_graph"]
