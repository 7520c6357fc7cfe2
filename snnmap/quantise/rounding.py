"""Weight rounding that keeps the course of a neuron's potential, not each weight alone."""

import math

import numpy as np
import numpy.typing as npt

from snnmap.ir import BoolArray, FloatArray, record

__all__ = ["Response", "expected_error", "round_weights"]

_VERNIER_REACH = 4
"""How far the first of two integers is moved from its nearest value, to let the second make the sum finer."""
_MOVES = (((1,), (-1,)), ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1), (1, -2), (-1, 2), (2, -1), (-2, 1)))


@record
class Response:
    """What an error of one unit in a weight does to the neuron's potential, for one or two synapses.

    Attributes:
        power: ``(n_synapses, n_synapses) float64``, inner products of the synapses' kernels.
        total: ``(n_synapses,) float64``, sums of the kernels.
    """

    power: FloatArray
    total: FloatArray


def round_weights(
    values: FloatArray,
    present: BoolArray,
    lsb: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    response: Response,
    low: int,
    high: int,
) -> npt.NDArray[np.int64]:
    """Round the weights onto one neuron to integers.

    With ``e`` the errors of a source's weights (one a synapse), ``n`` the sources' counts (independent from each other and
    from step to step, given mean and variance), ``P`` and ``t`` the response, minimise the expected square of what the
    potential is off by::

        sum variance e'Pe + (sum mean e't)**2

    from the nearest integers by moving, one at a time, the weight or pair of weights whose neighbour helps most. Where a
    source has weights onto both synapses, the pair is chosen together: what one integer is off by, a small one on the
    other synapse makes up for. Only elementwise arithmetic and an exactly rounded sum decide, so every machine rounds alike.

    Args:
        values: ``(n, n_synapses) float64``, weights in units of the chip's state.
        present: ``(n, n_synapses) bool``, weights that are stored; the others stay 0.
        lsb: ``(n,) float64``, state units of one step of each weight (``1 << shift`` of its memory).
        mean: ``(n,) float64``, mean spike count of each source a step.
        variance: ``(n,) float64``, its variance.
        response: of the neuron.
        low: lowest weight.
        high: highest weight.

    Returns:
        ``(n, n_synapses) int64`` in ``low..high``.
    """
    exact = np.where(present, values / lsb[:, np.newaxis], 0.0)
    rounded = np.where(present, np.clip(np.rint(exact), low, high), 0.0)
    n_synapses = exact.shape[1]
    both = present.sum(axis=1) == 2
    if n_synapses == 2:
        rounded = _round_pairs(exact, rounded, both, response, low, high)
    reach = np.where(both, 2.0 * _VERNIER_REACH, 1.0)
    power, mean = variance * lsb * lsb, mean * lsb
    moves = _MOVES[n_synapses - 1]
    allowed = np.stack([present[:, [s for s in range(n_synapses) if move[s]]].all(axis=1) for move in moves])
    for _ in range(values.size):
        change = _changes(rounded - exact, power, mean, response, moves)
        change[~(allowed & _stays_near(rounded, exact, reach, moves, low, high))] = np.inf
        move, row = divmod(int(np.argmin(change)), change.shape[1]) if change.size else (0, 0)
        if not change.size or change[move, row] >= 0:
            break
        rounded[row] += moves[move]
    return rounded.astype(np.int64)


def _stays_near(
    rounded: FloatArray, exact: FloatArray, reach: FloatArray, moves: tuple[tuple[int, ...], ...], low: int, high: int
) -> BoolArray:
    """Say which moves keep the weights in range and within reach of their exact values, ``(n_moves, n)``."""
    near = []
    for move in moves:
        moved = rounded + np.array(move)
        near.append(((moved >= low) & (moved <= high) & (np.abs(moved - exact) < reach[:, np.newaxis])).all(axis=1))
    return np.stack(near)


def expected_error(error: FloatArray, lsb: FloatArray, mean: FloatArray, variance: FloatArray, response: Response) -> float:
    """Give the root of what :func:`round_weights` minimises, for errors ``(n, n_synapses)`` in steps of the weights."""
    pull = math.fsum((mean * lsb * _along(error, response.total)).tolist())
    return math.sqrt(math.fsum((variance * lsb * lsb * _quadratic(error, error, response.power)).tolist()) + pull * pull)


def _round_pairs(exact: FloatArray, rounded: FloatArray, both: BoolArray, response: Response, low: int, high: int) -> FloatArray:
    """Choose, for sources with two weights, the pair of integers nearest in the response."""
    slope = response.power[0, 1] / response.power[1, 1]
    least = _quadratic(rounded - exact, rounded - exact, response.power)
    for step in range(-_VERNIER_REACH, _VERNIER_REACH + 1):
        first = np.clip(np.rint(exact[:, 0]) + step, low, high)
        second = np.clip(np.rint(exact[:, 1] + slope * (exact[:, 0] - first)), low, high)
        pair = np.stack([first, second], axis=1)
        cost = _quadratic(pair - exact, pair - exact, response.power)
        better = both & (cost < least)
        rounded, least = np.where(better[:, np.newaxis], pair, rounded), np.where(better, cost, least)
    return rounded


def _changes(
    error: FloatArray, power: FloatArray, mean: FloatArray, response: Response, moves: tuple[tuple[int, ...], ...]
) -> FloatArray:
    """Give by how much each move of each row changes the expected square, ``(n_moves, n)``."""
    pull = math.fsum((mean * _along(error, response.total)).tolist())
    changes = []
    for move in moves:
        moved = np.broadcast_to(np.array(move, np.float64), error.shape)
        own = power * (2.0 * _quadratic(error, moved, response.power) + _quadratic(moved, moved, response.power))
        changes.append(own + (pull + mean * _along(moved, response.total)) ** 2 - pull * pull)
    return np.stack(changes)


def _quadratic(one: FloatArray, other: FloatArray, power: FloatArray) -> FloatArray:
    """Give ``one' P other`` row by row, by elementwise arithmetic alone."""
    total = np.zeros(one.shape[0])
    for i in range(one.shape[1]):
        for j in range(one.shape[1]):
            total = total + one[:, i] * power[i, j] * other[:, j]
    return total


def _along(values: FloatArray, direction: FloatArray) -> FloatArray:
    total = np.zeros(values.shape[0])
    for i in range(values.shape[1]):
        total = total + values[:, i] * direction[i]
    return total
