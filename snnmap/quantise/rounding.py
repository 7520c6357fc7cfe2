"""Weight rounding that keeps a neuron's summed input, not each weight alone."""

import math

import numpy as np
import numpy.typing as npt

from snnmap.ir import FloatArray

__all__ = ["expected_error", "round_weights"]


def round_weights(
    values: FloatArray, lsb: FloatArray, mean: FloatArray, variance: FloatArray, low: int, high: int
) -> npt.NDArray[np.int64]:
    """Round the weights onto one neuron to integers.

    With ``e`` the weight errors and ``n`` the sources' counts (independent, given mean and variance), minimise::

        E[(sum e n)**2] = sum variance e**2 + (sum mean e)**2

    from the nearest integers by moving, one at a time, the weight whose other neighbour helps most. Only elementwise
    arithmetic and an exactly rounded sum decide, so every machine rounds alike.

    Args:
        values: ``(n,) float64``, weights in units of the chip's state.
        lsb: ``(n,) float64``, state units of one step of each weight (``1 << shift`` of its memory).
        mean: ``(n,) float64``, mean spike count of each source a step.
        variance: ``(n,) float64``, its variance.
        low: lowest weight.
        high: highest weight.

    Returns:
        ``(n,) int64`` in ``low..high``.
    """
    exact = values / lsb
    rounded = np.clip(np.rint(exact), low, high)
    for _ in range(values.size):
        error = (rounded - exact) * lsb
        other = np.where(error > 0, rounded - 1, rounded + 1)
        bias = math.fsum((mean * error).tolist())
        moved = (other - exact) * lsb
        change = variance * (moved * moved - error * error) + (bias + mean * (moved - error)) ** 2 - bias * bias
        change[(other < low) | (other > high)] = np.inf
        best = int(np.argmin(change))
        if change[best] >= 0:
            break
        rounded[best] = other[best]
    return rounded.astype(np.int64)


def expected_error(error: FloatArray, mean: FloatArray, variance: FloatArray) -> float:
    """Give the root of the expected squared error of the summed input, in units of ``error``."""
    bias = math.fsum((mean * error).tolist())
    return math.sqrt(math.fsum((variance * error * error).tolist()) + bias * bias)
