"""Resizing: each side by itself, to the nearest place or between places."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Shape, TensorType, operation

__all__ = ["Resize"]


@operation
class Resize(Operation):
    """Sides of a sample in other sizes; place i of a side is what is at ``coordinate(i)`` of the given one.

    Values are those of the nearest place, or lie on the line or cubic curve through the places beside it; outside of the input
    its last place goes on. ``scales`` tell the coordinates, and how large a side becomes, floor(side * scale), where ``sizes``
    are left out. Both count the axes of a sample, without the batch.
    """

    sizes: Shape = ()
    scales: tuple[float, ...] = ()
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    coordinate_transformation_mode: Literal["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"] = "half_pixel"
    nearest_mode: Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] = "round_prefer_floor"
    cubic_coeff_a: float = -0.75

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        given = self.sizes or self.scales
        if len(given) != len(data.shape) or len(self.scales) not in (0, len(given)) or not min(given) > 0:
            raise NetworkError(
                "the sizes or scales do not fit the sample",
                measured=f"{self.sizes or self.scales} of {data}",
                limit=f"{len(data.shape)} numbers above 0",
                fix="give one for each axis behind the batch",
            )
        if self.mode != "nearest" and data.dtype != "float32":
            raise NetworkError(
                f"resizing by {self.mode} interpolation of integers, which rounds",
                measured=data.dtype,
                limit="float32",
                fix="quantise by QuantFormat.QDQ, which interpolates floats, or without Resize in op_types_to_quantize",
            )
        return TensorType(shape=self._find_sizes(data.shape), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        found = inputs[0]
        for axis, matrix in enumerate(self.find_matrices(found.shape[1:]), 1):
            if matrix is not None:
                found = np.moveaxis(np.moveaxis(found, axis, -1) @ matrix.astype(found.dtype), -1, axis)
        return np.asarray(found)

    def find_matrices(self, shape: Shape) -> list[FloatArray | None]:
        """Return what each axis of a sample is multiplied by, ``(side, new side) float64``; None for one that stays."""
        sizes = self._find_sizes(shape)
        scales = self.scales or tuple(new / old for old, new in zip(shape, sizes, strict=True))
        sides = zip(shape, sizes, scales, strict=True)
        return [None if (old, scale) == (new, 1.0) else self._find_matrix(old, new, scale) for old, new, scale in sides]

    def _find_sizes(self, shape: Shape) -> Shape:
        return self.sizes or tuple(int(np.floor(side * scale)) for side, scale in zip(shape, self.scales, strict=True))

    def _find_matrix(self, side: int, size: int, scale: float) -> FloatArray:
        where = self._find_coordinates(side, size, scale)
        if self.mode == "nearest":
            places, weights = _ROUNDINGS[self.nearest_mode](where)[np.newaxis], np.ones((1, size))
        else:
            below = np.floor(where)
            reach = np.arange(2) if self.mode == "linear" else np.arange(-1, 3)
            places = below + reach[:, np.newaxis]
            weights = self._weigh(np.abs(where - places))
        matrix = np.zeros((side, size))
        np.add.at(matrix, (np.clip(places, 0, side - 1).astype(np.int64), np.arange(size)), weights)
        return matrix

    def _find_coordinates(self, side: int, size: int, scale: float) -> FloatArray:
        places = np.arange(size, dtype=np.float64)
        if self.coordinate_transformation_mode == "align_corners":
            return places * (side - 1) / max(size - 1, 1)
        if self.coordinate_transformation_mode == "asymmetric":
            return places / scale
        if self.coordinate_transformation_mode == "pytorch_half_pixel" and size == 1:
            return np.zeros(1)
        return (places + 0.5) / scale - 0.5

    def _weigh(self, distance: FloatArray) -> FloatArray:
        """Return the weights of places at a distance: of a line, or of the cubic curve of Keys (1981, equation 4)."""
        if self.mode == "linear":
            return 1.0 - distance
        a = self.cubic_coeff_a
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        return np.where(distance <= 1, near, far)


_ROUNDINGS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "round_prefer_floor": lambda where: np.ceil(where - 0.5),
    "round_prefer_ceil": lambda where: np.floor(where + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
