"""Operators on quantised values, in the integers and the rounding that onnxruntime computes them with.

Accumulators are integers; what comes out is ``clip(round(float32(acc) * float32(s_x s_w / s_y)) + zero_y)``, ties to even.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, TensorType, operation
from snnmap.graph.operations.arithmetic import infer_spread
from snnmap.graph.operations.conv import Convolution, convolve, infer_convolution
from snnmap.graph.operations.gemm import infer_product
from snnmap.graph.operations.quantisation import round_to_integers, spread_axis
from snnmap.graph.windows import require_rank, spread_channels

__all__ = ["Lookup", "QGemm", "QLinearAdd", "QLinearConv", "QLinearGlobalAveragePool", "QLinearMatMul"]


@operation
class QLinearConv(Convolution):
    """A convolution of integers; inputs are x, its scale and zero, weights, their scale and zero, scale and zero of y, bias."""

    n_inputs: ClassVar[tuple[int, int]] = (8, 9)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        bias = inputs[8].shape if len(inputs) > 8 else None
        shape = infer_convolution(self, inputs[0].shape, inputs[3].shape, bias)
        _require_integers(inputs[0], inputs[3])
        return TensorType(shape=shape, dtype=inputs[7].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, data_scale, data_zero, weight, weight_scale, weight_zero, scale, zero, *bias = inputs
        weights = weight.astype(np.float64) - spread_axis(weight_zero, 0, weight.ndim)
        total = convolve(self, data.astype(np.float64) - data_zero.reshape(()), weights, 0.0)  # exact: sums stay below 2**53
        if bias:
            total = total + spread_channels(bias[0], total.ndim)
        factor = _float32(data_scale) * weight_scale.astype(np.float32) / _float32(scale)
        return _requantise(total, spread_axis(factor, 1, total.ndim), zero)


@operation
class QLinearMatMul(Operation):
    """A matrix product of integers; inputs are a, its scale and zero, b, its scale and zero, scale and zero of y."""

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (8, 8)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        _require_integers(inputs[0], inputs[3])
        return TensorType(shape=infer_product(inputs[0], inputs[3]), dtype=inputs[7].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        left = one.astype(np.float64) - one_zero.reshape(())
        total = np.matmul(left, other.astype(np.float64) - spread_axis(other_zero, -1, other.ndim))
        factor = _float32(one_scale) * other_scale.astype(np.float32) / _float32(scale)
        return _requantise(total, spread_axis(factor, -1, total.ndim), zero)


@operation
class QGemm(Operation):
    """``x W + b`` of integers; inputs are x, its scale and zero, W, its scale and zero, b, scale and zero of y."""

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (9, 9)
    domain: ClassVar[str] = "com.microsoft"

    alpha: float = 1.0
    trans_a: int = 0
    trans_b: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, weight, bias, zero = inputs[0], inputs[3], inputs[6], inputs[8]
        _require_integers(data, weight, bias)
        n, m = (weight.shape[::-1] if self.trans_b else weight.shape) if len(weight.shape) == 2 else (-1, -1)
        if self.trans_a or self.alpha != 1.0 or data.shape != (n,) or bias.shape != (m,):
            raise NetworkError(
                "the weights do not fit their input, or are scaled",
                measured=f"{data.shape} by {weight.shape}, bias {bias.shape}, alpha {self.alpha:g}, transA {self.trans_a}",
                limit="(n,) by (n, m), bias (m,), alpha 1, transA 0",
                fix="check the layer's weights",
            )
        return TensorType(shape=(m,), dtype=zero.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, data_scale, data_zero, weight, weight_scale, weight_zero, bias, scale, zero = inputs
        axis = 0 if self.trans_b else 1
        weights = weight.astype(np.float64) - spread_axis(weight_zero, axis, 2)
        left = data.astype(np.float64) - data_zero.reshape(())
        total = left @ (weights.T if self.trans_b else weights) + bias
        factor = _float32(data_scale) * weight_scale.astype(np.float32) / _float32(scale)
        return _requantise(total, spread_axis(factor, 1, 2), zero)


@operation
class QLinearAdd(Operation):
    """A sum of quantised values; inputs are a, its scale and zero, b, its scale and zero, scale and zero of y."""

    role: ClassVar[Role] = "Add"
    n_inputs: ClassVar[tuple[int, int]] = (8, 8)
    domain: ClassVar[str] = "com.microsoft"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        _require_integers(inputs[0], inputs[3])
        return TensorType(shape=infer_spread([inputs[0], inputs[3]]), dtype=inputs[7].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        ratios = [_float32(part) / _float32(scale) for part in (one_scale, other_scale)]
        shift = _float32(zero) - (ratios[0] * _float32(one_zero) + ratios[1] * _float32(other_zero))
        total = _multiply_add(one, ratios[0], _multiply_add(other, ratios[1], shift))
        return round_to_integers(total, np.zeros((), np.float32), zero.dtype)


@operation
class Lookup(Operation):
    """A function of one quantised value, as a table of 256 levels; inputs are x in uint8, the table, scale and zero of y."""

    role: ClassVar[Role] = "Act"
    n_inputs: ClassVar[tuple[int, int]] = (4, 4)
    domain: ClassVar[str] = "snnmap"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        if inputs[0].dtype != "uint8" or inputs[1].shape != (256,):
            raise NetworkError("a table that does not fit", measured=f"{inputs[1]} of {inputs[0]}", limit="256 levels of uint8")
        return TensorType(shape=inputs[0].shape, dtype=inputs[1].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[1][inputs[0]])


@operation
class QLinearGlobalAveragePool(Operation):
    """The mean over all places of a channel; inputs are x, its scale and zero, scale and zero of y."""

    role: ClassVar[Role] = "Pool"
    n_inputs: ClassVar[tuple[int, int]] = (5, 5)
    domain: ClassVar[str] = "com.microsoft"

    channels_last: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        require_rank(inputs[0].shape, 2, "a pool")
        if self.channels_last:
            raise NetworkError(
                "a pool whose channels come last", measured="channels_last=1", limit="0", fix="export channels first"
            )
        return TensorType(shape=(inputs[0].shape[0], *(1 for _ in inputs[0].shape[1:])), dtype=inputs[4].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, data_scale, data_zero, scale, zero = inputs
        axes = tuple(range(2, data.ndim))
        total = (data.astype(np.int64) - data_zero.astype(np.int64)).sum(axis=axes, keepdims=True)
        count = int(np.prod(data.shape[2:]))
        return _requantise(total, _float32(data_scale) / (_float32(scale) * np.float32(count)), zero)


def _multiply_add(values: Array, factor: Array, shift: Array) -> Array:
    """Return ``values * factor + shift`` rounded to float32 once; products of 8-bit integers are exact in float64."""
    return np.asarray((values.astype(np.float64) * factor.astype(np.float64) + shift).astype(np.float32))


def _requantise(total: Array, factor: Array, zero: Array) -> Array:
    scaled = total.astype(np.float32) * factor.astype(np.float32)
    return round_to_integers(scaled, zero.reshape(()), zero.dtype)


def _float32(scale: Array) -> Array:
    return np.asarray(scale, np.float32).reshape(())


def _require_integers(*inputs: TensorType) -> None:
    for found in inputs:
        if not found.dtype.startswith(("int", "uint")):
            raise NetworkError("values that are not quantised", measured=str(found), limit="integers", fix="quantise them first")
