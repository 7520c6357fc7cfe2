"""How a neuron's potential answers a spike: inner products of double-exponential kernels, in closed form.

A spike through a synapse with decay ``a`` onto a membrane with decay ``b`` moves the potential ``t`` steps later by::

    k[t] = sum over r of a**r b**(t - r) = (a**(t+1) - b**(t+1)) / (a - b)

All sums over ``t`` are geometric, so only + - x / decide, and every machine gives the same numbers.
"""

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray

__all__ = ["LARGEST_DECAY", "kernel_product", "kernel_sum", "tail_product", "tail_sum"]

LARGEST_DECAY = 1.0 - 2.0**-16
"""Of a state in kernels; one that loses nothing a step has a kernel without an end, and no sum."""


def kernel_product(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, d: npt.ArrayLike) -> FloatArray:
    """Return ``sum over t of k_ab[t] k_cd[t]``; symmetric in ``a, b`` and in ``c, d``."""
    a, b = _apart(a, b)
    c, d = _apart(c, d)
    total = _series(a * c) - _series(a * d) - _series(b * c) + _series(b * d)
    return np.asarray(total / ((a - b) * (c - d)), np.float64)


def kernel_sum(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Return ``sum over t of k_ab[t]``: the potential that a constant input of 1 reaches."""
    return np.asarray(1.0 / ((1.0 - _clip(a)) * (1.0 - _clip(b))), np.float64)


def tail_product(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, d: npt.ArrayLike) -> FloatArray:
    """Return ``sum over t of k_ab[t] (c**(t+1) - d**(t+1))``: a self-synapse's kernel against a difference of two decays."""
    a, b = _apart(a, b)
    c, d = _clip(c), _clip(d)
    total = _series(a * c) - _series(a * d) - _series(b * c) + _series(b * d)
    return np.asarray(total / (a - b), np.float64)


def tail_sum(c: npt.ArrayLike, d: npt.ArrayLike) -> FloatArray:
    """Return ``sum over t of (c**(t+1) - d**(t+1))``."""
    return np.asarray(_series(_clip(c)) - _series(_clip(d)), np.float64)


def _series(x: FloatArray) -> FloatArray:
    """Return ``x + x**2 + ...``."""
    return np.asarray(x / (1.0 - x), np.float64)


def _clip(decay: npt.ArrayLike) -> FloatArray:
    return np.minimum(np.asarray(decay, np.float64), LARGEST_DECAY)


def _apart(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Part decays that are nearly equal, where the closed form loses its digits; the kernel hardly changes."""
    a, b = _clip(a), _clip(b)
    gap = 1e-3 * (1.0 - a)
    return a, np.where(np.abs(a - b) < gap, a - gap, b)
