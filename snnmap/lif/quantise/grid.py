"""Neurons of integers: all weights onto them are small multiples of one number, and so are the sums that they compare.

What such a neuron receives is a whole number of units. Where the chip holds a unit in whole words and whole units of its state,
it decides as the model does, also where a sum just reaches the threshold, or must exceed it (``v > threshold``).
"""

from fractions import Fraction
from functools import partial

import numpy as np

from snnmap.chip import Bits, Family
from snnmap.core import BoolArray, FloatArray, IntArray, list_places, record
from snnmap.lif.program import NeuronParameters
from snnmap.lif.quantise.decays import DecayCodes
from snnmap.lif.quantise.lines import Lines

__all__ = ["Grid", "fit_grid", "rescale_lines"]

_SHORT_BITS = 10
"""Significant bits of numbers that are taken for integers, of whatever unit; trained weights have more."""
_CLOSE = 1e-9
"""Differences, as a share, that are none."""
_LARGEST_PART = 1024
"""Largest denominator of a unit's words."""
_LEAST_SHARE = 0.5
"""Of the scale that would fit; on a smaller one a state that decays would lose more than the sums win."""


@record
class Grid:
    """Scales at which neurons of integers are exact.

    Attributes:
        is_exact: ``(n,) bool``, whether a neuron is one and a unit is held in whole words; the others keep what they had.
        scale: ``(n,) float64``.
        threshold: ``(n,) int64``, the least state that fires.
        keeps_sums: ``(n,) bool``, those of which membranes keep whole units too, so that nothing drifts.
        bias: ``(n,) int64``, states by which every sum is lowered, where it must exceed what the threshold holds.
    """

    is_exact: BoolArray
    keeps_sums: BoolArray
    scale: FloatArray
    threshold: IntArray
    bias: IntArray


def fit_grid(
    lines: Lines,
    parameters: NeuronParameters,
    decays: DecayCodes,
    scale: FloatArray,
    threshold: IntArray,
    family: Family,
    bits: Bits,
    *,
    has_bias: bool,
) -> Grid:
    """Fit the scale of neurons whose weights are short multiples of one number, so that no sum of them is rounded.

    Args:
        lines: weights at some scales.
        parameters: of the neurons.
        decays: their codes.
        scale: ``(n,) float64``, of the lines, at which all fits.
        threshold: ``(n,) int64``, codes at these scales.
        family: the chip's arithmetic.
        bits: widths.
        has_bias: whether the neurons have a bias.
    """
    chosen, weight = _find_short(lines, parameters, decays, scale, family)
    is_exact, scale, threshold, bias = np.zeros(scale.size, np.bool_), scale.copy(), threshold.copy(), np.zeros_like(threshold)
    if not chosen.size:
        return Grid(is_exact=is_exact, keeps_sums=is_exact, scale=scale, threshold=threshold, bias=bias)
    unit, step = _find_units(chosen, weight, lines, parameters, decays)
    with np.errstate(invalid="ignore"):
        held = np.floor(scale[chosen] * unit / step * (1.0 + _CLOSE)) * step
        held -= np.where(_code_threshold(parameters.threshold[chosen], unit, held) > bits.threshold_max, step, 0.0)
    is_still = _keep_whole(parameters, decays, family)
    fits = (held > 0.0) & (is_still[chosen] | (held >= _LEAST_SHARE * scale[chosen] * unit))
    chosen, unit, held = chosen[fits], unit[fits], held[fits]
    is_exact[chosen], scale[chosen] = True, held / unit
    height, own = _code_threshold(parameters.threshold[chosen], unit, held), parameters.threshold[chosen]
    lowered = _must_exceed(own, unit) & (held < parameters.max_count[chosen]) & has_bias
    lowered &= family.membrane_factors(decays.dash_mem[chosen]) == 0.0
    threshold[chosen], bias[chosen] = (height - lowered).astype(np.int64), -lowered.astype(np.int64)
    return Grid(is_exact=is_exact, keeps_sums=is_exact & is_still, scale=scale, threshold=threshold, bias=bias)


def rescale_lines(lines: Lines, grid: Grid, scale: FloatArray) -> None:
    """Write the weights onto neurons that are exact at their new scales, in the place of those at ``scale``."""
    entries, neurons = lines.entries, np.flatnonzero(grid.is_exact)
    rows = list_places(entries.edges, neurons)
    entries.value[rows] *= (grid.scale / scale)[lines.target[rows], np.newaxis] if rows.size else 1.0


def _keep_whole(parameters: NeuronParameters, decays: DecayCodes, family: Family) -> BoolArray:
    """Say which membranes keep whole numbers of units: nothing or all of a potential is left after a step."""
    beta = family.membrane_factors(decays.dash_mem)
    return np.asarray((beta == parameters.beta) & ((beta == 0.0) | (beta == 1.0)), np.bool_)


def _find_short(
    lines: Lines, parameters: NeuronParameters, decays: DecayCodes, scale: FloatArray, family: Family
) -> tuple[IntArray, FloatArray]:
    """Find the neurons with a threshold, coded decays and weights and a bias of few bits; with all weights, in trained units.

    Of most neurons the first weight tells that they are none.
    """
    entries = lines.entries
    n_used = entries.value.shape[1]
    gain = decays.weight_factor[:n_used] * family.weight_gain(decays.dash_syn[:n_used])
    is_coded = (np.abs(gain - 1.0) < _CLOSE).all(axis=0) & (decays.bias_factor == 1.0)
    heads = entries.edges[:-1]
    chosen = np.flatnonzero(is_coded & np.isfinite(parameters.threshold) & (np.diff(entries.edges) > 0))
    unscaled = partial(_unscale, entries.value, decays.weight_factor, scale)
    chosen = chosen[_is_short(unscaled(heads[chosen], chosen)).all(axis=1) & _is_short(parameters.bias[chosen])]
    rows = list_places(entries.edges, chosen)
    weight = unscaled(rows, lines.target[rows]) if rows.size else np.zeros((0, n_used))
    starts = np.cumsum(np.r_[0, np.diff(entries.edges)[chosen]])[:-1]
    whole = np.logical_and.reduceat(_is_short(weight).all(axis=1), starts) if chosen.size else np.zeros(0, np.bool_)
    kept = np.repeat(whole, np.diff(entries.edges)[chosen])
    return chosen[whole], weight[kept]


def _unscale(value: FloatArray, factor: FloatArray, scale: FloatArray, rows: IntArray, target: IntArray) -> FloatArray:
    return np.asarray(value[rows] / (factor[: value.shape[1], target] * scale[target]).T, np.float64)


def _is_short(values: FloatArray) -> BoolArray:
    mantissa = np.ldexp(np.frexp(values)[0], _SHORT_BITS)
    return np.asarray(np.abs(mantissa - np.rint(mantissa)) < _CLOSE, np.bool_)


def _shorten(values: FloatArray) -> FloatArray:
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, _SHORT_BITS)), exponent - _SHORT_BITS), np.float64)


def _find_units(
    chosen: IntArray, weight: FloatArray, lines: Lines, parameters: NeuronParameters, decays: DecayCodes
) -> tuple[FloatArray, FloatArray]:
    """Return what all weights and the bias of a neuron are multiples of, and what a unit's states must be multiples of.

    So is the threshold, where it has few bits and may be reached several times in a step.

    Args:
        chosen: ``(n_chosen,)`` neurons.
        weight: all weights onto them, ``(n_lines, n_synapses)``.
        lines: of all neurons.
        parameters: of all neurons.
        decays: likewise.

    Returns:
        ``(n_chosen,) float64`` each; a unit is NaN where the numbers are too far apart for one.
    """
    entries = lines.entries
    lengths = np.diff(entries.edges)[chosen]
    starts, number = np.cumsum(np.r_[0, lengths])[:-1], np.repeat(np.arange(chosen.size), lengths)
    bias, height = parameters.bias[chosen], parameters.threshold[chosen]
    height = np.where((parameters.max_count[chosen] > 1) & _is_short(height), _shorten(height), 0.0)
    largest = np.maximum(np.maximum.reduceat(np.abs(weight).max(axis=1), starts), np.maximum(np.abs(bias), height))
    places = 2 * _SHORT_BITS - np.frexp(largest)[1]
    whole, own = np.ldexp(weight, places[number, np.newaxis]), np.ldexp([bias, height], places)
    common = np.gcd.reduceat(np.gcd.reduce(np.rint(whole).astype(np.int64), axis=1), starts)
    common = np.gcd.reduce([common, *np.rint(own).astype(np.int64)])
    is_far = np.maximum.reduceat((np.abs(whole - np.rint(whole)) > 2.0**_SHORT_BITS * _CLOSE).any(axis=1), starts)
    unit = np.where(
        is_far | (own != np.rint(own)).any(axis=0) | (common == 0), np.nan, np.ldexp(common.astype(np.float64), -places)
    )
    step = np.ones(chosen.size, np.int64)
    rows = list_places(entries.edges, chosen)
    for synapse in range(weight.shape[1]):
        for lsb in np.unique(entries.lsb).tolist():
            mine = entries.present[rows, synapse] & (entries.lsb[entries.source[rows]] == lsb)
            used = np.zeros(chosen.size, np.bool_)
            used[number[mine]] = True
            words, which = np.unique(decays.weight_factor[synapse, chosen[used]] / lsb, return_inverse=True)
            step[used] = np.lcm(step[used], np.array([_find_step(own) for own in words.tolist()], np.int64)[which])
    return unit, step.astype(np.float64)


def _find_step(words: float) -> int:
    """Return how many states make a whole number of words, where each makes so many."""
    return Fraction(words).limit_denominator(_LARGEST_PART).denominator


def _code_threshold(threshold: FloatArray, unit: FloatArray, held: FloatArray) -> FloatArray:
    """Return the least whole state that is at or above a threshold, where a unit is held in so many states."""
    ratio = threshold / unit
    nearest = np.rint(ratio)
    between = np.floor(ratio * held) + 1.0
    below = np.where(threshold < nearest * unit, np.minimum(between, nearest * held), between)
    return np.asarray(np.where(threshold == nearest * unit, nearest * held, below), np.float64)


def _must_exceed(threshold: FloatArray, unit: FloatArray) -> BoolArray:
    """Say which thresholds are the next float above a whole number of units.

    One state above it, they are right for as many spikes a step as a unit has states; a sum lowered by one is for any number,
    where nothing of it is left in the next step.
    """
    nearest = np.rint(threshold / unit) * unit
    return np.asarray((threshold > nearest) & (threshold <= nearest * (1.0 + _CLOSE)), np.bool_)
