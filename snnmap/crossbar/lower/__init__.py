"""From a layer graph to layers of integers, as cores compute them."""

from snnmap.crossbar.lower.layers import (
    PAIR_FUNCTIONS,
    AddLayer,
    AverageLayer,
    Layer,
    LayerProgram,
    MatrixLayer,
    MeanLayer,
    PairLayer,
    PoolLayer,
    Run,
    TableLayer,
    Tensor,
    WindowGeometry,
)
from snnmap.crossbar.lower.lower import lower_graph
from snnmap.crossbar.lower.lowering import Lowered, Refused

__all__ = [
    "PAIR_FUNCTIONS",
    "AddLayer",
    "AverageLayer",
    "Layer",
    "LayerProgram",
    "Lowered",
    "MatrixLayer",
    "MeanLayer",
    "PairLayer",
    "PoolLayer",
    "Refused",
    "Run",
    "TableLayer",
    "Tensor",
    "WindowGeometry",
    "lower_graph",
]
