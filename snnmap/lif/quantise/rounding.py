"""Weight rounding that keeps the course of a neuron's potential, not each weight alone."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.core import BoolArray, FloatArray, IntArray, record

__all__ = ["Response", "SourceMoments", "expected_error", "fit_gain", "round_weights"]

_VERNIER_REACH = 4
"""How far the first of two integers is moved from its nearest value, to let the second make the sum finer."""
_FIRST_OF_PAIR = 8
"""Moves that are tried together with every other where none helps alone."""
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

    @property
    def length(self) -> float:
        """Steps over which the potential adds up its input: of a box whose power and sum are the kernels', ``t' P**-1 t``."""
        if self.total.size == 1:
            return float(self.total[0] ** 2 / self.power[0, 0])
        (a, b), (_, d) = self.power.tolist()
        s, t = self.total.tolist()
        singular = a * d - b * b <= 1e-12 * a * d
        return float(s * s / a if singular else (d * s * s - 2.0 * b * s * t + a * t * t) / (a * d - b * b))

    @property
    def shape_power(self) -> FloatArray:
        """Return what is left of ``power`` for errors whose kernels add up to nothing: ``P - t t' / length``."""
        return np.asarray(self.power - np.outer(self.total, self.total) / self.length, np.float64)


@record
class SourceMoments:
    """What is known of the counts of a neuron's sources.

    Attributes:
        variance: ``(n,) float64``, of the count of a step.
        together: ``(n, n) float64``, mean products of the sources' mean counts over as many steps as the potential adds up.
    """

    variance: FloatArray
    together: FloatArray


def round_weights(
    values: FloatArray,
    present: BoolArray,
    lsb: FloatArray,
    sources: SourceMoments,
    response: Response,
    low: int,
    high: int,
) -> npt.NDArray[np.int64]:
    """Round the weights onto one neuron to integers.

    With ``e`` the errors of a source's weights (one a synapse), ``P`` and ``t`` the response, ``L`` its length, ``v`` and ``M``
    the sources' moments, minimise the expected square of what the potential is off by::

        sum v e'(P - t t'/L) e + a'M a        a = e't of each source

    from the nearest integers by moving, one at a time, the weight or pair of weights whose neighbour helps most, or where none
    helps alone two sources' together. Errors of sources that fire together add up, and so are made to cancel. Where a source has
    weights onto both synapses, the pair is chosen together: what one integer is off by, a small one on the other synapse makes
    up for. Only elementwise arithmetic decides, so every machine rounds alike.

    Args:
        values: ``(n, n_synapses) float64``, weights in units of the chip's state.
        present: ``(n, n_synapses) bool``, weights that are stored; the others stay 0.
        lsb: ``(n,) float64``, state units of one step of each weight (``1 << shift`` of its memory).
        sources: moments of the counts.
        response: of the neuron.
        low: lowest weight.
        high: highest weight.

    Returns:
        ``(n, n_synapses) int64`` in ``low..high``.
    """
    used = present.any(axis=0)
    rounded = np.zeros(values.shape, np.int64)
    if used.any():
        part = Response(power=response.power[np.ix_(used, used)], total=response.total[used])
        rounded[:, used] = _round_used(values[:, used], present[:, used], lsb, sources, part, low, high)
    return rounded


def _round_used(
    values: FloatArray,
    present: BoolArray,
    lsb: FloatArray,
    sources: SourceMoments,
    response: Response,
    low: int,
    high: int,
) -> FloatArray:
    exact = np.where(present, values / lsb[:, np.newaxis], 0.0)
    rounded = np.where(present, np.clip(np.rint(exact), low, high), 0.0)
    both = present.sum(axis=1) == 2
    if present.shape[1] == 2:
        rounded = _round_pairs(exact, rounded, both, response, low, high)
    reach = np.where(both, 2.0 * _VERNIER_REACH, 1.0)[:, np.newaxis]
    lowest = np.where(present, np.maximum(low, np.floor(exact - reach) + 1.0), 0.0)
    highest = np.where(present, np.minimum(high, np.ceil(exact + reach) - 1.0), 0.0)
    search = _Search.of(rounded - exact, lsb, sources, response)
    for _ in range(values.size):
        change = np.where(_is_open(rounded, lowest, highest, search.moves), search.changes(), np.inf)
        place = int(np.argmin(change))
        taken = (place,) if change.flat[place] < 0 else search.find_pair(change)
        if not taken:
            break
        for place in taken:
            move, row = divmod(place, change.shape[1])
            rounded[row] += search.moves[move]
            search.take(move, row)
    return rounded


def _is_open(rounded: FloatArray, lowest: FloatArray, highest: FloatArray, moves: FloatArray) -> BoolArray:
    """Say which moves lead to no weight outside its bounds, ``(n_moves, n)``."""
    is_open = np.ones((len(moves), len(rounded)), np.bool_)
    for synapse in range(moves.shape[1]):
        moved = rounded[:, synapse] + moves[:, synapse, np.newaxis]
        is_open &= (moved >= lowest[:, synapse]) & (moved <= highest[:, synapse])
    return is_open


@dataclass(slots=True)
class _Search:
    """What each move of each source would change, kept up to date as moves are taken.

    Attributes:
        moves: ``(n_moves, n_synapses)``.
        along: ``(n_moves, n)``, by how much a move changes a source's share of the potential.
        own: ``(n_moves, n)``, what a move adds to the expected square by itself.
        cross: ``(n_moves, n_synapses)``, ``2 R m`` of each move m, R the power of shapes.
        power: ``(n,)``, weight of the shapes.
        error: ``(n, n_synapses)`` so far.
        pull: ``(n,)``, mean products of the sources' counts with what the potential is off by.
        together: ``(n, n)``.
    """

    moves: FloatArray
    along: FloatArray
    own: FloatArray
    cross: FloatArray
    power: FloatArray
    error: FloatArray
    pull: FloatArray
    together: FloatArray

    @classmethod
    def of(cls, error: FloatArray, lsb: FloatArray, sources: SourceMoments, response: Response) -> "_Search":
        moves, shape = np.array(_MOVES[error.shape[1] - 1], np.float64), response.shape_power
        along = _along(moves, response.total)[:, np.newaxis] * lsb
        power = sources.variance * lsb * lsb
        own = along * along * np.diagonal(sources.together) + _quadratic(moves, moves, shape)[:, np.newaxis] * power
        cross = np.stack([2.0 * _along(moves, row) for row in shape], axis=1)
        pull = _pull(error, lsb, sources, response)
        return cls(moves, along, own, cross, power, error.copy(), pull, sources.together)

    def changes(self) -> FloatArray:
        """Return by how much each move of each row changes the expected square, ``(n_moves, n)``."""
        shapes = sum(self.cross[:, s, np.newaxis] * self.error[:, s] for s in range(self.moves.shape[1]))
        return np.asarray(self.own + 2.0 * self.along * self.pull + self.power * shapes, np.float64)

    def find_pair(self, change: FloatArray) -> tuple[int, ...]:
        """Return the two moves of different sources that help most together, one of them among the least bad; none if none do."""
        size = change.shape[1]
        first = np.argsort(change, axis=None, kind="stable")[:_FIRST_OF_PAIR]
        first = first[np.isfinite(change.flat[first])]
        if not first.size:
            return ()
        move, row = first // size, first % size
        both = self.together[row][:, np.newaxis, :] * self.along * (2.0 * self.along[move, row])[:, np.newaxis, np.newaxis]
        both += change + change.flat[first][:, np.newaxis, np.newaxis]
        both[np.arange(first.size), :, row] = np.inf
        place = int(np.argmin(both))
        which, second = divmod(place, change.size)
        return (int(first[which]), second) if both.flat[place] < 0 else ()

    def take(self, move: int, row: int) -> None:
        self.error[row] += self.moves[move]
        self.pull = self.pull + self.together[row] * self.along[move, row]


def expected_error(error: FloatArray, lsb: FloatArray, sources: SourceMoments, response: Response) -> float:
    """Return the root of what :func:`round_weights` minimises, for errors ``(n, n_synapses)`` in steps of the weights."""
    own = sources.variance * lsb * lsb * _quadratic(error, error, response.shape_power)
    along = lsb * _along(error, response.total)
    return math.sqrt(max(0.0, math.fsum((own + along * _pull(error, lsb, sources, response)).tolist())))


def fit_gain(exact: FloatArray, rounded: IntArray, lsb: FloatArray, sources: SourceMoments, response: Response) -> float:
    """Return the factor on the exact weights at which rounded ones are nearest to them: for few sources a scale that suits them.

    With ``c`` and ``w`` what rounded and exact weights bring, source by source, ``|c - x w|`` over ``x`` is least, as a share of
    the scale, where ``x = c'M c / w'M c``.

    Args:
        exact: ``(n, n_synapses) float64``, weights in steps.
        rounded: the same, in integers.
        lsb: ``(n,) float64``, state units of a step.
        sources: moments of the counts.
        response: of the neuron.
    """
    pull = _pull(np.asarray(rounded, np.float64), lsb, sources, response)
    found = math.fsum((lsb * _along(np.asarray(rounded, np.float64), response.total) * pull).tolist())
    wanted = math.fsum((lsb * _along(exact, response.total) * pull).tolist())
    return found / wanted if found > 0 and wanted > 0 else 1.0


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


def _pull(error: FloatArray, lsb: FloatArray, sources: SourceMoments, response: Response) -> FloatArray:
    """Return the mean product of each source's count with what the potential is off by, ``(n,)``, by elementwise arithmetic."""
    along = lsb * _along(error, response.total)
    return np.asarray((sources.together * along[:, np.newaxis]).sum(axis=0), np.float64)  # row after row


def _quadratic(one: FloatArray, other: FloatArray, power: FloatArray) -> FloatArray:
    """Return ``one' P other`` row by row, by elementwise arithmetic alone."""
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
