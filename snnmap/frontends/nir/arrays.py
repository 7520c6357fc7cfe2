"""Parameters and shapes of NIR nodes as checked numpy values."""

import contextlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

__all__ = ["are_same_but_batch", "declared_shape", "read_array", "read_integers", "shape_of", "without_batch"]

Shape = tuple[int, ...]

MOST = 2**31 - 1
"""Largest side, step or delay; beyond, products of them leave 64 bits."""


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
        FrontendError: it is not given, not of real numbers, or holds masked, NaN or infinite values (an infinite threshold
            is none).
    """
    array = _to_floats(getattr(node, name, None), name, where)
    wrong = ~np.isfinite(array) & ~((name in ("v_threshold", "threshold")) & (array == np.inf))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise FrontendError(
            f"'{name}' holds a value that is not finite", where=where, measured=f"{array[wrong].flat[0]} at {place}",
            limit="finite numbers", fix="look for the step of the training that diverged",
        )  # fmt: skip
    return array


def read_integers(node: Any, name: str, where: str) -> Shape:
    """Return an option that is one integer or a row of them.

    Raises:
        FrontendError: it is not.
    """
    return _to_integers(getattr(node, name, None), name, where)


def declared_shape(node: Any, side: Literal["input", "output"], where: str) -> Shape | None:
    """Return the shape that a node declares for what it takes or sends; None where it declares none.

    Raises:
        FrontendError: it is not of positive integers.
    """
    declared = getattr(node, f"{side}_type", None)
    shape = next(iter(declared.values()), None) if isinstance(declared, Mapping) else declared
    return None if shape is None else shape_of(shape, where)


def shape_of(declared: Any, where: str) -> Shape:
    """Return the shape that a port declares.

    Raises:
        FrontendError: none, or not of positive integers.
    """
    sides: Shape = ()
    with contextlib.suppress(FrontendError):
        sides = _to_integers(declared, "shape", where)
    if not sides or min(sides) < 1:
        raise FrontendError("the port has no usable shape", where=where, measured=str(declared), fix="give positive integers")
    return sides


def _to_integers(value: Any, name: str, where: str) -> Shape:
    values = np.atleast_1d(_to_floats(value, name, where))
    if values.ndim > 1 or not values.size or not (np.abs(values) <= MOST).all() or (values != np.floor(values)).any():
        raise FrontendError(
            f"'{name}' is not an integer or a row of integers", where=where, measured=str(value), limit=f"at most {MOST}",
            fix="give integers",
        )  # fmt: skip
    return tuple(int(number) for number in values)


def _to_floats(value: Any, name: str, where: str) -> FloatArray:
    if value is None:
        raise FrontendError(f"'{name}' is not given", where=where, fix="give all parameters of the node")
    try:
        array = np.asarray(_on_host(value))
        if array.dtype.kind in "biufO" and not np.ma.is_masked(value):
            with np.errstate(over="ignore"):
                return np.asarray(array, np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _not_numeric(value, name, where) from error
    raise _not_numeric(value, name, where)


def _on_host(value: Any) -> Any:
    """Return a torch tensor as numpy's; numpy has no bfloat16."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()


def _not_numeric(value: Any, name: str, where: str) -> FrontendError:
    measured = " of ".join(map(str, filter(None, (type(value).__name__, getattr(value, "dtype", None)))))
    return FrontendError(f"'{name}' is not numeric", where=where, measured=measured, fix="give a dense array of real numbers")
