"""Weight rounding that keeps the course of a neuron's potential, not each weight alone.

With ``e`` the errors of a source's weights (one a synapse), ``P`` and ``t`` the response of the neuron, ``L`` its length, ``v``
and ``M`` the sources' moments, the expected square of what the potential is off by is least::

    sum v e'(P - t t'/L) e + a'M a        a = e't of each source

The search starts from the nearest integers and moves, one at a time, the weight or pair of weights whose neighbour helps most,
or where none helps alone two sources' together. Errors of sources that fire together add up, and so are made to cancel. Where a
source has weights onto both synapses, the pair is chosen together: what one integer is off by, a small one on the other synapse
makes up for. Of a neuron with few sources the threshold is moved too, where its weights are nearer to integers at another scale.

The functions are plain Python, which :func:`compile_rounding` compiles as they stand. Every sum runs in one order, or is exact in
any: both give the same integers on every machine.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from snnmap.core import BoolArray, FloatArray, IntArray

__all__ = [
    "Entries",
    "Limits",
    "Responses",
    "Rounded",
    "Sources",
    "Together",
    "compile_rounding",
    "measure_together",
    "round_targets",
]

_FEW_SOURCES = 32
"""Sources of a neuron up to which its scale is fitted to their rounded weights; errors of more are made to cancel anyway."""
_LEAST_FACTOR, _LARGEST_FACTOR = 0.75, 1.05
"""How much smaller or larger than the scale at which all fits, with room to spare, the fitted one may be."""
_VERNIER_REACH = 4
"""How far the first of two integers is moved from its nearest value, to let the second make the sum finer."""
_FIRST_OF_PAIR = 8
"""Moves that are tried together with every other where none helps alone."""
_MOST_BESIDE, _MOST_NEAR = 16, 256
"""Neurons with the same sources that are rounded beside each other, and sums of each that a processor holds near."""
_FEW_NEAR = 64
"""Numbers among which that below a limit are rare."""
_FEW_WINDOWS = 16
"""Windows up to which a library's product costs more, by the threads that it keeps awake, than it saves."""
_FEWER_FACTORS = 3
"""Numbers of what sources do together, for each of its factors', from which on it is quicker to go through these."""
_SINGLE_MOVES = np.array([[1.0], [-1.0]])
_PAIR_MOVES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, -1], [-1, 1], [1, -2], [-1, 2], [2, -1], [-2, 1]], np.float64)


class Entries(NamedTuple):
    """All weights onto a row of neurons, a line for each source of each target, by target and then by source.

    Attributes:
        edges: ``(n + 1,) int64``, where each target's lines start.
        source: ``(n_lines,) int64``.
        present: ``(n_lines, n_synapses) bool``, weights that are stored; the others stay 0.
        value: ``(n_lines, n_synapses) float64``, in state units of the chip.
        lsb: ``(n_sources,) float64``, state units of one step of a source's weights.
    """

    edges: IntArray
    source: IntArray
    present: BoolArray
    value: FloatArray
    lsb: FloatArray


class Sources(NamedTuple):
    """What is known of the sources' counts.

    Attributes:
        mean: ``(n_sources,) float64``, of the count of a step.
        variance: ``(n_sources,) float64``.
        windows: ``(n_sources, n_windows) int32``, counts of as many steps as the potential adds up.
        length: of a window in steps.
        is_narrow: whether float32 holds every sum of products of two sources' windows exactly.
    """

    mean: FloatArray
    variance: FloatArray
    windows: Any
    length: float
    is_narrow: bool


class Together(NamedTuple):
    """Mean products of sources' counts, M, and the factors of which it is made where these are fewer numbers.

    Attributes:
        products: ``(n, n) float64``.
        squares: ``(n,) float64``, of each source with itself.
        factors: F, ``(n, n_factors) float64``, of which M is ``F F' + diag(rest)``; none where M itself is as quick.
        across: F', by rows.
        rest: ``(n,) float64``.
    """

    products: FloatArray
    squares: FloatArray
    factors: FloatArray
    across: FloatArray
    rest: FloatArray


class Responses(NamedTuple):
    """Responses of neurons to a weight, by kind of neuron; see :class:`snnmap.lif.quantise.response.Response`.

    Attributes:
        kind: ``(n,) int64``, of each neuron.
        total: ``(n_kinds, n_synapses) float64``.
        power: ``(n_kinds, n_synapses, n_synapses) float64``.
        shape: likewise, the power of shapes.
        alone: ``(n_kinds, n_synapses) float64``, the power of shapes of a synapse that is the only one used.
    """

    kind: IntArray
    total: FloatArray
    power: FloatArray
    shape: FloatArray
    alone: FloatArray


class Limits(NamedTuple):
    """Lowest and highest weight, and highest threshold."""

    low: int
    high: int
    threshold: int


class Rounded(NamedTuple):
    """Where results go.

    Attributes:
        weight: ``(n_lines, n_synapses) int64``.
        off: ``(n,) float64``, what each neuron's potential is expected to be off by, in state units at its scale.
        factor: ``(n,) float64``, on each scale.
    """

    weight: IntArray
    off: FloatArray
    factor: FloatArray


def round_targets(
    targets: IntArray,
    entries: Entries,
    sources: Sources,
    responses: Responses,
    threshold: IntArray,
    limits: Limits,
    rounded: Rounded,
) -> None:
    """Round the weights onto some neurons; of those with few sources, at a scale that suits them if that is better.

    Args:
        targets: neurons, in any order; what sources do together is measured once for those with the same beside each other.
        entries: values at the largest scales that fit.
        sources: their counts.
        responses: of the neurons.
        threshold: ``(n,) int64`` at these scales; 0 where the scale is not free.
        limits: of the chip.
        rounded: results, written for these neurons alone.
    """
    place, before, most = 0, -1, 0
    for target in targets:
        most = max(most, entries.edges[target + 1] - entries.edges[target])
    room, none = np.empty(most * most), np.zeros((0, 0))
    together = Together(none, np.zeros(0), none, none, np.zeros(0))
    while place < len(targets):
        first, n_alike = targets[place], 1
        while n_alike < min(_MOST_BESIDE, len(targets) - place) and _is_alike(targets[place + n_alike], first, entries):
            n_alike += 1
        if entries.edges[first] < entries.edges[first + 1]:
            if before < 0 or not _is_alike(first, before, entries):
                source = entries.source[entries.edges[first] : entries.edges[first + 1]]
                together = measure_together(source, sources, room[: len(source) * len(source)])
            before, alike = first, targets[place : place + n_alike]
            _round_alike(alike, entries, sources.variance, together, responses, threshold, limits, rounded)
        place += n_alike


def _is_alike(one: int, other: int, entries: Entries) -> bool:
    """Say whether two neurons have the same sources."""
    mine, its = entries.edges[one], entries.edges[other]
    n, n_same = entries.edges[one + 1] - mine, 0
    if n != entries.edges[other + 1] - its:
        return False
    while n_same < n and entries.source[mine + n_same] == entries.source[its + n_same]:
        n_same += 1
    return bool(n_same == n)


def _round_alike(
    targets: IntArray,
    entries: Entries,
    variances: FloatArray,
    together: Together,
    responses: Responses,
    threshold: IntArray,
    limits: Limits,
    rounded: Rounded,
) -> None:
    """Round the weights onto neurons that have the same sources, of which there is at least one."""
    start, n = entries.edges[targets[0]], len(together.rest)
    source = entries.source[start : start + n]
    lsb, variance = _gather(entries.lsb, source), _gather(variances, source)
    shape = (len(targets), entries.value.shape[1], n)
    exact, present, kind = np.empty(shape), np.empty(shape, np.bool_), np.empty(len(targets), np.int64)
    for number in range(len(targets)):
        mine = slice(entries.edges[targets[number]], entries.edges[targets[number] + 1])
        _scale(exact[number], entries.value[mine], lsb, 1.0)
        _turn(present[number], entries.present[mine])
        kind[number] = responses.kind[targets[number]]
    weight = _round(exact, present, lsb, variance, together, responses, kind, limits)
    off = _expect_errors(weight - exact, lsb, variance, together, responses, kind)
    for number in range(len(targets)):
        target, own = targets[number], slice(number, number + 1)
        first, code, suiting = entries.edges[target], threshold[target], 0.0
        if code > 0 and n <= _FEW_SOURCES:
            gain = _fit_gain(exact[number], weight[number], lsb, together, responses.total[kind[number]])
            suiting = min(float(limits.threshold), np.rint(code * gain))
        if suiting != code and _LEAST_FACTOR * code <= suiting <= _LARGEST_FACTOR * code:
            _scale(exact[number], entries.value[first : first + n], lsb, suiting / code)
            if _admits(exact[number], limits):
                other = _round(exact[own], present[own], lsb, variance, together, responses, kind[own], limits)
                its_off = _expect_errors(other - exact[own], lsb, variance, together, responses, kind[own])[0]
                if its_off * code < off[number] * suiting:
                    weight[number], off[number] = other[0], its_off
                    rounded.factor[target] = suiting / code
        rounded.off[target] = off[number]
        for synapse in range(shape[1]):
            for row in range(n):
                rounded.weight[first + row, synapse] = int(weight[number, synapse, row])


def _gather(values: FloatArray, places: IntArray) -> FloatArray:
    gathered = np.empty(len(places))
    for place in range(len(places)):
        gathered[place] = values[places[place]]
    return gathered


def _scale(scaled: FloatArray, value: FloatArray, lsb: FloatArray, factor: float) -> None:
    """Write weights, ``(n, n_synapses)``, in steps, ``(n_synapses, n)``."""
    for synapse in range(value.shape[1]):
        for row in range(value.shape[0]):
            scaled[synapse, row] = value[row, synapse] * factor / lsb[row]


def _turn(turned: BoolArray, present: BoolArray) -> None:
    """Write marks, ``(n, n_synapses)``, as ``(n_synapses, n)``."""
    for synapse in range(present.shape[1]):
        for row in range(present.shape[0]):
            turned[synapse, row] = present[row, synapse]


def measure_together(source: IntArray, sources: Sources, room: FloatArray) -> Together:
    """Return the mean products of sources' mean counts over as many steps as the potential adds up.

    Where windows are few beside the sources, chance makes some of them fire together: the more so, the nearer the moments are
    drawn to those of independent sources. The products are written to ``room``, ``(n * n,)``.
    """
    n, n_windows = len(source), sources.windows.shape[1]
    mean, products, squares = _gather(sources.mean, source), room.reshape(n, n), np.empty(n)
    is_many, wide = n_windows > _FEW_WINDOWS, np.empty((0, 0))
    if is_many and sources.is_narrow:
        narrow = np.empty((n, n_windows), np.float32)
        _gather_windows(narrow, source, sources.windows)
        products[:] = np.dot(narrow, narrow.T)  # whole numbers: exact in any order
    else:
        wide = np.empty((n, n_windows), np.float64)
        _gather_windows(wide, source, sources.windows)
        if is_many:
            products[:] = np.dot(wide, wide.T)
    across = np.ascontiguousarray(wide.T)
    size, drawn = n_windows * (sources.length * sources.length), n / (n + n_windows)
    for row in range(n):
        if not is_many:
            products[row] = 0.0
            for window in range(n_windows):
                _add_share(products[row], across[window], wide[row, window])
        own = mean[row] * mean[row] + sources.variance[source[row]] / sources.length
        squares[row] = (1.0 - drawn) * (products[row, row] / size) + drawn * own
        for column in range(n):
            products[row, column] = (1.0 - drawn) * (products[row, column] / size) + drawn * (mean[row] * mean[column])
        products[row, row] = squares[row]
    n_factors = n_windows + 1 if _FEWER_FACTORS * (n_windows + 1) <= n else 0
    factors, rest = np.empty((n, n_factors)), np.empty(n)
    for row in range(n if n_factors else 0):
        rest[row] = squares[row]
        for window in range(n_windows):
            factors[row, window] = sources.windows[source[row], window] * math.sqrt((1.0 - drawn) / size)
        factors[row, n_windows] = mean[row] * math.sqrt(drawn)
        for factor in range(n_factors):
            rest[row] -= factors[row, factor] * factors[row, factor]
    return Together(products, squares, factors, np.ascontiguousarray(factors.T), rest)


def _gather_windows(counts: Any, source: IntArray, windows: Any) -> None:
    for row in range(len(source)):
        counts[row] = windows[source[row]]


def _admits(exact: FloatArray, limits: Limits) -> bool:
    """Say whether all weights fit."""
    for synapse in range(exact.shape[0]):
        for row in range(exact.shape[1]):
            step = np.rint(exact[synapse, row])
            if step < limits.low or step > limits.high:
                return False
    return True


def _round(
    exact: FloatArray,
    present: BoolArray,
    lsb: FloatArray,
    variance: FloatArray,
    together: Together,
    responses: Responses,
    kind: IntArray,
    limits: Limits,
) -> FloatArray:
    """Return the integers of neurons' weights, ``(n_neurons, n_synapses, n)``; a synapse without weights plays no part."""
    n_neurons, n_synapses, n = exact.shape
    weight, is_used, is_pair = np.zeros(exact.shape), np.zeros((n_neurons, n_synapses), np.bool_), np.zeros(n_neurons, np.bool_)
    for number in range(n_neurons):
        for synapse in range(n_synapses):
            for row in range(n):
                is_used[number, synapse] |= present[number, synapse, row]
        is_pair[number] = n_synapses == 2 and is_used[number, 0] and is_used[number, n_synapses - 1]
    both = np.flatnonzero(is_pair)
    _round_used(weight, exact, present, both, 0, 2, lsb, variance, together, responses, kind, limits)
    for synapse in range(n_synapses):
        alone = np.flatnonzero(is_used[:, synapse] & ~is_pair)
        _round_used(weight, exact, present, alone, synapse, 1, lsb, variance, together, responses, kind, limits)
    return weight


def _round_used(
    weight: FloatArray,
    exact: FloatArray,
    present: BoolArray,
    neurons: IntArray,
    first: int,
    n_used: int,
    lsb: FloatArray,
    variance: FloatArray,
    together: Together,
    responses: Responses,
    kind: IntArray,
    limits: Limits,
) -> None:
    """Write the integers of some neurons' synapses from the first used one on."""
    n, shape = len(lsb), (len(neurons), n_used, len(lsb))
    used, found, lowest, highest = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    shares = np.empty((len(neurons), n))
    for place in range(len(neurons)):
        neuron = neurons[place]
        total, power, _ = _take_response(responses, kind[neuron], first, n_used)
        for synapse in range(n_used):
            mine, other = present[neuron, first + synapse], present[neuron, first + n_used - 1 - synapse]
            for row in range(n):
                step, both = exact[neuron, first + synapse, row], n_used == 2 and mine[row] and other[row]
                reach = 2.0 * _VERNIER_REACH if both else 1.0
                used[place, synapse, row] = step if mine[row] else 0.0
                found[place, synapse, row] = _clip(np.rint(step), limits) if mine[row] else 0.0
                lowest[place, synapse, row] = max(limits.low, np.floor(step - reach) + 1.0) if mine[row] else 0.0
                highest[place, synapse, row] = min(limits.high, np.ceil(step + reach) - 1.0) if mine[row] else 0.0
        for row in range(n if n_used == 2 else 0):
            if present[neuron, 0, row] and present[neuron, n_used - 1, row]:
                _round_pair(used[place], found[place], row, power, limits)
        _share_out(shares[place], found[place] - used[place], lsb, total)
    pulls = _pull(shares, together)
    for place in range(len(neurons)):
        total, _, powers = _take_response(responses, kind[neurons[place]], first, n_used)
        bounds = lowest[place], highest[place]
        _search(found[place], used[place], bounds, pulls[place], lsb, variance, together, total, powers)
        for synapse in range(n_used):
            weight[neurons[place], first + synapse] = found[place, synapse]


def _take_response(responses: Responses, kind: int, first: int, n_used: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sums, power and power of shapes of both synapses, or of the first used one alone."""
    if n_used == 2:
        return responses.total[kind].copy(), responses.power[kind].copy(), responses.shape[kind].copy()
    alone = np.full((1, 1), responses.alone[kind, first])
    return np.full(1, responses.total[kind, first]), alone, alone


def _clip(step: float, limits: Limits) -> float:
    return min(max(step, limits.low), limits.high)


def _round_pair(exact: FloatArray, nearest: FloatArray, row: int, power: FloatArray, limits: Limits) -> None:
    """Choose, for a source with two weights, the pair of integers nearest in the response, in the place of the nearest each."""
    slope, error = power[0, 1] / power[1, 1], np.empty((2, 1))
    error[0, 0], error[1, 0] = nearest[0, row] - exact[0, row], nearest[1, row] - exact[1, row]
    least = _square(error, 0, power)
    for step in range(-_VERNIER_REACH, _VERNIER_REACH + 1):
        one = _clip(np.rint(exact[0, row]) + step, limits)
        other = _clip(np.rint(exact[1, row] + slope * (exact[0, row] - one)), limits)
        error[0, 0], error[1, 0] = one - exact[0, row], other - exact[1, row]
        cost = _square(error, 0, power)
        if cost < least:
            least, nearest[0, row], nearest[1, row] = cost, one, other


def _search(
    weight: FloatArray,
    exact: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    pull: FloatArray,
    lsb: FloatArray,
    variance: FloatArray,
    together: Together,
    total: FloatArray,
    shape: FloatArray,
) -> None:
    """Move a neuron's weights within their bounds as long as that helps; ``pull`` is that of their errors, and follows them."""
    n_synapses, n = exact.shape
    moves = _PAIR_MOVES if n_synapses == 2 else _SINGLE_MOVES
    n_moves, error, (lowest, highest) = len(moves), weight - exact, bounds
    along, own, cross, power = _weigh_moves(moves, lsb, variance, together.squares, total, shape)
    change, rest, twice = np.empty((n_moves, n)), np.empty((n_moves, n)), 2.0 * along
    _weigh_shapes(rest, slice(0, n), weight, error, lowest, highest, moves, cross, power)
    for _ in range(n * n_synapses):
        for move in range(n_moves):
            for row in range(n):
                change[move, row] = own[move, row] + twice[move, row] * pull[row] + rest[move, row]
        first, second = _find_moves(change, together.products, along)
        for place in (first, second):
            if place >= 0:
                move, row = place // n, place % n
                for synapse in range(n_synapses):
                    weight[synapse, row] += moves[move, synapse]
                    error[synapse, row] += moves[move, synapse]
                _weigh_shapes(rest, slice(row, row + 1), weight, error, lowest, highest, moves, cross, power)
                for other in range(n):
                    pull[other] += together.products[row, other] * along[move, row]
        if first < 0:
            break


def _weigh_moves(
    moves: FloatArray, lsb: FloatArray, variance: FloatArray, squares: FloatArray, total: FloatArray, shape: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what stays the same while moves are taken.

    Returns:
        By how much a move changes a source's share of the potential and what it adds to the expected square by itself, both
        ``(n_moves, n)``; ``2 R m`` of each move, R the power of shapes, ``(n_moves, n_synapses)``; and the weight of the
        shapes, ``(n,)``.
    """
    n_moves, n = len(moves), len(lsb)
    along, own, cross, power = np.empty((n_moves, n)), np.empty((n_moves, n)), np.empty(moves.shape), np.empty(n)
    for row in range(n):
        power[row] = variance[row] * lsb[row] * lsb[row]
    for move in range(n_moves):
        step, square = _along(moves[move], total), _square(moves.T, move, shape)
        for synapse in range(moves.shape[1]):
            cross[move, synapse] = 2.0 * _along(moves[move], shape[synapse])
        for row in range(n):
            along[move, row] = step * lsb[row]
            own[move, row] = along[move, row] * along[move, row] * squares[row] + square * power[row]
    return along, own, cross, power


def _weigh_shapes(
    rest: FloatArray,
    rows: slice,
    weight: FloatArray,
    error: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    moves: FloatArray,
    cross: FloatArray,
    power: FloatArray,
) -> None:
    """Write what each move of some sources changes in the power of their shapes; infinity where it leaves the bounds."""
    for move in range(len(moves)):
        shapes, size = rest[move, rows], power[rows]
        shapes[:] = 0.0
        for synapse in range(len(error)):
            off = error[synapse, rows]
            for row in range(len(shapes)):
                shapes[row] += cross[move, synapse] * off[row]
        for row in range(len(shapes)):
            shapes[row] *= size[row]
        for synapse in range(len(error)):
            step, own, low, high = moves[move, synapse], weight[synapse, rows], lowest[synapse, rows], highest[synapse, rows]
            for row in range(len(shapes)):
                shapes[row] = shapes[row] if low[row] <= own[row] + step <= high[row] else np.inf


def _find_moves(change: FloatArray, together: FloatArray, along: FloatArray) -> tuple[int, int]:
    """Return the place of the move that helps most, or of two of different sources that do together; -1 for none.

    One of two is among the least bad.
    """
    n_moves, n = change.shape
    alone, helps = -1, 0.0
    for move in range(n_moves):
        for start in range(0, n, _FEW_NEAR):
            near = change[move, start : start + _FEW_NEAR]
            for row in range(len(near) if _has_less(near, helps) else 0):
                if near[row] < helps:
                    alone, helps = move * n + start + row, near[row]
    if alone >= 0:
        return alone, -1
    firsts, leasts, n_firsts = np.zeros(_FIRST_OF_PAIR, np.int64), np.full(_FIRST_OF_PAIR, np.inf), 0
    for move in range(n_moves):
        for start in range(0, n, _FEW_NEAR):
            near = change[move, start : start + _FEW_NEAR]
            for row in range(len(near) if _has_less(near, leasts[_FIRST_OF_PAIR - 1]) else 0):
                if near[row] < leasts[_FIRST_OF_PAIR - 1]:
                    _insert(firsts, leasts, move * n + start + row, near[row])
                    n_firsts = min(n_firsts + 1, _FIRST_OF_PAIR)
    least, first, second, both = 0.0, -1, -1, np.empty(n)
    for place in firsts[:n_firsts]:
        its_move, its_row = place // n, place % n
        its_change, twice = change[its_move, its_row], 2.0 * along[its_move, its_row]
        for move in range(n_moves):
            _weigh_pairs(both, together[its_row], along[move], twice, change[move], its_change)
            both[its_row] = np.inf
            for start in range(0, n, _FEW_NEAR):
                near = both[start : start + _FEW_NEAR]
                for row in range(len(near) if _has_less(near, least) else 0):
                    if near[row] < least:
                        least, first, second = near[row], place, move * n + start + row
    return first, second


def _has_less(values: FloatArray, limit: float) -> bool:
    """Say whether one of a few values is less, in a loop of which a processor does several at once."""
    n_less = 0
    for place in range(len(values)):
        n_less += int(values[place] < limit)
    return n_less > 0


def _weigh_pairs(
    both: FloatArray, together: FloatArray, along: FloatArray, twice: float, change: FloatArray, its_change: float
) -> None:
    """Write what a move of each source changes together with one of another source."""
    for row in range(len(both)):
        both[row] = together[row] * along[row] * twice + (change[row] + its_change)


def _insert(firsts: IntArray, leasts: FloatArray, place: int, found: float) -> None:
    """Put a place behind those with as small a change or a smaller one; the last falls off."""
    at = len(firsts) - 1
    while at > 0 and found < leasts[at - 1]:
        firsts[at], leasts[at] = firsts[at - 1], leasts[at - 1]
        at -= 1
    firsts[at], leasts[at] = place, found


def _expect_errors(
    errors: FloatArray, lsb: FloatArray, variance: FloatArray, together: Together, responses: Responses, kind: IntArray
) -> FloatArray:
    """Return the root of what the search makes least, for errors ``(n_neurons, n_synapses, n)`` in steps of the weights."""
    n_neurons, _, n = errors.shape
    shares, expected = np.empty((n_neurons, n)), np.empty(n_neurons)
    for number in range(n_neurons):
        _share_out(shares[number], errors[number], lsb, responses.total[kind[number]])
    pulls = _pull(shares, together)
    for number in range(n_neurons):
        square, error, shape = 0.0, errors[number], responses.shape[kind[number]]
        for row in range(n):
            own = variance[row] * lsb[row] * lsb[row] * _square(error, row, shape)
            square += own + shares[number, row] * pulls[number, row]
        expected[number] = math.sqrt(max(0.0, square))
    return expected


def _fit_gain(exact: FloatArray, weight: FloatArray, lsb: FloatArray, together: Together, total: FloatArray) -> float:
    """Return the factor on the exact weights at which rounded ones are nearest to them: for few sources a scale that suits them.

    With ``c`` and ``w`` what rounded and exact weights bring, source by source, ``|c - x w|`` over ``x`` is least, as a share of
    the scale, where ``x = c'M c / w'M c``.
    """
    shares = np.empty((2, len(lsb)))
    _share_out(shares[0], weight, lsb, total)
    _share_out(shares[1], exact, lsb, total)
    pull = _pull(shares[:1], together)[0]
    have, want = _along(shares[0], pull), _along(shares[1], pull)
    return have / want if have > 0.0 and want > 0.0 else 1.0


def _share_out(share: FloatArray, error: FloatArray, lsb: FloatArray, total: FloatArray) -> None:
    """Write what each source's errors, ``(n_synapses, n)``, bring of a potential for each spike, ``(n,)``."""
    share[:] = 0.0
    for synapse in range(len(error)):
        for row in range(len(lsb)):
            share[row] += error[synapse, row] * total[synapse]
    for row in range(len(lsb)):
        share[row] *= lsb[row]


def _pull(shares: FloatArray, together: Together) -> FloatArray:
    """Return the mean product of each source's count with what the potentials are off by, ``(n_neurons, n)``."""
    if not len(together.across):
        return _multiply(shares, together.products)
    pulls = _multiply(_multiply(shares, together.factors), together.across)
    for number in range(len(pulls)):
        for row in range(len(together.rest)):
            pulls[number, row] += together.rest[row] * shares[number, row]
    return pulls


def _multiply(shares: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return ``shares @ matrix``, every sum in ascending row; the matrix is read once for all neurons."""
    (n_neurons, n), width = shares.shape, matrix.shape[1]
    sums, n_four = np.zeros((n_neurons, width)), n // 4 * 4
    for start in range(0, width, _MOST_NEAR):
        near = slice(start, start + _MOST_NEAR)
        for row in range(0, n_four, 4):
            one, two, three, four = matrix[row, near], matrix[row + 1, near], matrix[row + 2, near], matrix[row + 3, near]
            for number in range(n_neurons):
                a, b, c, d = shares[number, row], shares[number, row + 1], shares[number, row + 2], shares[number, row + 3]
                total = sums[number, near]
                for other in range(len(total)):
                    total[other] = (((total[other] + one[other] * a) + two[other] * b) + three[other] * c) + four[other] * d
        for row in range(n_four, n):
            for number in range(n_neurons):
                _add_share(sums[number, near], matrix[row, near], shares[number, row])
    return sums


def _add_share(sums: FloatArray, values: FloatArray, share: float) -> None:
    for place in range(len(sums)):
        sums[place] += values[place] * share


def _square(values: FloatArray, row: int, power: FloatArray) -> float:
    """Return ``v' P v`` of a column v; it is not taken out, which would cost more than the sum."""
    found = 0.0
    for one in range(values.shape[0]):
        for other in range(values.shape[0]):
            found += values[one, row] * power[one, other] * values[other, row]
    return found


def _along(values: FloatArray, direction: FloatArray) -> float:
    found = 0.0
    for place in range(len(values)):
        found += values[place] * direction[place]
    return found


_PARTS = (
    _is_alike, _round_alike, _gather, _gather_windows, _scale, _turn, measure_together, _admits, _round, _round_used,
    _take_response, _clip, _round_pair, _search, _weigh_moves, _weigh_shapes, _find_moves, _has_less, _weigh_pairs, _insert,
    _expect_errors, _fit_gain, _share_out, _pull, _multiply, _add_share, _square, _along,
)  # fmt: skip


@lru_cache(maxsize=1)
def compile_rounding() -> Callable[..., None]:
    """Return :func:`round_targets` compiled, or from the cache on disk; it lets other threads run."""
    import numba
    import numba.extending

    register: Any = numba.extending.register_jitable
    for part in _PARTS:
        register(error_model="numpy")(part)
    compiled: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(round_targets)
    return compiled
