"""How kernels slide over their input, in any number of dimensions: sizes of outputs, and the values that each window sees."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Shape

__all__ = ["Windows", "check_channels", "require_rank", "spread_channels"]


class Windows:
    """Kernel sides, strides, dilations and pads, as ONNX counts them.

    Args:
        kernel: sides.
        strides: steps between windows; () is 1 in each dimension.
        dilations: steps between the places of a window; () is 1.
        pads: places before each dimension, then after each; () is 0.
        ceil_mode: whether a last window may hang over the edge.
    """

    def __init__(self, kernel: Shape, strides: Shape, dilations: Shape, pads: Shape, *, ceil_mode: bool = False) -> None:
        rank = len(kernel)
        ones = (1,) * rank
        self.kernel, self.strides, self.dilations = kernel, strides or ones, dilations or ones
        pads = pads or (0,) * 2 * rank
        self.pads = tuple(zip(pads[:rank], pads[rank:], strict=False))
        self.ceil_mode = ceil_mode
        lengths = {len(self.strides), len(self.dilations), len(self.pads)}
        if lengths != {rank} or min(*self.kernel, *self.strides, *self.dilations, 1) < 1 or min((*pads, 0)) < 0:
            raise NetworkError(
                "kernel, strides, dilations and pads do not fit each other",
                measured=str(self),
                limit="one number a dimension, two of pads; pads 0 or more, the others 1 or more",
                fix="correct the layer",
            )

    def __str__(self) -> str:
        return f"kernel {self.kernel}, strides {self.strides}, dilations {self.dilations}, pads {self.pads}"

    def sizes(self, sides: Shape) -> Shape:
        """Return how many windows there are in each dimension of an input.

        Raises:
            NetworkError: the input has another number of dimensions or is smaller than the kernel.
        """
        if len(sides) != len(self.kernel):
            raise NetworkError(
                "the kernel has other dimensions than its input",
                measured=f"{len(sides) + 1} dimensions of a sample",
                limit=f"{len(self.kernel) + 1}: channels first, then one a side of the kernel",
                fix="check the shape of the input",
            )
        counts = tuple(self._count(axis, side) for axis, side in enumerate(sides))
        if min(counts, default=1) < 1:
            raise NetworkError(
                "the input is smaller than the kernel",
                measured=" x ".join(map(str, sides)),
                limit=str(self),
                fix="check the shape of the input and the layer's parameters",
            )
        return counts

    def view(self, values: Array, fill: float) -> Array:
        """Return what each window sees, ``(batch, channels, *windows, *kernel)``, with ``fill`` where it sees padding."""
        rank, sides = len(self.kernel), values.shape[2:]
        counts, spans = self.sizes(sides), self._spans()
        padded = np.pad(values, [(0, 0), (0, 0), *self.cover(sides)], constant_values=fill)
        seen: Any = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, 2 + rank)))
        starts = tuple(slice(0, (count - 1) * step + 1, step) for count, step in zip(counts, self.strides, strict=True))
        places = tuple(slice(None, None, spread) for spread in self.dilations)
        return np.asarray(seen[(slice(None), slice(None), *starts, *places)])

    def cover(self, sides: Shape) -> list[tuple[int, int]]:
        """Return the pads before and after each side with what hangs over in the last windows."""
        return [
            (before, max(after, (count - 1) * step + span - before - side))
            for (before, after), count, step, span, side in zip(
                self.pads, self.sizes(sides), self.strides, self._spans(), sides, strict=True
            )
        ]

    def count_places(self, sides: Shape, *, with_pads: bool) -> Array:
        """Return how many places of each window lie in the input, or in the input and its pads, ``(*windows,)``."""
        counts = np.ones(())
        for axis, (side, n_windows) in enumerate(zip(sides, self.sizes(sides), strict=True)):
            before, after = self.pads[axis]
            low, high = (-before, side + after) if with_pads else (0, side)
            starts = np.arange(n_windows)[:, np.newaxis] * self.strides[axis] - before
            places = starts + np.arange(self.kernel[axis]) * self.dilations[axis]
            counts = np.multiply.outer(counts, ((places >= low) & (places < high)).sum(axis=1))
        return np.asarray(counts)

    def count_line(self, sides: Shape) -> int:
        """Count the places of an input from the first to the last one that a window sees: ``(k - 1) W + k`` of a picture."""
        return 1 + sum((span - 1) * prod(sides[axis + 1 :]) for axis, span in enumerate(self._spans()))

    def _spans(self) -> Shape:
        return tuple(spread * (side - 1) + 1 for side, spread in zip(self.kernel, self.dilations, strict=True))

    def _count(self, axis: int, side: int) -> int:
        before, after = self.pads[axis]
        room, step = side + before + after - self._spans()[axis], self.strides[axis]
        count = (-(-room // step) if self.ceil_mode else room // step) + 1
        if self.ceil_mode and (count - 1) * step >= side + before:  # which would see nothing but what hangs over
            count -= 1
        return count


def check_channels(found: int, wanted: int, what: str) -> None:
    """Refuse an input of other channels.

    Raises:
        NetworkError: it says both numbers.
    """
    if found != wanted:
        raise NetworkError(
            f"the input has other channels than the {what}",
            measured=str(found),
            limit=str(wanted),
            fix="check the shape of the input and the layer before",
        )


def spread_channels(values: Array, rank: int) -> Array:
    """Return one value a channel ``(channels,)`` in the shape in which numpy spreads it over ``(batch, channels, ...)``."""
    return values.reshape(-1, *(1,) * (rank - 2))


def require_rank(shape: Sequence[int], least: int, what: str) -> None:
    """Refuse a sample of fewer dimensions.

    Raises:
        NetworkError: it says which shape it has.
    """
    if len(shape) < least:
        raise NetworkError(
            f"{what} needs channels and places",
            measured=str(tuple(shape)),
            limit=f"{least} dimensions or more, channels first",
            fix="check the shape of the input",
        )
