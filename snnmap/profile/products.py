"""How many products of an operation have two factors that count."""

from collections.abc import Mapping

import numpy as np

from snnmap.graph import Node
from snnmap.graph.operation import Array, Operation
from snnmap.graph.operations.conv import Conv, Convolution
from snnmap.graph.operations.conv_transpose import ConvTranspose
from snnmap.graph.operations.gemm import Gemm, MatMul, SparseMatMul
from snnmap.graph.operations.qlinear import QGemm

__all__ = ["count_products", "prepare_factor"]


def prepare_factor(node: Node, place: int, mark: Array, known: Mapping[str, Array] | None = None) -> Array:
    """Return marks of a factor as numbers, which products sum up.

    Outputs that take the same values are one: marks of weights are summed up over the outputs of a group.

    Args:
        node: of a convolution or matrix product.
        place: 0 of the first factor, 1 of the second.
        mark: booleans ``(1, *shape)`` of a value, the whole shape of weights.
        known: constants of the graph, of which stored weights of a sparse matrix need where their rows start.
    """
    if place == 0:
        return mark.astype(np.float64)
    if isinstance(node.operation, SparseMatMul):
        sums = np.append(0.0, np.cumsum(mark, dtype=np.float64))
        return np.diff(sums[(known or {})[node.inputs[3]]])[:, np.newaxis]
    return _sum_outputs(_make_plain(node.operation), mark)


def count_products(node: Node, first: Array, second: Array) -> float:
    """Count the multiply-accumulates both of whose factors are marked, which :func:`prepare_factor` gives; padding never is."""
    return float(_make_plain(node.operation).run([first, second]).sum())


def _make_plain(operation: Operation) -> Operation:
    """Return the operation of floats that multiplies the same factors."""
    if isinstance(operation, Convolution):
        names = ("kernel_shape", "strides", "dilations", "pads", "group")
        return Conv(**{name: getattr(operation, name) for name in names})
    if isinstance(operation, Gemm | QGemm):
        return Gemm(trans_b=operation.trans_b)
    return operation if isinstance(operation, ConvTranspose) else MatMul()


def _sum_outputs(operation: Operation, weight: Array) -> Array:
    if isinstance(operation, Conv):
        parts = weight.reshape(operation.group, len(weight) // operation.group, *weight.shape[1:])
        return np.asarray(parts.sum(axis=1, dtype=np.float64))
    axis = 1 if isinstance(operation, ConvTranspose) else 0 if isinstance(operation, Gemm) and operation.trans_b else -1
    return np.asarray(weight.sum(axis=axis, keepdims=True, dtype=np.float64))
