"""Sums, differences, products and quotients of activations, numbers and constant tensors."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.convert.affine import combine, scale, to_array
from snnmap.convert.ann import Affine
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

__all__ = ["OPERATORS", "calculate"]

_SIGNS = {operator.add: 1.0, operator.iadd: 1.0, operator.sub: -1.0, operator.isub: -1.0}
OPERATORS: Mapping[str, Any] = {
    **dict.fromkeys(("add", "add_", "iadd"), operator.add),
    **dict.fromkeys(("sub", "sub_", "isub", "subtract"), operator.sub),
    **dict.fromkeys(("mul", "mul_", "imul", "multiply"), operator.mul),
    **dict.fromkeys(("div", "div_", "truediv", "itruediv", "divide", "true_divide"), operator.truediv),
    **dict.fromkeys(("neg", "neg_", "negative"), operator.neg),
}
"""Python's operator by the name of a function or method of torch."""


def calculate(function: Any, terms: Sequence[Any], where: str) -> Affine:
    """Read one operation.

    Args:
        function: of :data:`OPERATORS`.
        terms: its arguments, at least one an activation; others numbers or tensors.
        where: node that errors name.

    Raises:
        FrontendError: a product or quotient of activations, shapes that differ, or other arguments.
    """
    if function is operator.neg:
        return _scale_by(terms[0], np.float64(-1.0))
    one, other = (*terms, None)[:2]
    if isinstance(one, Affine) and isinstance(other, Affine):
        if function in _SIGNS:
            return _add(one, other, _SIGNS[function], where)
        raise FrontendError(
            "a product or quotient of activations has no LIF counterpart", where=where, fix="multiply activations by numbers only"
        )
    flipped = not isinstance(one, Affine)
    value: Affine = other if flipped else one
    constant = _spread(one if flipped else other, value, where)
    if function in _SIGNS:
        sign = _SIGNS[function]
        return _shift(_scale_by(value, np.float64(sign)), constant) if flipped else _shift(value, sign * constant)
    if function is operator.mul:
        return _scale_by(value, constant)
    if flipped or not constant.all():
        raise FrontendError(
            "a product or quotient of activations has no LIF counterpart, nor has a division by 0",
            where=where,
            fix="multiply activations by numbers only",
        )
    return _scale_by(value, 1.0 / constant)


def _add(one: Affine, other: Affine, sign: float, where: str) -> Affine:
    if one.shape != other.shape:
        raise FrontendError(
            "an addition of other things than two activations of one size",
            where=where,
            measured=f"{one.shape} and {other.shape}",
            fix="add activations of one shape",
        )
    return combine(one, other, sign)


def _spread(constant: Any, value: Affine, where: str) -> FloatArray:
    """Return a number or tensor as one number a value of the sample, ``(n,)``, broadcast as torch does."""
    if isinstance(constant, bool | int | float):
        return np.full(value.size, float(constant))
    try:
        array = to_array(constant)
        whole = np.broadcast_shapes(array.shape, (1, *value.shape))
    except (AttributeError, ValueError):
        whole, array = (), np.zeros(0)
    if whole != (1, *value.shape):
        raise FrontendError(
            "arithmetic with other things than activations, numbers, and tensors that fit a sample",
            where=where,
            measured=str(getattr(constant, "shape", constant)),
            limit=f"broadcast to (1, {', '.join(map(str, value.shape))})",
            fix="use numbers, or buffers of the activation's shape",
        )
    return np.ascontiguousarray(np.broadcast_to(array, whole)).reshape(-1)


def _shift(value: Affine, constant: FloatArray) -> Affine:
    return replace(value, bias=value.bias + constant)


def _scale_by(value: Affine, factor: FloatArray | np.float64) -> Affine:
    return scale(value, np.broadcast_to(factor, (value.size,)), np.zeros(value.size))
