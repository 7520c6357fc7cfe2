"""Weights, biases and factors of layers that multiply, as integers and one float32 an output."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snnmap.dataflow.device import Device
from snnmap.dataflow.lower.layers import Matrix, Stream
from snnmap.dataflow.lower.refusal import Refusal
from snnmap.graph import LayerGraph, Node
from snnmap.graph.operation import Array
from snnmap.graph.operations.conv import Convolution
from snnmap.graph.operations.qlinear import as_float32
from snnmap.graph.operations.quantisation import spread_axis

__all__ = ["read_conv", "read_product"]


def read_conv(graph: LayerGraph, node: Node, device: Device) -> tuple[Convolution, Matrix]:
    """Return a convolution and its weights ``(1, outputs, channels / groups, kernel)``.

    Raises:
        Refusal: weights or sums do not fit the device, or the kernel has more than two sides.
    """
    operation: Any = node.operation
    if len(operation.kernel_shape) > 2:
        raise Refusal(f"its kernel has {len(operation.kernel_shape)} sides", "use layers of one or two dimensions")
    known = _read_constants(graph, node, range(1, len(node.inputs)))
    weight, weight_zero = known[3], known[5]
    weights = weight.astype(np.int64) - spread_axis(weight_zero.astype(np.int64), 0, weight.ndim)
    bias = known[8] if 8 in known else np.zeros(len(weight), np.int64)
    return operation, _make_matrix(
        weights.reshape(1, *weight.shape[:2], -1), bias, _find_factor(known, 1, 4, 6), known, 7, device
    )


def read_product(graph: LayerGraph, node: Node, source: Stream, device: Device) -> Matrix:
    """Return the weights ``(n_words, outputs, channels, 1)`` of a product, in the order in which words come.

    Raises:
        Refusal: it is no product of a vector with constant weights, or they do not fit the device.
    """
    if len(graph.types[node.inputs[0]].shape) != 1:
        raise Refusal("it multiplies more than a vector", "flatten its input, or write it as a convolution of 1 x 1")
    known = _read_constants(graph, node, range(1, len(node.inputs)))
    is_gemm = node.kind == "QGemm"
    weight, weight_zero, turned = known[3].astype(np.int64), known[5].astype(np.int64), getattr(node.operation, "trans_b", 0)
    weights = weight - spread_axis(weight_zero, 0 if turned else 1, 2)
    weights = weights if turned else weights.T
    bias = known[6] if is_gemm else np.zeros(len(weights), np.int64)
    scale, zero = (7, 8) if is_gemm else (6, 7)
    sets = weights.reshape(len(weights), source.channels, source.n_words).transpose(2, 0, 1)[..., np.newaxis]
    return _make_matrix(sets, bias, _find_factor(known, 1, 4, scale), known, zero, device)


def _read_constants(graph: LayerGraph, node: Node, places: Sequence[int]) -> dict[int, Array]:
    missing = [node.inputs[place] for place in places if node.inputs[place] not in graph.constants]
    if missing:
        raise Refusal(f"its input '{missing[0]}' is no constant", "export it with constants folded")
    return {place: graph.constants[node.inputs[place]] for place in places}


def _find_factor(known: dict[int, Array], data: int, weight: int, target: int) -> Array:
    return np.asarray(as_float32(known[data]) * known[weight].astype(np.float32) / as_float32(known[target]))


def _make_matrix(weights: Array, bias: Array, factor: Array, known: dict[int, Array], target: int, device: Device) -> Matrix:
    """Check weights and sums, and count the input's zero into the bias."""
    n_outputs, most = weights.shape[1], (1 << (device.bits.weights - 1))
    if weights.min(initial=0) < -most or weights.max(initial=0) >= most:
        raise Refusal(
            "its weights, less their zero point, are too wide",
            "quantise weights symmetric around 0, to the device's bits",
            f"{weights.min()} to {weights.max()}",
            f"{-most} to {most - 1}",
        )
    source_zero, zero = int(known[2].reshape(())), known[target]
    if zero.size != 1 or zero.dtype != np.uint8:
        raise Refusal("its activations are no uint8 of one zero point", "quantise activations by layer, as QuantType.QUInt8")
    whole = bias.astype(np.int64) - source_zero * weights.sum(axis=(0, 2, 3))
    largest = int((np.abs(weights).sum(axis=(0, 2, 3)) * 255 + np.abs(whole)).max(initial=0))
    if largest >= 1 << (device.bits.accumulator - 1):
        raise Refusal("its sums may overflow", "quantise with reduce_range", str(largest), f"{device.bits.accumulator} bits")
    return Matrix(
        weights=weights.astype(np.int8),
        bias=whole,
        factor=np.array(np.broadcast_to(factor.reshape(-1), (n_outputs,)), np.float32),
        zero=int(zero.reshape(())),
        source_zero=source_zero,
    )
