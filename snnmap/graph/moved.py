"""Operations on values whose batch is not the first axis, as operations on the same values with the batch first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from snnmap.graph.build import UnreadableError
from snnmap.graph.operation import Operation, Shape, TensorType
from snnmap.graph.operations import activations, arithmetic
from snnmap.graph.operations.gemm import MatMul
from snnmap.graph.operations.movement import Concat, Gather, Identity, Slice, Squeeze, Transpose, Unsqueeze
from snnmap.graph.operations.pooling import Reduction
from snnmap.graph.operations.quantisation import DequantizeLinear, QuantizeLinear
from snnmap.graph.operations.quantised_levels import QLinearConcat

__all__ = ["follow_batch", "refuse_moved"]

_ALONE = (
    DequantizeLinear, Identity, QuantizeLinear, activations.Abs, activations.Clip, activations.LeakyRelu, activations.Neg,
    activations.Relu,
)  # fmt: skip
_SPREAD = (arithmetic.Add, arithmetic.Div, arithmetic.Max, arithmetic.Min, arithmetic.Mul, arithmetic.Sub)


def follow_batch(operation: Operation, inputs: Sequence[TensorType], batch_axes: Sequence[int]) -> tuple[Operation, int]:
    """Return what an operation is where the batch is brought to the front, and at which axis it stands behind the operation.

    Args:
        operation: with axes as the model's author counts them.
        inputs: types of its inputs, the batch left out.
        batch_axes: at which axis of each input the batch stands; 0 for constants too.

    Returns:
        The operation on values with the batch first and the other axes in their order, which gives such values too; and the
        axis of the batch in what the author's operation gives.

    Raises:
        UnreadableError: the operation mixes samples, or is none that is followed.
    """
    for kind, follow in _FOLLOWED.items():
        if isinstance(operation, kind):
            return follow(operation, len(inputs[0].shape) + 1, batch_axes[0], inputs[1:])
    moved = max(batch_axes, default=0)
    scalar = all(not kind.shape for kind in inputs if kind.is_constant)
    if not moved or (scalar and isinstance(operation, _ALONE)):
        return operation, moved
    moving = [(kind, axis) for kind, axis in zip(inputs, batch_axes, strict=True) if not kind.is_constant]
    behind = len(moving[0][0].shape) - moved
    fits = all(len(kind.shape) <= behind for kind in inputs if kind.is_constant)
    same = all((len(kind.shape), axis) == (len(moving[0][0].shape), moved) for kind, axis in moving)
    if same and fits and isinstance(operation, _SPREAD):
        return operation, moved
    if same and scalar and isinstance(operation, Concat | QLinearConcat):
        (axis,) = _find_axes((operation.axis,), len(moving[0][0].shape) + 1)
        return replace(operation, axis=_bring(axis, moved)), moved
    if isinstance(operation, MatMul) and behind and not inputs[0].is_constant and len(inputs[1].shape) == 2 and len(moving) == 1:
        return operation, moved  # of the last axis
    raise refuse_moved(moved)


def refuse_moved(batch_axis: int) -> UnreadableError:
    """Return the error about a value whose batch is at an axis where it must be first."""
    return UnreadableError(
        "the batch is not the first axis of what it takes or gives",
        "keep the batch as the first dimension, or bring it back there before",
        measured=f"axis {batch_axis}",
        limit="0",
    )


def _follow_transpose(operation: Transpose, rank: int, batch_axis: int, _: Any) -> tuple[Operation, int]:
    if sorted(operation.perm) != list(range(rank)):
        return operation, batch_axis  # whose own check refuses it
    others = (_bring(axis, batch_axis) for axis in operation.perm if axis != batch_axis)
    return Transpose(perm=(0, *others)), operation.perm.index(batch_axis)


def _follow_unsqueeze(operation: Unsqueeze, rank: int, batch_axis: int, _: Any) -> tuple[Operation, int]:
    n_axes = rank + len(operation.axes)
    new = [axis + n_axes if axis < 0 else axis for axis in operation.axes]
    kept = [axis for axis in range(n_axes) if axis not in new]
    if len(kept) != rank:
        return operation, batch_axis  # whose own check refuses it
    after = kept[batch_axis]
    return Unsqueeze(axes=tuple(_bring(axis, after) for axis in new)), after


def _follow_squeeze(operation: Squeeze, rank: int, batch_axis: int, _: Any) -> tuple[Operation, int]:
    axes = _find_axes(operation.axes, rank)
    return Squeeze(axes=_bring_all(axes, batch_axis)), batch_axis - _count_before(axes, batch_axis)


def _follow_reduction(operation: Reduction, rank: int, batch_axis: int, _: Any) -> tuple[Operation, int]:
    axes = _find_axes(operation.axes, rank)
    if batch_axis and batch_axis in axes:
        raise refuse_moved(batch_axis)
    gone = 0 if operation.keepdims else _count_before(axes, batch_axis)
    return replace(operation, axes=_bring_all(axes, batch_axis)), batch_axis - gone


def _follow_slice(operation: Slice, rank: int, batch_axis: int, _: Any) -> tuple[Operation, int]:
    return replace(operation, axes=_bring_all(_find_axes(operation.axes, rank), batch_axis)), batch_axis


def _follow_gather(operation: Gather, rank: int, batch_axis: int, places: Sequence[TensorType]) -> tuple[Operation, int]:
    (axis,) = _find_axes((operation.axis,), rank)
    more = len(places[0].shape) - 1 if axis < batch_axis else 0
    return Gather(axis=_bring(axis, batch_axis)), batch_axis + more


def _find_axes(axes: Shape, rank: int) -> Shape:
    return tuple(axis + rank if axis < 0 else axis for axis in axes)


def _count_before(axes: Shape, batch_axis: int) -> int:
    return sum(axis < batch_axis for axis in axes)


def _bring_all(axes: Shape, batch_axis: int) -> Shape:
    return tuple(_bring(axis, batch_axis) for axis in axes)


def _bring(axis: int, batch_axis: int) -> int:
    """Return which axis one is where that of the batch comes first, as 0."""
    return 0 if axis == batch_axis else axis + 1 if axis < batch_axis else axis


_FOLLOWED: Mapping[type[Operation], Callable[[Any, int, int, Sequence[TensorType]], tuple[Operation, int]]] = {
    Transpose: _follow_transpose,
    Unsqueeze: _follow_unsqueeze,
    Squeeze: _follow_squeeze,
    Reduction: _follow_reduction,
    Slice: _follow_slice,
    Gather: _follow_gather,
}
