"""Convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation
from snnmap.graph.windows import Windows, check_channels, spread_channels

__all__ = ["Conv", "Convolution", "convolve", "infer_convolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Operation):
    """What convolutions of floats and of integers have in common: how the kernel slides."""

    role: ClassVar[Role] = "Conv"

    kernel_shape: Shape
    strides: Shape = ()
    dilations: Shape = ()
    pads: Shape = ()
    group: int = 1

    def windows(self) -> Windows:
        """Return how the kernel slides."""
        return Windows(self.kernel_shape, self.strides, self.dilations, self.pads)


@operation
class Conv(Convolution):
    """A convolution of weights ``(n_out, channels / group, *kernel)`` and a bias ``(n_out,)``, which may be left out."""

    n_inputs: ClassVar[tuple[int, int]] = (2, 3)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, weight, *bias = inputs
        return TensorType(shape=infer_convolution(self, data.shape, weight.shape, bias[0].shape if bias else None))

    def run(self, inputs: Sequence[Array]) -> Array:
        data, weight, *bias = inputs
        found = convolve(self, data, weight, 0.0)
        return found + spread_channels(bias[0], found.ndim) if bias else found


def infer_convolution(conv: Convolution, data: Shape, weight: Shape, bias: Shape | None) -> Shape:
    """Return the shape ``(n_out, *windows)`` of a convolution's sample.

    Raises:
        NetworkError: weights, groups and input do not fit each other.
    """
    windows = conv.windows()
    if len(weight) < 3 or weight[2:] != conv.kernel_shape or conv.group < 1 or weight[0] % conv.group:
        raise NetworkError(
            "the weights do not fit the convolution",
            measured=f"weights {weight}, kernel {conv.kernel_shape}, {conv.group} groups",
            limit="(n_out, channels / groups, *kernel), n_out a multiple of groups",
            fix="check the layer's weights",
        )
    if bias is not None and bias != weight[:1]:
        raise NetworkError("the bias does not fit the weights", measured=str(bias), limit=str(weight[:1]), fix="check the layer")
    counts = windows.sizes(data[1:])
    check_channels(data[0], weight[1] * conv.group, "weights")
    return (weight[0], *counts)


def convolve(conv: Convolution, data: Array, weight: Array, fill: float) -> Array:
    """Compute a convolution ``(batch, n_out, *windows)`` without its bias, in the arrays' own type.

    Each group is one matrix product of ``(windows, channels / group * kernel)`` by ``(..., n_out / group)``.
    """
    n_places, n_groups = len(conv.kernel_shape), conv.group
    seen = conv.windows().view(data, fill)
    counts = seen.shape[2 : 2 + n_places]
    seen = seen.reshape(len(data), n_groups, -1, int(np.prod(counts)), int(np.prod(conv.kernel_shape)))
    rows = seen.transpose(0, 1, 3, 2, 4).reshape(len(data), n_groups, int(np.prod(counts)), -1)
    columns = weight.reshape(n_groups, len(weight) // n_groups, -1).transpose(0, 2, 1)
    found = np.matmul(rows, columns)  # (batch, groups, windows, n_out / groups)
    return np.asarray(found.transpose(0, 1, 3, 2).reshape(len(data), len(weight), *counts))
