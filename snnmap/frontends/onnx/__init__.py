"""ONNX models as layer graphs."""

from snnmap.frontends.onnx.classical import list_scores
from snnmap.frontends.onnx.metadata import METADATA_KEY, apply_quantisation, read_quantisation
from snnmap.frontends.onnx.quantise import quantise_model
from snnmap.frontends.onnx.read import open_model, read_layer_graph

__all__ = [
    "METADATA_KEY",
    "apply_quantisation",
    "list_scores",
    "open_model",
    "quantise_model",
    "read_layer_graph",
    "read_quantisation",
]
