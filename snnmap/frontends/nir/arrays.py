"""Parameters and shapes of NIR nodes as checked numpy values."""

from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

__all__ = ["are_same_but_batch", "read_array", "shape_of", "without_batch"]

Shape = tuple[int, ...]


def without_batch(shape: Shape, n_dimensions: int = 0) -> Shape:
    """Leave out leading sides of 1, down to a number of dimensions: exporters write the batch and time of their sample."""
    while len(shape) > max(n_dimensions, 1) and shape[0] == 1:
        shape = shape[1:]
    return shape


def are_same_but_batch(one: Shape, other: Shape) -> bool:
    """Say whether two shapes are the same, leading sides of 1 apart."""
    return without_batch(one) == without_batch(other)


def read_array(node: Any, name: str, where: str) -> FloatArray:
    """Return a parameter as float64.

    Raises:
        FrontendError: it is not numeric, or holds NaN or infinite values (an infinite threshold is none).
    """
    value = getattr(node, name)
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise FrontendError(f"'{name}' is not numeric", where=where, measured=type(value).__name__, fix="give numbers") from error
    wrong = ~np.isfinite(array) & ~((name == "v_threshold") & (array == np.inf))
    if wrong.any():
        raise FrontendError(
            f"'{name}' holds a value that is not finite", where=where,
            measured=f"{array[wrong].flat[0]} at {tuple(int(k[0]) for k in np.nonzero(wrong))}", limit="finite numbers",
            fix="look for the step of the training that diverged",
        )  # fmt: skip
    return array


def shape_of(declared: Any, where: str) -> Shape:
    """Return the shape that a port declares.

    Raises:
        FrontendError: none, or not of positive integers.
    """
    try:
        sides = tuple(int(side) for side in np.atleast_1d(declared))
    except (TypeError, ValueError):
        sides = ()
    if declared is None or not sides or min(sides) < 1:
        raise FrontendError("the port has no usable shape", where=where, measured=str(declared), fix="give positive integers")
    return sides
