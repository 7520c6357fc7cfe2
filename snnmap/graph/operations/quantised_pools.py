"""Pools of quantised values, as onnxruntime computes them."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation
from snnmap.graph.operations.qlinear import as_float32, requantise, require_integers
from snnmap.graph.operations.quantisation import DequantizeLinear
from snnmap.graph.operations.quantised_pairs import round_shifted
from snnmap.graph.windows import Windows, require_rank

__all__ = ["QLinearAveragePool", "QLinearGlobalAveragePool"]


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
            raise _refuse_order()
        return TensorType(shape=(inputs[0].shape[0], *(1 for _ in inputs[0].shape[1:])), dtype=inputs[4].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, data_scale, data_zero, scale, zero = inputs
        axes = tuple(range(2, data.ndim))
        total = (data.astype(np.int64) - data_zero.astype(np.int64)).sum(axis=axes, keepdims=True)
        count = int(np.prod(data.shape[2:]))
        return requantise(total, as_float32(data_scale) / (as_float32(scale) * np.float32(count)), zero)


@operation
class QLinearAveragePool(Operation):
    """The mean of each window; inputs are x, its scale and zero, scale and zero of y.

    All in float32: the values ``(x - zx) sx`` are added row by row, divided by their number, then
    ``clip(rint(mean / sy + zy))``. Their number is that of places within the input or, with ``count_include_pad``, of the kernel.
    From the zero an ``offset`` is subtracted before, and added behind: 128 for integers that were signed. One window of the whole
    input, without pads, is a QLinearGlobalAveragePool.
    """

    role: ClassVar[Role] = "Pool"
    n_inputs: ClassVar[tuple[int, int]] = (5, 5)
    domain: ClassVar[str] = "com.microsoft"

    kernel_shape: Shape
    strides: Shape = ()
    pads: Shape = ()
    ceil_mode: int = 0
    count_include_pad: int = 0
    channels_last: int = 0
    offset: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        require_integers(inputs[0])
        require_rank(inputs[0].shape, 2, "a pool")
        if self.channels_last:
            raise _refuse_order()
        return TensorType(shape=(inputs[0].shape[0], *self.windows().sizes(inputs[0].shape[1:])), dtype=inputs[4].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, _, _, scale, zero = inputs
        if self.is_global(data.shape[2:]):
            return QLinearGlobalAveragePool().run(inputs)
        windows = self.windows()
        seen = windows.view(DequantizeLinear().run([data, as_float32(inputs[1]), inputs[2].reshape(())]), 0.0)
        places = seen.reshape(*seen.shape[: data.ndim], -1)
        total = np.zeros(places.shape[:-1], np.float32)
        for place in range(places.shape[-1]):
            total = total + places[..., place]
        mean = total / self.count_places(data.shape[2:]).astype(np.float32)
        return round_shifted(mean / as_float32(scale), zero, self.offset)

    def windows(self) -> Windows:
        """Return how the kernel slides."""
        return Windows(self.kernel_shape, self.strides, (), self.pads, ceil_mode=bool(self.ceil_mode))

    def is_global(self, sides: Shape) -> bool:
        """Say whether there is one window, which sees the whole input and nothing else."""
        return self.kernel_shape == tuple(sides) and not any(self.pads)

    def count_places(self, sides: Shape) -> Array:
        """Return by how many places each window's sum is divided, ``(*windows,)``."""
        if self.count_include_pad:
            return np.full(self.windows().sizes(sides), int(np.prod(self.kernel_shape)))
        return self.windows().count_places(sides, with_pads=False)


def _refuse_order() -> NetworkError:
    return NetworkError("a pool whose channels come last", measured="channels_last=1", limit="0", fix="export channels first")
