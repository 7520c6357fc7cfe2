"""ONNX models as layer graphs."""

from snnmap.frontends.onnx.read import read_layer_graph

__all__ = ["read_layer_graph"]
