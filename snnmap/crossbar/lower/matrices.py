"""Layers with weights."""

from typing import Any

import numpy as np

from snnmap.crossbar.lower.blocks import make_blocks
from snnmap.crossbar.lower.layers import MatrixLayer, Tensor, WindowGeometry
from snnmap.crossbar.lower.lowering import Lowering, Refusal, read_windows
from snnmap.graph import Node

__all__ = ["lower_conv", "lower_gemm", "lower_product"]


def lower_conv(lowering: Lowering, node: Node) -> None:
    """Lower a QLinearConv."""
    source = lowering.tensors[lowering.scaled_tensor(node, 0)]
    operation: Any = node.operation
    weight = _read_weights(lowering, node, axis=0)
    groups = operation.group
    matrix = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    windows = read_windows(operation, lowering.graph.types[node.name].shape[1:])
    bias = lowering.constant(node, 8) if len(node.inputs) > 8 else np.zeros(len(weight), np.int64)
    _add_matrix(lowering, node, source, windows, matrix, bias, 6)


def lower_gemm(lowering: Lowering, node: Node) -> None:
    """Lower a QGemm."""
    operation: Any = node.operation
    weight = _read_weights(lowering, node, axis=0 if operation.trans_b else 1)
    matrix = weight.T if operation.trans_b else weight
    _add_matrix(lowering, node, _flat(lowering, node), WindowGeometry(), matrix[np.newaxis], lowering.constant(node, 6), 7)


def lower_product(lowering: Lowering, node: Node) -> None:
    """Lower a QLinearMatMul."""
    weight = _read_weights(lowering, node, axis=1)
    bias = np.zeros(weight.shape[1], np.int64)
    _add_matrix(lowering, node, _flat(lowering, node), WindowGeometry(), weight[np.newaxis], bias, 6)


def _flat(lowering: Lowering, node: Node) -> Tensor:
    source = lowering.tensors[lowering.scaled_tensor(node, 0)]
    if source.n_places != 1:
        raise Refusal(
            "it multiplies several vectors of a sample", "flatten before it, or use a convolution", str(source.n_places), "1"
        )
    return source


def _read_weights(lowering: Lowering, node: Node, *, axis: int) -> Any:
    """Return weights as signed integers without a zero point."""
    weight, zero = lowering.constant(node, 3), lowering.constant(node, 5)
    if weight.ndim != 2 and node.kind != "QLinearConv":
        raise Refusal("its weights are no matrix", "use a linear layer or a convolution", str(weight.shape), "(n, m)")
    shape = [-1 if place == axis and zero.size > 1 else 1 for place in range(weight.ndim)]
    is_plain = weight.dtype == np.int8 and not zero.any()
    values = weight if is_plain else weight.astype(np.int64) - zero.astype(np.int64).reshape(shape)
    bits = lowering.architecture.weights.bits
    magnitude = 2 ** (bits - 1)
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    if least < -magnitude or most > magnitude - 1:
        raise Refusal(
            "its weights are beyond the cells of a weight",
            f"quantise weights to {bits} bits, symmetric, or choose an architecture with wider weights",
            f"{least} to {most}",
            f"{-magnitude} to {magnitude - 1}",
            kind="weights",
        )
    return np.asarray(values, np.int8)


def _add_matrix(
    lowering: Lowering, node: Node, source: Tensor, windows: WindowGeometry, matrix: Any, bias: Any, steps: int
) -> None:
    """Add a layer of weights ``(groups, rows, filters)``, whose scale and zero of the result are inputs ``steps`` and after."""
    scale, zero = lowering.single(node, steps, "scale"), lowering.single(node, steps + 1, "zero point")
    target = lowering.add_tensor(node, scale, zero)
    with np.errstate(over="ignore"):
        factor = np.float32(source.scale) * lowering.constant(node, 4).astype(np.float32).reshape(-1) / np.float32(scale)
    if not np.isfinite(factor).all():
        raise Refusal("its scales are too far apart", "quantise it anew", f"{factor.max():g}", "finite", kind="activations")
    n_out = matrix.shape[0] * matrix.shape[2]
    shifted = np.asarray(bias, np.int64).reshape(-1) - source.zero * matrix.sum(axis=1, dtype=np.int32).astype(np.int64).reshape(
        -1
    )
    blocks, holds = make_blocks(matrix, lowering.architecture)
    layer = MatrixLayer(
        name=node.name,
        source=lowering.positions[node.inputs[0]],
        target=target,
        windows=windows,
        weights=blocks,
        holds=holds,
        bias=shifted,
        factor=np.broadcast_to(factor, n_out).astype(np.float32),
        n_groups=matrix.shape[0],
        module=node.source,
    )
    lowering.layers.append(layer)
