"""Activations and constants side by side, as a sum of activations with zeros around them and of the constants."""

from collections.abc import Sequence

import numpy as np

from snnmap.graph.operation import Array, Shape
from snnmap.graph.operations.movement import Pad

__all__ = ["plan_join"]


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
