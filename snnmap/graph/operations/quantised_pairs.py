"""Operations on two quantised values, place by place, spread over each other, as onnxruntime computes them."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from snnmap.graph.operation import OPERATIONS, Array, Operation, Role, TensorType, operation
from snnmap.graph.operations.arithmetic import infer_spread
from snnmap.graph.operations.qlinear import as_float32, require_integers
from snnmap.graph.operations.quantisation import round_to_integers

__all__ = ["QLinearAdd", "QLinearMul", "QuantisedPair", "round_shifted"]


class _Pair(Operation):
    """Inputs are a, its scale and zero, b, its scale and zero, scale and zero of y.

    Where the arithmetic rounds a zero point, ``offset`` is subtracted from all integers before it and added behind it: 128 for
    integers that were signed.
    """

    __slots__ = ()
    n_inputs: ClassVar[tuple[int, int]] = (8, 8)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        require_integers(inputs[0], inputs[3])
        return TensorType(shape=infer_spread([inputs[0], inputs[3]]), dtype=inputs[7].dtype)


@operation
class QLinearAdd(_Pair):
    """A sum, ``clip(rint(fma(a, ra, fma(b, rb, c))))`` with ``ra = sa / sy``, ``rb = sb / sy``, ``c = zy - (ra za + rb zb)``."""

    role: ClassVar[Role] = "Add"
    domain: ClassVar[str] = "com.microsoft"

    offset: int = 0

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        ratios = [as_float32(part) / as_float32(scale) for part in (one_scale, other_scale)]
        zeros = [as_float32(part) - np.float32(self.offset) for part in (one_zero, other_zero, zero)]
        shift = zeros[2] - (ratios[0] * zeros[0] + ratios[1] * zeros[1])
        left, right = (part.astype(np.int32) - self.offset for part in (one, other))
        total = _multiply_add(left, ratios[0], _multiply_add(right, ratios[1], shift))
        return round_to_integers(total, np.asarray(self.offset), zero.dtype)


@operation
class QLinearMul(_Pair):
    """A product, ``clip(rint(float32((a - za) (b - zb)) (sa sb / sy) + zy))``; the zero comes to it before it is rounded."""

    role: ClassVar[Role] = "Mul"
    domain: ClassVar[str] = "com.microsoft"

    offset: int = 0

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        product = (one.astype(np.int32) - one_zero.reshape(())) * (other.astype(np.int32) - other_zero.reshape(()))
        ratio = as_float32(one_scale) * as_float32(other_scale) / as_float32(scale)
        return round_shifted(product.astype(np.float32) * ratio, zero, self.offset)


@operation
class QuantisedPair(_Pair):
    """``clip(rint(f((a - za) sa, (b - zb) sb) / sy) + zy)`` in float32: what onnxruntime has no integers for.

    ``f`` is Sum, Sub, Div, Max or Min. Infinities clip; 0 / 0 gives the least integer.
    """

    role: ClassVar[Role] = "Act"
    domain: ClassVar[str] = "snnmap"

    function: Literal["Sum", "Sub", "Div", "Max", "Min"]

    def run(self, inputs: Sequence[Array]) -> Array:
        one, one_scale, one_zero, other, other_scale, other_zero, scale, zero = inputs
        values = [
            (part.astype(np.int32) - offset.reshape(())).astype(np.float32) * as_float32(step)
            for part, step, offset in ((one, one_scale, one_zero), (other, other_scale, other_zero))
        ]
        found = OPERATIONS[self.function]().run(values) / as_float32(scale)
        least = np.float32(np.iinfo(zero.dtype).min) - as_float32(zero)
        return round_to_integers(np.where(np.isnan(found), least, found), as_float32(zero), zero.dtype)


def round_shifted(values: Array, zero: Array, offset: int) -> Array:
    """Round when the zero point less an offset has been added, ties to even, add the offset, and keep within the range."""
    return round_to_integers(values + (as_float32(zero) - np.float32(offset)), np.asarray(offset), zero.dtype)


def _multiply_add(values: Array, factor: Array, shift: Array) -> Array:
    """Return ``values * factor + shift`` rounded to float32 once; products of 8-bit integers are exact in float64."""
    return np.asarray((values.astype(np.float64) * factor.astype(np.float64) + shift).astype(np.float32))
