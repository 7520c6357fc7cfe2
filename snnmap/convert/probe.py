"""Torch's rearrangements and other linear operations as matrices, found by running the operation itself on known values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snnmap.convert.affine import apply_map, join, reshape, to_array
from snnmap.convert.ann import Affine
from snnmap.core.errors import FrontendError

__all__ = ["LINEAR", "REARRANGING", "apply_linear", "rearrange"]

REARRANGING = frozenset({
    "cat", "channel_shuffle", "chunk", "concat", "concatenate", "expand", "flatten", "flip", "getitem", "index_select",
    "interpolate", "movedim", "narrow", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "repeat", "reshape", "roll",
    "select", "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "unflatten", "unsqueeze", "upsample", "view",
})  # fmt: skip
"""Operations whose results are their arguments' values in other places, or 0; interpolation only to the nearest."""

LINEAR = frozenset({
    "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "cumsum", "interpolate", "linear", "matmul", "mean", "sum",
    "upsample",
})  # fmt: skip
"""Operations on one activation, all else constant, that are linear in it."""

_LARGEST = 4_000_000
"""Values that are probed at a time."""

Operation = Callable[[Sequence[Any], int], Any]
"""Takes the activations' tensors and the size of the batch."""


def rearrange(operation: Operation, values: Sequence[Affine], where: str) -> Any:
    """Follow an operation that only moves values: each result is one of them or 0.

    Args:
        operation: to run on tensors ``(2, *shape)`` of whole numbers, which name the places.
        values: activations that it takes.
        where: node that errors name.

    Returns:
        :class:`Affine`, or a tuple of them where the operation gives several.

    Raises:
        FrontendError: the operation fails, mixes samples, or gives something else than its arguments' values.
    """
    import torch

    size = sum(value.size for value in values)
    numbers = torch.arange(1, 2 * size + 1, dtype=torch.float64).reshape(2, size)
    parts = torch.split(numbers, [value.size for value in values], dim=1)
    given = [part.reshape(2, *value.shape) for part, value in zip(parts, values, strict=True)]
    found = _run(operation, given, 2, where)
    joint = join(values)
    if isinstance(found, tuple | list):
        return tuple(_select(joint, one, where) for one in found)
    return _select(joint, found, where)


def apply_linear(operation: Operation, value: Affine, where: str) -> Affine:
    """Follow an operation that is linear, or affine, in its one activation, by its response to each unit vector.

    Args:
        operation: to run.
        value: activation that it takes.
        where: node that errors name.

    Raises:
        FrontendError: the operation fails or mixes samples.
    """
    import torch
    from scipy.sparse import csr_array, vstack

    zero = _require_batch(_run(operation, [torch.zeros(3, *value.shape, dtype=torch.float64)], 3, where), 3, where)[:1]
    shape, bias = tuple(zero.shape[1:]), to_array(zero).reshape(-1)
    rows, batch = [], max(1, _LARGEST // max(value.size, bias.size, 1))
    for start in range(0, value.size, batch):
        count = min(batch, value.size - start)
        units = torch.zeros(count, value.size, dtype=torch.float64)
        units[torch.arange(count), start + torch.arange(count)] = 1.0
        found = _require_batch(_run(operation, [units.reshape(count, *value.shape)], count, where), count, where)
        rows.append(csr_array(to_array(found - zero).reshape(count, -1)))
    return apply_map(value, vstack(rows, format="csr"), bias, shape, where)


def _run(operation: Operation, given: Sequence[Any], batch: int, where: str) -> Any:
    import torch

    try:
        with torch.no_grad():
            return operation(given, batch)
    except Exception as error:
        fix = "give calibration data of the shape that the model was trained with"
        raise FrontendError.from_failure(
            "the operation does not run on one sample's shape", error, where=where, fix=fix
        ) from error


def _require_batch(found: Any, batch: int, where: str) -> Any:
    import torch

    if not isinstance(found, torch.Tensor) or found.ndim < 2 or found.shape[0] != batch:
        raise _refuse(where, str(tuple(getattr(found, "shape", ()))))
    return found


def _select(joint: Affine, found: Any, where: str) -> Affine:
    from scipy.sparse import csr_array

    _require_batch(found, 2, where)
    first, second = (to_array(row).reshape(-1) for row in found)
    places = first.astype(np.int64)
    moved = places > 0
    if (
        (first != places).any()
        or (second != np.where(moved, first + joint.size, 0.0)).any()
        or places.max(initial=0) > joint.size
    ):
        raise _refuse(where, "a result that is none of the sample's own values")
    columns = np.flatnonzero(moved)
    if np.array_equal(places, np.arange(1, joint.size + 1)):
        return reshape(joint, tuple(found.shape[1:]))  # only the shape changes
    chosen = csr_array((np.ones(columns.size), (places[moved] - 1, columns)), shape=(joint.size, places.size))
    return apply_map(joint, chosen, np.zeros(places.size), tuple(found.shape[1:]), where)


def _refuse(where: str, measured: str) -> FrontendError:
    return FrontendError(
        "an operation that mixes samples, or gives other values than its arguments'",
        where=where,
        measured=measured,
        limit="(batch, ...), each sample by itself",
        fix="keep the batch as the first dimension; pad with zeros, interpolate to the nearest",
    )
