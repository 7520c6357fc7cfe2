"""Quantisation as ONNX writes it: integers with a step (scale) and a zero point, a value or a channel."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation

__all__ = ["DequantizeLinear", "Levels", "QuantizeLinear", "round_to_integers", "spread_axis"]


class _Quantisation(Operation):
    __slots__ = ()
    role: ClassVar[Role] = "Quantise"
    n_inputs: ClassVar[tuple[int, int]] = (2, 3)


@operation
class QuantizeLinear(_Quantisation):
    """``clip(round(x / scale) + zero_point)``, ties to even; inputs are x, scale and zero point, of the result's type."""

    axis: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        _check(inputs, self.axis)
        dtype = inputs[2].dtype if len(inputs) > 2 else "uint8"
        return TensorType(shape=inputs[0].shape, dtype=dtype, is_constant=inputs[0].is_constant)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, scale = inputs[:2]
        zero = inputs[2] if len(inputs) > 2 else np.zeros((), np.uint8)
        scale, offset = (spread_axis(part, self.axis, data.ndim) for part in (scale, zero))
        return round_to_integers(data / scale.astype(data.dtype), offset, zero.dtype)


@operation
class DequantizeLinear(_Quantisation):
    """``(q - zero_point) scale``; inputs are q, scale and the zero point."""

    axis: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        _check(inputs, self.axis)
        return TensorType(shape=inputs[0].shape, is_constant=inputs[0].is_constant)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, scale = inputs[:2]
        zero = inputs[2] if len(inputs) > 2 else np.zeros((), np.int64)
        scale, offset = (spread_axis(part, self.axis, data.ndim) for part in (scale, zero))
        return np.asarray((data.astype(np.int64) - offset.astype(np.int64)).astype(scale.dtype) * scale)


@operation
class Levels(_Quantisation):
    """Whole numbers of a step, ``step clip(floor(x / step + shift), bottom, top)``; inputs are x and the step, of all or an axis.

    The shift is 1/2 where values are rounded to the nearest level, ties upwards, and 0 where they are rounded down.
    """

    n_inputs: ClassVar[tuple[int, int]] = (2, 2)
    domain: ClassVar[str] = "snnmap"

    bottom: float = -np.inf
    top: float = np.inf
    rounding: Literal["round", "floor"] = "round"
    axis: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        _check(inputs, self.axis)
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        data, step = inputs[0], spread_axis(inputs[1], self.axis, inputs[0].ndim).astype(inputs[0].dtype)
        levels = np.floor(data / step + (0.5 if self.rounding == "round" else 0.0))
        return np.asarray(step * np.clip(levels, self.bottom, self.top))


def round_to_integers(values: Array, zero: Array, dtype: np.dtype[np.generic]) -> Array:
    """Round to whole numbers, ties to even, add the zero point, and keep within the integers' range."""
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    return np.asarray(np.clip(np.rint(values) + zero.astype(values.dtype), limits.min, limits.max).astype(dtype))


def spread_axis(values: Array, axis: int, rank: int) -> Array:
    """Return a value, or one a place of an axis, in the shape in which numpy spreads it over an array of ``rank`` dimensions."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if other == axis % rank else 1 for other in range(rank)])


def _check(inputs: Sequence[TensorType], axis: int) -> None:
    """Refuse scales that are neither one nor one a place of the axis, and zero points of another number."""
    data, scale, *zero = inputs
    whole: Shape = data.shape if data.is_constant else (-1, *data.shape)
    side = whole[axis] if -len(whole) <= axis < len(whole) else 1
    is_single = int(np.prod(scale.shape)) == 1
    if not is_single and scale.shape != (side,):
        raise NetworkError(
            "the steps do not fit the axis",
            measured=f"{scale.shape} on axis {axis} of {data}",
            limit=f"one, or ({side},)",
            fix="quantise by layer or by channel",
        )
    if zero and int(np.prod(zero[0].shape)) != int(np.prod(scale.shape)):
        raise NetworkError("the zero points are not as many as the steps", measured=f"{zero[0].shape}", limit=f"{scale.shape}")
