"""Convolutions and poolings on numpy weights as sparse matrices: their cost is that of the stored weights."""

from typing import Any

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.core.record import FloatArray, IntArray, record

__all__ = ["Window", "index_windows", "lower_convolution", "lower_pooling", "lower_windows"]

Shape = tuple[int, ...]
Pair = tuple[int, int]


@record
class Window:
    """How a kernel slides over height and width.

    Attributes:
        kernel: places in height and width.
        stride: steps between windows.
        dilation: steps between places.
        padding: zeros (before, after) in height, then in width.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))


def lower_convolution(weight: FloatArray, window: Window, groups: int, shape: Shape, where: str) -> tuple[Any, Shape]:
    """Write a convolution as a matrix.

    Args:
        weight: ``(n_out, channels / groups, kernel height, kernel width)``.
        window: how the kernel slides.
        groups: channels and outputs are split into this many independent parts.
        shape: of the input, ``(channels, height, width)``.
        where: what errors name.

    Returns:
        ``(n_in, n_out * windows)`` csr_array, both sides flattened channel first; shape of the output.

    Raises:
        NetworkError: channels, groups and kernel do not fit.
    """
    n_out, per_group = weight.shape[:2]
    if groups < 1 or n_out % groups or per_group * groups != shape[0]:
        raise NetworkError(
            "the channels do not fit the convolution",
            where=where,
            measured=f"{shape[0]} channels, weight {weight.shape}, {groups} groups",
            limit="channels = groups x weight.shape[1], weight.shape[0] a multiple of groups",
            fix="check the shape of the input, the weight and groups",
        )
    plane, sides = _slide(window, (shape[1], shape[2]), where)
    n_windows = plane.shape[1]
    channel = (np.arange(n_out) // (n_out // groups) * per_group)[:, np.newaxis] + np.arange(per_group)
    rows = _offset(plane, channel[:, :, np.newaxis, np.newaxis] * (shape[1] * shape[2]))
    columns = (np.arange(n_out)[:, np.newaxis] * n_windows + np.arange(n_windows))[:, np.newaxis, np.newaxis, :]
    data = weight.reshape(n_out, per_group, -1, 1)
    matrix = _assemble(rows, columns, data, (int(np.prod(shape)), n_out * n_windows))
    return matrix, (n_out, *sides)


def lower_pooling(window: Window, weight: float, shape: Shape, where: str) -> tuple[Any, Shape]:
    """Write a sum of each window times ``weight`` as a matrix, channel by channel; as :func:`lower_convolution`."""
    index, out_shape = index_windows(window, shape, where)
    return lower_windows(index, np.float64(weight), shape), out_shape


def index_windows(window: Window, shape: Shape, where: str) -> tuple[IntArray, Shape]:
    """Return the flat input index of every place of every window, ``(channels, places, windows)``, -1 for padding.

    Args:
        window: how the kernel slides.
        shape: of the input, ``(channels, height, width)``.
        where: what errors name.

    Returns:
        The index, and the shape of the output.

    Raises:
        NetworkError: the window does not fit the input.
    """
    plane, sides = _slide(window, (shape[1], shape[2]), where)
    offset = (np.arange(shape[0]) * shape[1] * shape[2])[:, np.newaxis, np.newaxis]
    return _offset(plane, offset), (shape[0], *sides)


def lower_windows(index: IntArray, data: Any, shape: Shape) -> Any:
    """Return the matrix that adds up each window's places times ``data``, as :func:`index_windows` gives them."""
    n_out = index.shape[0] * index.shape[2]
    columns = np.arange(n_out).reshape(index.shape[0], 1, -1)
    return _assemble(index, columns, data, (int(np.prod(shape)), n_out))


def _slide(window: Window, size: Pair, where: str) -> tuple[IntArray, Pair]:
    """Return the index in one channel of each place (row) of each window (column), -1 for padding, and the output's sides."""
    if min(*window.kernel, *window.stride, *window.dilation) < 1 or min(window.padding[0] + window.padding[1]) < 0:
        raise NetworkError(
            "kernel, stride and dilation must be 1 or more, padding 0 or more", where=where, measured=_describe(window),
            fix="correct the layer",
        )  # fmt: skip
    sides = [
        (length + sum(pads) - spread * (side - 1) - 1) // step + 1
        for length, pads, spread, side, step in zip(
            size, window.padding, window.dilation, window.kernel, window.stride, strict=True
        )
    ]
    if min(sides) < 1:
        raise NetworkError(
            "the input is smaller than the kernel", where=where, measured=f"{size[0]} x {size[1]}", limit=_describe(window),
            fix="check the shape of the input and the layer's parameters",
        )  # fmt: skip
    y, x = (_places(window, axis, count) for axis, count in enumerate(sides))
    y, x = y[:, np.newaxis, :, np.newaxis], x[np.newaxis, :, np.newaxis, :]
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    plane = np.where(inside, y * size[1] + x, -1).reshape(window.kernel[0] * window.kernel[1], -1)
    return plane, (sides[0], sides[1])


def _places(window: Window, axis: int, n_windows: int) -> IntArray:
    place = np.arange(window.kernel[axis])[:, np.newaxis] * window.dilation[axis]
    return place + np.arange(n_windows) * window.stride[axis] - window.padding[axis][0]


def _offset(plane: IntArray, offset: IntArray) -> IntArray:
    return np.where(plane >= 0, plane + offset, -1)


def _assemble(rows: Any, columns: Any, data: Any, shape: Pair) -> Any:
    from scipy.sparse import coo_array

    columns, data = np.broadcast_to(columns, rows.shape), np.broadcast_to(data, rows.shape)
    kept = (rows >= 0) & (data != 0)
    return coo_array((data[kept], (rows[kept], columns[kept])), shape=shape).tocsr()


def _describe(window: Window) -> str:
    return f"kernel {window.kernel}, stride {window.stride}, dilation {window.dilation}, padding {window.padding}"
