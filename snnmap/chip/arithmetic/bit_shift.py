"""Bit-shift decays, saturated words, several spikes a step, reset by subtraction: the family of the Xylo chips.

Their source is XyloSim 0.1.3, generation 2 (``XyloIAFNeuron.cpp``), against which the tests run the integer rules.
"""

import numpy as np
import numpy.typing as npt

from snnmap.chip.arithmetic.family import Codes, Factors, Family, FloatOps, FloatRules, IntegerRules, Value
from snnmap.chip.arithmetic.words import saturate, wrap

__all__ = ["FAMILY", "decay", "decay_factors", "deliver", "expected_drift", "fire", "integrate", "nearest_dashes"]


def decay(value: int, dash: int) -> int:
    """Return what a state loses in one step: ``value >> dash``, but at least 1 towards zero.

    The shift is arithmetic (rounds to minus infinity), so a negative state never stalls above zero.
    """
    lost = value >> dash
    if lost == 0 and value != 0:
        return 1 if value > 0 else -1
    return lost


def enter(current: int, dash: int) -> int:
    """Leave a current as it is: it decays after its input."""
    return current


def count_weight(weight: int, shift: int, bits: int) -> int:
    """Return what one spike through a stored weight adds: the shifted weight, a word of ``bits`` bits."""
    return wrap(weight << shift, bits)


def deliver(current: int, weight: int, shift: int, count: int, bits: int) -> int:
    """Add ``count`` spikes through one synapse to a synaptic current.

    The chip saturates after each spike; spikes of one synapse all push the same way, so one clamp after the last
    gives the same current.

    Args:
        current: synaptic current before.
        weight: stored weight.
        shift: the memory block's weight shift.
        count: spikes of the source in this step, not negative.
        bits: width of the state.
    """
    return saturate(current + count * wrap(weight << shift, bits), bits)


def settle(current: int, dash: int) -> int:
    """Return the current after its decay."""
    return current - decay(current, dash)


def integrate(potential: int, dash_mem: int, current: int, bias: int, bits: int) -> int:
    """Advance a membrane potential by one step, before the spike test.

    ``dv = -decay(v) + sum of currents``, saturated, then ``+ bias``, saturated; ``v = v + dv``, saturated. The
    negated decay is itself a word of ``bits`` bits: the lowest state with a dash of 0 wraps.
    """
    change = saturate(wrap(-decay(potential, dash_mem), bits) + current, bits)
    change = saturate(change + bias, bits)
    return saturate(potential + change, bits)


def fire(potential: int, threshold: int, count: int, max_count: int, bits: int) -> tuple[int, int]:
    """Subtract the threshold once a spike while the potential reaches it.

    Args:
        potential: membrane potential after :func:`integrate`.
        threshold: spike threshold.
        count: spikes already counted in this step (from an alias), 0 otherwise.
        max_count: the most spikes a neuron sends a step.
        bits: width of the state.

    Returns:
        Spike count and potential after the reset.
    """
    while potential >= threshold and count < max_count:
        count += 1
        potential = wrap(potential - threshold, bits)
    return count, potential


def build_float_rules(ops: FloatOps) -> FloatRules:
    """Make the rules of float operations; ``floor(state * share)`` is the shift to the right."""
    floor, lowest, highest, limit, select = ops.floor, ops.lowest, ops.highest, ops.limit, ops.select

    def enter(current: Value, share: Value, limits: tuple[Value, ...]) -> Value:
        return current

    def add(current: Value, amount: Value, limits: tuple[Value, ...]) -> Value:
        return limit(current + amount, limits[3], limits[4])

    def settle(current: Value, share: Value, limits: tuple[Value, ...]) -> Value:
        # at least one unit of a state above 0; one below loses as much or more by itself
        return current - highest(floor(current * share), lowest(current, limits[1]))

    def integrate(potential: Value, share: Value, total: Value, bias: Value, limits: tuple[Value, ...]) -> Value:
        _, one, _, low, high = limits
        gained = -highest(floor(potential * share), lowest(potential, one))
        gained = select(gained > high, low, gained)  # a word: what the lowest state loses whole wraps
        moved = limit(limit(gained + total, low, high) + bias, low, high)
        return limit(potential + moved, low, high)

    def spikes(potential: Value, threshold: Value, limits: tuple[Value, ...]) -> Value:
        return limit(floor(potential / threshold), limits[0], limits[2])

    def reset(potential: Value, count: Value, threshold: Value) -> Value:
        return potential - count * threshold

    return FloatRules(enter=enter, add=add, settle=settle, integrate=integrate, spikes=spikes, reset=reset)


def decay_factors(dashes: npt.ArrayLike) -> Factors:
    """Return the decay factor of each bit shift, ``1 - 2**-dash``: 0 for 0, 0.5 for 1, 0.75 for 2."""
    return 1.0 - np.ldexp(1.0, -np.asarray(dashes, np.int64))


def nearest_dashes(decays: npt.ArrayLike, *, dash_min: int, dash_max: int) -> Codes:
    """Return the bit shift whose time constant is nearest on a logarithmic scale.

    Args:
        decays: decay factors a step, 0..1.
        dash_min: smallest usable shift (1 for a synapse: with 0 the current is gone before it is used).
        dash_max: largest shift that the chip codes.

    Returns:
        int64 array of the same shape. Decided by comparison with constants, never by a logarithm, so that every
        machine gives the same codes.
    """
    lost = 1.0 - np.asarray(decays, np.float64)
    edges = [2.0 ** -(dash + 0.5) for dash in range(dash_min, dash_max)]
    codes = np.asarray(np.sum(lost[..., np.newaxis] < np.array(edges), axis=-1), np.int64)
    return np.asarray(codes + dash_min, np.int64)


def _code_synapses(decays: npt.ArrayLike, dash_max: int) -> Codes:
    return nearest_dashes(decays, dash_min=1, dash_max=dash_max)


def _code_membranes(decays: npt.ArrayLike, dash_max: int) -> Codes:
    return nearest_dashes(decays, dash_min=0, dash_max=dash_max)


def _slopes(dashes: npt.ArrayLike) -> Factors:
    return np.asarray(np.ldexp(1.0, -np.asarray(dashes, np.int64)) * np.log(2.0), np.float64)


def expected_drift(levels: Factors, dash: Codes) -> Factors:
    """Return the mean of (chip's state - exact state) after one decay.

    The chip takes ``x >> dash`` away, but at least 1 towards 0. Rounding to minus infinity leaves on
    average nearly half a unit too much of a state of ``2**dash`` or more. A smaller positive state loses a whole unit, and a
    negative one is rounded towards 0.

    Args:
        levels: ``(n_levels, n) float64``, quantiles of the state.
        dash: ``(n,) int64``.
    """
    share = np.ldexp(np.abs(levels), -dash)
    small = share < 1.0
    towards_zero = np.where(levels > 0, -(1.0 - share), 1.0 - share)
    drift = np.where(np.abs(levels) < 0.5, 0.0, np.where(small, towards_zero, 0.5 - np.ldexp(0.5, -dash)))
    return np.where(dash > 0, drift.mean(axis=0), 0.0)


def _held_drift(dash: Codes) -> Factors:
    """Return half a unit a step, held for the membrane's time constant."""
    return 0.5 * np.ldexp(1.0, dash)


def _relay_codes(dash_max: int) -> tuple[range, range]:
    dashes = range(min(3, dash_max) + 1)
    return dashes, dashes


def _current_limits(dash: int, bits: int) -> tuple[int, int]:
    top = (1 << (bits - 1)) - 1
    return (settle(top, dash), settle(-top - 1, dash)) if dash > 0 else (top + 1, -top - 2)


def _find_reached(potentials: Codes, counts: Codes, thresholds: Codes) -> Codes:
    return np.asarray(potentials + counts * thresholds, np.int64)


def _add(current: int, amount: int, bits: int) -> int:
    return saturate(current + amount, bits)


def _synapse_codes(dash_max: int) -> tuple[int, int]:
    return 1, dash_max


FAMILY = Family(
    name="bit-shift",
    description="bit-shift decays, saturated states, reset by subtraction, several spikes a step",
    integers=IntegerRules(
        enter=enter, deliver=deliver, count_weight=count_weight, add=_add, settle=settle, integrate=integrate, fire=fire
    ),
    build_float_rules=build_float_rules,
    reset="subtract",
    most_spikes=255,
    decay_bits=(1, 4),
    weight_shift=0,
    is_order_free=False,
    decays_after_input=True,
    least_firing=0,
    has_few_decays=True,
    decay_names=("dash_syn", "dash_mem"),
    decay_kind="a bit shift",
    decay_formula="1 - 2**-dash",
    synapse_codes=_synapse_codes,
    code_synapses=_code_synapses,
    code_membranes=_code_membranes,
    synapse_factors=decay_factors,
    membrane_factors=decay_factors,
    factor_slopes=_slopes,
    synapse_drift=expected_drift,
    membrane_drift=expected_drift,
    held_drift=_held_drift,
    relay_codes=_relay_codes,
    current_limits=_current_limits,
    find_reached=_find_reached,
)
