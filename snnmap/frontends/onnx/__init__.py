"""ONNX models as layer graphs."""

from snnmap.frontends.onnx.quantise import quantise_model
from snnmap.frontends.onnx.read import open_model, read_layer_graph

__all__ = ["open_model", "quantise_model", "read_layer_graph"]
