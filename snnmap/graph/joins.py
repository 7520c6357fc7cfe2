"""Activations and constants side by side, or chosen between, as sums of activations and a constant; choices of the greater."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from snnmap.graph.operation import Array, Shape
from snnmap.graph.operations.movement import Pad

__all__ = ["name_choice", "plan_choice", "plan_join"]

Operand: TypeAlias = Array | tuple[str, Shape]
"""A constant, or the name of an activation and the shape of a sample."""


def plan_join(parts: Sequence[Shape | Array], axis: int) -> tuple[list[Pad], Array]:
    """Return how each activation is padded, in their order, and what is added to their sum.

    Args:
        parts: of activations the shape of a sample, and constants, of a sample too; one activation at least.
        axis: along which they stand, the batch counted.
    """
    shapes = [part.shape if isinstance(part, np.ndarray) else part for part in parts]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    ends = np.cumsum([shape[axis - 1] for shape in shapes]).tolist()
    first = next(part for part in parts if not isinstance(part, np.ndarray))
    fixed = np.zeros((*first[: axis - 1], ends[-1], *first[axis:]), np.result_type(np.float32, *arrays))
    pads = []
    for part, shape, end in zip(parts, shapes, ends, strict=True):
        start = end - shape[axis - 1]
        if isinstance(part, np.ndarray):
            fixed[(*[slice(None)] * (axis - 1), slice(start, end))] = part
        else:
            sides = np.zeros(2 * len(first) + 2, np.int64)
            sides[axis], sides[len(first) + 1 + axis] = start, ends[-1] - end
            pads.append(Pad(pads=tuple(sides.tolist()), mode="constant", value=0.0))
    return pads, fixed


def plan_choice(mask: Array, parts: Sequence[Array | None]) -> tuple[list[Array], Array]:
    """Return by what each activation is multiplied, in their order, and what is added to their sum.

    Args:
        mask: of truths, where the first of the parts is taken.
        parts: two, constants of a sample; None for an activation.
    """
    masks, fixed = [], np.zeros((), np.float32)
    for part, taken in zip(parts, (mask, ~mask), strict=True):
        if part is None:
            masks.append(taken.astype(np.float32))
        else:
            fixed = fixed + np.where(taken, part, np.zeros((), part.dtype))
    return masks, fixed


def name_choice(kind: str, compared: Sequence[Operand], chosen: Sequence[Operand]) -> str:
    """Return ``Max``, ``Min`` or ``Relu`` where a choice between two values by which one is greater is that, else nothing.

    Args:
        kind: of the comparison, as ONNX calls it.
        compared: both values, in their order.
        chosen: what is taken where the comparison holds, and where it does not.
    """
    (one, other), is_greater = compared, kind.startswith("Greater")
    if _are_same(chosen[0], other) and _are_same(chosen[1], one):
        is_greater = not is_greater
    elif not (_are_same(chosen[0], one) and _are_same(chosen[1], other)):
        return ""
    if np.broadcast_shapes(*map(_find_shape, (*compared, *chosen))) != np.broadcast_shapes(*map(_find_shape, chosen)):
        return ""
    is_zero = any(isinstance(part, np.ndarray) and part.size == 1 and not part.any() for part in chosen)
    return "Relu" if is_greater and is_zero else "Max" if is_greater else "Min"


def _are_same(one: Operand, other: Operand) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.all(one == other))
    return not isinstance(one, np.ndarray) and not isinstance(other, np.ndarray) and one == other


def _find_shape(operand: Operand) -> Shape:
    return operand.shape if isinstance(operand, np.ndarray) else operand[1]
