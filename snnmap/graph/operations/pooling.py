"""Pools, and what values along axes become one of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation
from snnmap.graph.windows import Windows, require_rank

__all__ = [
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Reduction",
]


class _Pool(Operation):
    __slots__ = ()
    role: ClassVar[Role] = "Pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class _WindowPool(_Pool):
    """What pools of windows have in common: how the kernel slides."""

    kernel_shape: Shape
    strides: Shape = ()
    dilations: Shape = ()
    pads: Shape = ()
    ceil_mode: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        require_rank(data.shape, 2, "a pool")
        return TensorType(shape=(data.shape[0], *self.windows().sizes(data.shape[1:])), dtype=data.dtype)

    def windows(self) -> Windows:
        """Return how the kernel slides."""
        return Windows(self.kernel_shape, self.strides, self.dilations, self.pads, ceil_mode=bool(self.ceil_mode))


class _GlobalPool(_Pool):
    __slots__ = ()

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        require_rank(data.shape, 2, "a pool")
        return TensorType(shape=(data.shape[0], *(1 for _ in data.shape[1:])), dtype=data.dtype)


@operation
class MaxPool(_WindowPool):
    """The greatest value of each window; padding never is it."""

    def run(self, inputs: Sequence[Array]) -> Array:
        data = inputs[0]
        least = -np.inf if data.dtype.kind == "f" else np.iinfo(data.dtype).min
        return np.asarray(self.windows().view(data, least).max(axis=tuple(range(-len(self.kernel_shape), 0))))


@operation
class AveragePool(_WindowPool):
    """The mean of each window, of the places within the input or, with ``count_include_pad``, within its pads too."""

    count_include_pad: int = 0

    def run(self, inputs: Sequence[Array]) -> Array:
        data = inputs[0]
        windows = self.windows()
        total = windows.view(data, 0.0).sum(axis=tuple(range(-len(self.kernel_shape), 0)))
        counts = windows.count_places(data.shape[2:], with_pads=bool(self.count_include_pad))
        return np.asarray(total / counts.astype(data.dtype))


@operation
class GlobalAveragePool(_GlobalPool):
    """The mean over all places of each channel; the places stay as 1."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0].mean(axis=tuple(range(2, inputs[0].ndim)), keepdims=True))


@operation
class GlobalMaxPool(_GlobalPool):
    """The greatest value over all places of each channel; the places stay as 1."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0].max(axis=tuple(range(2, inputs[0].ndim)), keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction(_Pool):
    """What all values along axes become one of; the axes stay as 1 with ``keepdims``."""

    constant_inputs: ClassVar[dict[str, int]] = {"axes": 1}
    method: ClassVar[str] = ""
    """Of an array."""

    axes: Shape
    keepdims: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        rank = len(data.shape) + 1
        axes = {axis % rank for axis in self.axes if -rank <= axis < rank}
        if not axes or 0 in axes or len(axes) != len(self.axes):
            raise NetworkError(
                f"a {self.method} over these axes mixes samples or does not fit",
                measured=f"axes {self.axes} of {data}",
                limit=f"1 to {rank - 1}",
                fix=f"take the {self.method} over axes of a sample",
            )
        sides = [1 if axis in axes else side for axis, side in enumerate(data.shape, 1) if self.keepdims or axis not in axes]
        return TensorType(shape=tuple(sides))

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(getattr(inputs[0], self.method)(axis=self.axes, keepdims=bool(self.keepdims)))


@operation
class ReduceMean(Reduction):
    """The mean over axes."""

    method: ClassVar[str] = "mean"


@operation
class ReduceSum(Reduction):
    """The sum over axes."""

    method: ClassVar[str] = "sum"


@operation
class ReduceMax(Reduction):
    """The greatest value over axes."""

    method: ClassVar[str] = "max"


@operation
class ReduceMin(Reduction):
    """The least value over axes."""

    method: ClassVar[str] = "min"
