"""Transposed convolutions."""

from collections.abc import Sequence
from itertools import product
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation
from snnmap.graph.windows import Windows, check_channels, spread_channels

__all__ = ["ConvTranspose"]


@operation
class ConvTranspose(Operation):
    """What a convolution of these strides would be the gradient of: each value spreads the kernel over its window.

    Weights are ``(channels, n_out / group, *kernel)``; a bias ``(n_out,)`` may be left out. A side is
    ``(side - 1) stride + dilation (kernel - 1) + 1 + output_padding - pads``.
    """

    role: ClassVar[Role] = "Conv"
    n_inputs: ClassVar[tuple[int, int]] = (2, 3)

    kernel_shape: Shape
    strides: Shape = ()
    dilations: Shape = ()
    pads: Shape = ()
    output_padding: Shape = ()
    group: int = 1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, weight, *bias = inputs
        if weight.shape[2:] != self.kernel_shape or self.group < 1 or weight.shape[0] % self.group:
            raise NetworkError(
                "the weights do not fit the convolution",
                measured=f"weights {weight.shape}, kernel {self.kernel_shape}, {self.group} groups",
                limit="(channels, n_out / groups, *kernel), channels a multiple of groups",
                fix="check the layer's weights",
            )
        check_channels(data.shape[0], weight.shape[0], "weights")
        n_out = weight.shape[1] * self.group
        if bias and bias[0].shape != (n_out,):
            raise NetworkError("the bias does not fit the weights", measured=str(bias[0].shape), limit=str((n_out,)))
        return TensorType(shape=(n_out, *self._sides(data.shape[1:])))

    def run(self, inputs: Sequence[Array]) -> Array:
        data, weight, *bias = inputs
        windows, sides = self._windows(), self._sides(data.shape[2:])
        kernel, counts = self.kernel_shape, data.shape[2:]
        rows = data.reshape(len(data), self.group, -1, int(np.prod(counts)))
        columns = weight.reshape(self.group, len(weight) // self.group, -1).transpose(0, 2, 1)
        spread = np.matmul(columns, rows).reshape(len(data), -1, *kernel, *counts)
        widths = [side + before + after for side, (before, after) in zip(sides, windows.pads, strict=True)]
        total = np.zeros((len(data), spread.shape[1], *widths), data.dtype)
        for place in product(*map(range, kernel)):
            axes = zip(place, windows.dilations, windows.strides, counts, strict=True)
            where = tuple(slice(one * wide, one * wide + step * (count - 1) + 1, step) for one, wide, step, count in axes)
            total[(slice(None), slice(None), *where)] += spread[(slice(None), slice(None), *place)]
        kept = tuple(slice(before, before + side) for side, (before, _) in zip(sides, windows.pads, strict=True))
        found = total[(slice(None), slice(None), *kept)]
        return np.asarray(found + spread_channels(bias[0], found.ndim) if bias else found)

    def _windows(self) -> Windows:
        return Windows(self.kernel_shape, self.strides, self.dilations, self.pads)

    def _sides(self, counts: Shape) -> Shape:
        windows, extra = self._windows(), self.output_padding or (0,) * len(self.kernel_shape)
        if len(counts) != len(self.kernel_shape):
            raise NetworkError("the kernel has other dimensions than its input", measured=f"{len(self.kernel_shape)} on {counts}")
        parts = zip(counts, windows.strides, windows.dilations, self.kernel_shape, extra, windows.pads, strict=True)
        sides = tuple((n - 1) * step + wide * (side - 1) + 1 + more - sum(pad) for n, step, wide, side, more, pad in parts)
        if min(sides, default=1) < 1:
            raise NetworkError("the pads leave nothing of the output", measured=str(self), fix="correct the layer")
        return sides
