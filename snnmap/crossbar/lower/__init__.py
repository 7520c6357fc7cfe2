"""From a layer graph to layers of integers, as cores compute them."""

from snnmap.crossbar.lower.layers import (
    AddLayer,
    Layer,
    LayerProgram,
    MatrixLayer,
    MeanLayer,
    PoolLayer,
    TableLayer,
    Tensor,
    WindowGeometry,
)
from snnmap.crossbar.lower.lower import Lowered, Refused, lower_graph

__all__ = [
    "AddLayer",
    "Layer",
    "LayerProgram",
    "Lowered",
    "MatrixLayer",
    "MeanLayer",
    "PoolLayer",
    "Refused",
    "TableLayer",
    "Tensor",
    "WindowGeometry",
    "lower_graph",
]
