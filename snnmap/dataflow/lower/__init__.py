"""Quantised layer graphs as streams of places and layers between them."""

from snnmap.dataflow.lower.flow import group_firings
from snnmap.dataflow.lower.layers import Flow, Kind, Layer, Loops, Matrix, Stream, StreamGraph
from snnmap.dataflow.lower.lower import NoTemplateError, lower_graph

__all__ = [
    "Flow", "Kind", "Layer", "Loops", "Matrix", "NoTemplateError", "Stream", "StreamGraph", "group_firings", "lower_graph",
]  # fmt: skip
