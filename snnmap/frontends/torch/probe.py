"""Torch's rearrangements and other linear operations, found by running the operation itself on known values."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from snnmap.frontends.torch.call import FIX, Call, Value, find_values, map_values, to_doubles
from snnmap.graph import UnreadableError
from snnmap.graph.operation import Array
from snnmap.graph.operations.arithmetic import Add
from snnmap.graph.operations.gemm import SparseMatMul
from snnmap.graph.operations.movement import Concat, Gather, Reshape

__all__ = ["LINEAR", "MOVING", "add_probed", "add_probed_module"]

MOVING = frozenset({
    "channel_shuffle", "column_stack", "expand", "flip", "getitem", "hstack", "index", "index_select", "interpolate", "narrow",
    "pad", "pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "roll", "rot90", "select", "slice", "stack", "tile",
    "upsample", "upsample_nearest1d", "upsample_nearest2d",
})  # fmt: skip
"""Functions whose results are their arguments' values in other places; interpolation only to the nearest."""

LINEAR = frozenset({
    "col2im", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "convolution", "cumsum", "diff", "einsum", "fold",
    "im2col", "interpolate", "linear", "matmul", "mean", "sum", "unfold", "upsample", "upsample_bicubic2d", "upsample_bilinear2d",
    "upsample_linear1d",
})  # fmt: skip
"""Functions of one activation, all else constant, that are linear in it."""

_SUMMING = ("Fold", "Unfold")
"""Modules that pad with zeros, or add values up."""
_LARGEST = 4_000_000
"""Values that are probed at a time."""

Run = Callable[[Sequence[Any], int], Any]
"""Takes the activations' tensors, and the size of the batch."""


def add_probed(call: Call, arguments: Any, keywords: Any) -> Any:
    """Add what a call of one of the functions does, as it does it to known values.

    Raises:
        UnreadableError: it mixes samples, or is none of what its name says.
    """
    _require_probes(call)
    values = find_values((arguments, keywords))
    if not values:
        raise UnreadableError("it takes no activation", FIX)

    def run(tensors: Sequence[Any], batch: int) -> Any:
        rest = iter(tensors)
        given, named = (map_values(to_doubles(part), lambda _: next(rest)) for part in (arguments, keywords))
        return call.run_on(given, named, batch)

    if call.operator in MOVING and (call.operator not in LINEAR or _is_nearest(keywords)):
        return _add_moved(call, run, values)
    if len(values) != 1:
        raise UnreadableError("a product of activations, or several of them", "give constants beside one activation")
    return _add_linear(call, run, values[0])


def add_probed_module(call: Call, module: Any, value: Value) -> Any:
    """Add what a module does that only moves values, sums them up, or interpolates them."""
    _require_probes(call)
    if type(module).__name__ not in _SUMMING and _is_nearest({"mode": getattr(module, "mode", "nearest")}):
        return _add_moved(call, lambda tensors, _: module(tensors[0]), [value])
    return _add_linear(call, lambda tensors, _: module(tensors[0]), value)


def _require_probes(call: Call) -> None:
    if not call.reader.probes:
        raise UnreadableError("an operation that many runs would tell", "read it with them")


def _is_nearest(keywords: Any) -> bool:
    return str(keywords.get("mode", "nearest")).startswith("nearest")


def _add_moved(call: Call, run: Run, values: Sequence[Value]) -> Any:
    """Add a choice of the places that two samples of whole numbers, which name them, are brought to."""
    import torch

    sizes = [int(np.prod(value.shape)) for value in values]
    numbers = torch.arange(1, 2 * sum(sizes) + 1, dtype=torch.float64).reshape(2, -1)
    parts = torch.split(numbers, sizes, dim=1)
    found = run([part.reshape(2, *value.shape) for part, value in zip(parts, values, strict=True)], 2)
    if not isinstance(found, tuple | list):
        return _add_choice(call, values, _read_places(found, sum(sizes)), "")
    return tuple(_add_choice(call, values, _read_places(one, sum(sizes)), str(place)) for place, one in enumerate(found))


def _read_places(found: Any, size: int) -> Array:
    """Return the number of each value's place, from 1, in a sample's shape."""
    _require_batch(found, 2)
    first, second = (row.numpy() for row in found)
    places: Array = first.astype(np.int64)
    if (first != places).any() or (second != first + size).any() or places.max(initial=0) > size or places.min(initial=1) < 1:
        raise _refuse("a result that is none of the sample's own values")
    return places


def _add_choice(call: Call, values: Sequence[Value], places: Array, suffix: str) -> Value:
    size = sum(int(np.prod(value.shape)) for value in values)
    if len(values) == 1 and np.array_equal(places.reshape(-1), np.arange(1, size + 1)):
        return call.add(Reshape(shape=places.shape), values, suffix)
    stem = f"{suffix}." if suffix else ""
    flat = [call.add(Reshape(shape=(int(np.prod(value.shape)),)), [value], f"{stem}flat") for value in values]
    joint = call.add(Concat(axis=1), flat, f"{stem}joint") if len(flat) > 1 else flat[0]
    return call.add(Gather(axis=1), [joint, (f"{call.name}.{stem}places", places - 1)], suffix)


def _add_linear(call: Call, run: Run, value: Value) -> Value:
    """Add the product with the responses to unit vectors, and what the operation gives for zeros."""
    import torch
    from scipy.sparse import csr_array, vstack

    size = int(np.prod(value.shape))
    zero = _require_batch(run([torch.zeros(3, *value.shape, dtype=torch.float64)], 3), 3)[:1]
    rows = [csr_array((found - zero).reshape(len(found), -1).numpy()) for found in _respond(run, value, zero.numel())]
    matrix = vstack(rows, format="csr")
    flat = call.add(Reshape(shape=(size,)), [value], "flat")
    parts = {"weight": matrix.data, "columns": matrix.indices, "starts": matrix.indptr}
    inputs = [flat, *((f"{call.name}.{name}", array) for name, array in parts.items())]
    found = call.add(SparseMatMul(n_out=zero.numel()), inputs, "product")
    if zero.any():
        found = call.add(Add(), [found, (f"{call.name}.bias", zero.reshape(-1).numpy())], "sum")
    return call.add(Reshape(shape=tuple(zero.shape[1:])), [found])


def _respond(run: Run, value: Value, n_out: int) -> Iterator[Any]:
    """Yield what the operation gives for unit vectors, some at a time."""
    import torch

    size = int(np.prod(value.shape))
    step = max(1, _LARGEST // max(size, n_out, 1))
    for start in range(0, size, step):
        count = min(step, size - start)
        units = torch.zeros(count, size, dtype=torch.float64)
        units[torch.arange(count), start + torch.arange(count)] = 1.0
        yield _require_batch(run([units.reshape(count, *value.shape)], count), count)


def _require_batch(found: Any, batch: int) -> Any:
    import torch

    if not isinstance(found, torch.Tensor) or found.ndim < 1 or found.shape[0] != batch:
        raise _refuse(str(tuple(getattr(found, "shape", ()))))
    return found


def _refuse(measured: str) -> UnreadableError:
    return UnreadableError(
        "an operation that mixes samples, or gives other values than its arguments'",
        "keep the batch as the first dimension; interpolate to the nearest",
        measured=measured,
        limit="(batch, ...), each sample by itself",
    )
