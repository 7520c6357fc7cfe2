"""Operators on quantised values, in the integers and the rounding that onnxruntime computes them with.

Accumulators are integers; what comes out is ``clip(round(float32(acc) * float32(s_x s_w / s_y)) + zero_y)``, ties to even.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, TensorType, operation
from snnmap.graph.operations.conv import Convolution, convolve, infer_convolution
from snnmap.graph.operations.gemm import infer_product
from snnmap.graph.operations.quantisation import round_to_integers, spread_axis
from snnmap.graph.windows import spread_channels

__all__ = ["QGemm", "QLinearConv", "QLinearMatMul", "as_float32", "requantise", "require_integers"]


@operation
class QLinearConv(Convolution):
    """A convolution of integers; inputs are x, its scale and zero, weights, their scale and zero, scale and zero of y, bias."""

    n_inputs: ClassVar[tuple[int, int]] = (8, 9)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        bias = inputs[8].shape if len(inputs) > 8 else None
        shape = infer_convolution(self, inputs[0].shape, inputs[3].shape, bias)
        require_integers(inputs[0], inputs[3])
        return TensorType(shape=shape, dtype=inputs[7].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, data_scale, data_zero, weight, weight_scale, weight_zero, scale, zero, *bias = inputs
        weights = weight.astype(np.float64) - spread_axis(weight_zero, 0, weight.ndim)
        total = convolve(self, data.astype(np.float64) - data_zero.reshape(()), weights, 0.0)  # exact: sums stay below 2**53
        if bias:
            total = total + spread_channels(bias[0], total.ndim)
        factor = as_float32(data_scale) * weight_scale.astype(np.float32) / as_float32(scale)
        return requantise(total, spread_axis(factor, 1, total.ndim), zero)


@operation
class QLinearMatMul(Operation):
    """A matrix product of integers; inputs are a, its scale and zero, b, its scale and zero, scale and zero of y."""

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (8, 8)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        require_integers(inputs[0], inputs[3])
        return TensorType(shape=infer_product(inputs[0], inputs[3]), dtype=inputs[7].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        left = one.astype(np.float64) - one_zero.reshape(())
        total = np.matmul(left, other.astype(np.float64) - spread_axis(other_zero, -1, other.ndim))
        factor = as_float32(one_scale) * other_scale.astype(np.float32) / as_float32(scale)
        return requantise(total, spread_axis(factor, -1, total.ndim), zero)


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
        require_integers(data, weight, bias)
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
        factor = as_float32(data_scale) * weight_scale.astype(np.float32) / as_float32(scale)
        return requantise(total, spread_axis(factor, 1, 2), zero)


def requantise(total: Array, factor: Array, zero: Array) -> Array:
    """Return ``clip(rint(float32(total) * factor) + zero)``."""
    scaled = total.astype(np.float32) * factor.astype(np.float32)
    return round_to_integers(scaled, zero.reshape(()), zero.dtype)


def as_float32(scale: Array) -> Array:
    """Return one number in float32."""
    return np.asarray(scale, np.float32).reshape(())


def require_integers(*inputs: TensorType) -> None:
    """Refuse values that are not quantised.

    Raises:
        NetworkError: it says which type one has.
    """
    for found in inputs:
        if not found.dtype.startswith(("int", "uint")):
            raise NetworkError("values that are not quantised", measured=str(found), limit="integers", fix="quantise them first")
