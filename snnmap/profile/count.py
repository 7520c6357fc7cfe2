"""How much an operation computes, from the shapes of what it takes and gives."""

from collections.abc import Mapping
from math import prod

from snnmap.graph import Node, TensorType
from snnmap.graph.operations.opaque import Opaque
from snnmap.graph.operations.resize import Resize

__all__ = ["BIAS_PLACES", "WEIGHT_PLACES", "count_macs", "count_other_ops"]

WEIGHT_PLACES: Mapping[str, tuple[int, ...]] = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (1,),
    "MatMul": (0, 1),
    "SparseMatMul": (1,),
    "QLinearConv": (3,),
    "QGemm": (3,),
    "QLinearMatMul": (0, 3),
}
"""Inputs that may be weights, by operation."""

BIAS_PLACES: Mapping[str, int] = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "QLinearConv": 8, "QGemm": 6}
"""The input that is a bias, by operation."""

_SOFTMAX = ("Softmax", "LogSoftmax")
_RESIZING = ("Resize", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "interpolate", "upsample")
_BY_VALUE = ("Add", "Mul", "Div", "Act", "Quantise")


def count_macs(node: Node, types: Mapping[str, TensorType]) -> int:
    """Count the multiply-accumulates of a sample, dense, those with padding too."""
    given = prod(types[node.name].shape)
    if node.kind in ("Conv", "QLinearConv"):
        return given * prod(types[node.inputs[WEIGHT_PLACES[node.kind][0]]].shape[1:])
    if node.kind == "ConvTranspose":
        return prod(types[node.inputs[0]].shape) * prod(types[node.inputs[1]].shape[1:])
    if node.kind == "SparseMatMul":
        return prod(types[node.inputs[1]].shape)
    return given * types[node.inputs[0]].shape[-1] if node.operation.role == "MatMul" else 0


def count_other_ops(node: Node, types: Mapping[str, TensorType]) -> int:
    """Count the operations of a sample beside multiply-accumulates.

    One a value given for sums, products, activations, quantisers, biases and resizing; two for a normalisation by channel, three
    for a softmax; one a place of each window for pools, means and normalisations over neighbours; none for what moves values,
    and none for calls that are known by their shapes only.
    """
    role, given = node.operation.role, prod(types[node.name].shape)
    if node.kind in BIAS_PLACES:
        return given if len(node.inputs) > BIAS_PLACES[node.kind] else 0
    if role == "Pool":
        return given * prod(node.operation.kernel_shape) if hasattr(node.operation, "kernel_shape") else _count_taken(node, types)
    if role == "Norm":
        return given * int(getattr(node.operation, "size", 2))
    if isinstance(node.operation, Opaque | Resize):
        return given if getattr(node.operation, "call", node.kind) in _RESIZING else 0
    if node.kind in _SOFTMAX:
        return 3 * given
    return given if role in _BY_VALUE else 0


def _count_taken(node: Node, types: Mapping[str, TensorType]) -> int:
    return prod(types[node.inputs[0]].shape)
