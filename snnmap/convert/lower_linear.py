"""What is linear in a layer graph as sparse matrices: convolutions, pools, means, products, and values that only move."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snnmap.convert.affine import apply_map, join, reshape
from snnmap.convert.ann import Affine
from snnmap.core import FloatArray, IntArray
from snnmap.core.spatial import Window, lower_windows
from snnmap.core.spatial import lower_convolution as lower_kernel
from snnmap.graph import Operation
from snnmap.graph.operation import Array, Shape
from snnmap.graph.windows import Windows

__all__ = ["find_windows", "lower_average", "lower_convolution", "lower_move", "lower_product", "lower_sum", "probe"]

_LARGEST = 4_000_000
"""Values that are probed at a time."""


def lower_convolution(conv: Any, value: Affine, weight: FloatArray, bias: FloatArray | None, where: str) -> Affine:
    """Return a convolution in one or two dimensions of weights ``(n_out, channels / group, *kernel)``."""
    window, shape = _read_window(conv, value.shape)
    matrix, found = lower_kernel(weight.reshape(*weight.shape[:2], *window.kernel), window, conv.group, shape, where)
    places = int(np.prod(found[1:]))
    shifts = np.repeat(np.zeros(len(weight)) if bias is None else bias, places)
    return apply_map(value, matrix, shifts, _drop_height(found, value.shape), where)


def find_windows(pool: Any, shape: Shape) -> IntArray:
    """Return the flat input index of every place of every window of a pool, ``(channels, places, windows)``, -1 for padding."""
    windows: Windows = pool.windows()
    numbers = np.arange(int(np.prod(shape))).reshape(1, *shape)
    seen: IntArray = windows.view(numbers, -1).reshape(shape[0], -1, int(np.prod(pool.kernel_shape)))
    return seen.transpose(0, 2, 1)


def lower_average(pool: Any, value: Affine, shape: Shape, where: str) -> Affine:
    """Return the mean of each window, padding counted or not."""
    counts = pool.windows().count_places(value.shape[1:], with_pads=bool(pool.count_include_pad))
    matrix = lower_windows(find_windows(pool, value.shape), 1.0 / counts.reshape(1, 1, -1), value.shape)
    return apply_map(value, matrix, np.zeros(matrix.shape[1]), shape, where)


def lower_sum(value: Affine, axes: Sequence[int], shape: Shape, where: str, *, mean: bool) -> Affine:
    """Return the sum or the mean over axes of a sample, counted from 0."""
    from scipy.sparse import csr_array

    kept = tuple(1 if axis in axes else side for axis, side in enumerate(value.shape))
    target = np.broadcast_to(np.arange(int(np.prod(kept))).reshape(kept), value.shape).reshape(-1)
    share = np.full(value.size, 1.0 / (value.size // int(np.prod(kept))) if mean else 1.0)
    matrix = csr_array((share, (np.arange(value.size), target)), shape=(value.size, int(np.prod(kept))))
    return apply_map(value, matrix, np.zeros(matrix.shape[1]), shape, where)


def lower_product(value: Affine, weight: Any, bias: FloatArray | None, shape: Shape, where: str, *, axis: int = -1) -> Affine:
    """Return the product of an axis of a sample with weights ``(n, m)``, for each place of the others."""
    from scipy.sparse import csr_array, eye_array, kron

    matrix, at = csr_array(weight), axis % len(value.shape)
    before, after = (int(np.prod(sides)) for sides in (value.shape[:at], value.shape[at + 1 :]))
    matrix = matrix if after == 1 else kron(matrix, eye_array(after), format="csr")
    matrix = matrix if before == 1 else kron(eye_array(before), matrix, format="csr")
    return apply_map(value, matrix, np.zeros(matrix.shape[1]) if bias is None else bias, shape, where)


def lower_move(operation: Operation, values: Sequence[Affine], constants: Sequence[Array], shape: Shape, where: str) -> Affine:
    """Return values in other places, or 0, as an operation moves the numbers of the places."""
    from scipy.sparse import csr_array

    joint = join(values)
    numbers = np.split(np.arange(1.0, joint.size + 1), np.cumsum([value.size for value in values])[:-1])
    parts = [part.reshape(1, *value.shape) for part, value in zip(numbers, values, strict=True)]
    places = operation.run([*parts, *constants]).reshape(-1).astype(np.int64)
    if np.array_equal(places, np.arange(1, joint.size + 1)):
        return reshape(joint, shape)
    columns = np.flatnonzero(places)
    chosen = csr_array((np.ones(columns.size), (places[columns] - 1, columns)), shape=(joint.size, places.size))
    return apply_map(joint, chosen, np.zeros(places.size), shape, where)


def probe(run: Callable[[Array], Array], value: Affine, shape: Shape, where: str) -> Affine:
    """Return what is linear, or affine, in an activation ``(batch, *value.shape)``, by its response to each unit vector."""
    from scipy.sparse import csr_array, vstack

    bias = np.asarray(run(np.zeros((1, *value.shape))), np.float64).reshape(-1)
    rows, step = [], max(1, _LARGEST // max(value.size, bias.size, 1))
    for start in range(0, value.size, step):
        units = np.eye(min(step, value.size - start), value.size, start)
        rows.append(csr_array(run(units.reshape(-1, *value.shape)).reshape(len(units), -1) - bias))
    return apply_map(value, vstack(rows, format="csr"), bias, shape, where)


def _read_window(operation: Any, shape: Shape) -> tuple[Window, Shape]:
    """Return how a kernel slides over height and width, and the input's shape with both; a length is one row."""
    rank = len(operation.kernel_shape)
    ones, pads = (1,) * rank, operation.pads or (0,) * 2 * rank
    before, after = (0, *pads[:rank])[-2:], (0, *pads[rank:])[-2:]
    kernel, stride, dilation = (
        (1, *(numbers or ones))[-2:]
        for numbers in (operation.kernel_shape, operation.strides, getattr(operation, "dilations", ones))
    )
    padding = ((before[0], after[0]), (before[1], after[1]))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, padding=padding)
    return window, shape if rank == 2 else (shape[0], 1, shape[1])


def _drop_height(found: Shape, shape: Shape) -> Shape:
    return found if len(shape) == 3 else (found[0], found[2])
