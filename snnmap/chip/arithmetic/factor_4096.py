"""Decays by 12-bit factors, weights shifted by 6 bits, one spike a step, reset to zero.

The arithmetic of the bit-accurate LIF process model that Intel published in Lava (``PyLifModelBitAcc`` of lava-nc 0.10.0),
against which the tests run the integer rules: ``u = u (4095 - du) / 4096 + 64 a`` and ``v = v (4096 - dv) / 4096 + u + bias``,
products cut off towards zero; ``u`` wraps at the ends of its word, ``v`` stops there; a spike where ``v > threshold`` leaves 0.
"""

import numpy as np
import numpy.typing as npt

from snnmap.chip.arithmetic.family import Codes, Factors, Family, FloatOps, FloatRules, IntegerRules, Value

__all__ = ["FAMILY"]

_UNITY_BITS = 12
_UNITY = 1 << _UNITY_BITS
_WEIGHT_SHIFT = 6


def scale(value: int, kept: int) -> int:
    """Return ``value * kept / 4096``, cut off towards zero."""
    return (value * kept) >> _UNITY_BITS if value >= 0 else -((-value * kept) >> _UNITY_BITS)


def enter(current: int, du: int) -> int:
    """Let a current decay before its input; a code of 4095 leaves nothing."""
    return scale(current, _UNITY - 1 - du)


def count_weight(weight: int, shift: int, bits: int) -> int:
    """Return what one spike through a stored weight adds."""
    return weight << (shift + _WEIGHT_SHIFT)


def add(current: int, amount: int, bits: int) -> int:
    """Add within ``-2**(bits - 1) + 1 .. 2**(bits - 1)``, whose ends meet."""
    half = 1 << (bits - 1)
    return ((current + amount + half - 1) & (2 * half - 1)) - half + 1


def deliver(current: int, weight: int, shift: int, count: int, bits: int) -> int:
    """Add ``count`` spikes through one synapse to a current; the order of spikes plays no part, since sums wrap."""
    return add(current, count * (weight << (shift + _WEIGHT_SHIFT)), bits)


def settle(current: int, du: int) -> int:
    """Leave a current as it is: it decayed before its input."""
    return current


def integrate(potential: int, dv: int, current: int, bias: int, bits: int) -> int:
    """Let the potential decay and add currents and bias, within ``-2**(bits - 1) + 1 .. 2**(bits - 1) - 1``."""
    highest = (1 << (bits - 1)) - 1
    return max(-highest, min(highest, scale(potential, _UNITY - dv) + current + bias))


def fire(potential: int, threshold: int, count: int, max_count: int, bits: int) -> tuple[int, int]:
    """Spike once where the potential is above the threshold; it is 0 afterwards."""
    if potential > threshold and count < max_count:
        return count + 1, 0
    return count, potential


def build_float_rules(ops: FloatOps) -> FloatRules:
    """Make the rules of float operations; products of 24 and 12 bits and sums of several words are taken in float64."""
    floor, ceil, limit, select, wide = ops.floor, ops.ceil, ops.limit, ops.select, ops.wide

    def scale(value: Value, share: Value, limits: tuple[Value, ...]) -> Value:
        kept = wide(value) * (1.0 - wide(share))
        return select(value < limits[0], ceil(kept), floor(kept))

    def enter(current: Value, share: Value, limits: tuple[Value, ...]) -> Value:
        return scale(current, share, limits)

    def add(current: Value, amount: Value, limits: tuple[Value, ...]) -> Value:
        total, high = wide(current) + wide(amount), wide(limits[4])
        turn = 2.0 * high + 2.0
        return total - turn * ceil((total - high - 1.0) / turn)

    def settle(current: Value, share: Value, limits: tuple[Value, ...]) -> Value:
        return current

    def integrate(potential: Value, share: Value, total: Value, bias: Value, limits: tuple[Value, ...]) -> Value:
        reached = scale(potential, share, limits) + wide(total) + wide(bias)
        return limit(reached, -wide(limits[4]), wide(limits[4]))

    def spikes(potential: Value, threshold: Value, limits: tuple[Value, ...]) -> Value:
        return select(potential >= threshold, limits[1], limits[0])

    def reset(potential: Value, count: Value, threshold: Value) -> Value:
        return potential - count * potential

    return FloatRules(enter=enter, add=add, settle=settle, integrate=integrate, spikes=spikes, reset=reset)


def _synapse_factors(codes: npt.ArrayLike) -> Factors:
    return np.asarray((_UNITY - 1 - np.asarray(codes, np.int64)) / _UNITY, np.float64)


def _membrane_factors(codes: npt.ArrayLike) -> Factors:
    return np.asarray((_UNITY - np.asarray(codes, np.int64)) / _UNITY, np.float64)


def _code_synapses(factors: npt.ArrayLike, top: int) -> Codes:
    codes = _UNITY - 1 - np.rint(np.asarray(factors, np.float64) * _UNITY)
    return np.asarray(np.clip(codes, 0, top), np.int64)


def _code_membranes(factors: npt.ArrayLike, top: int) -> Codes:
    """Return the nearest codes; only what never decays gets 0, which never does."""
    kept = np.asarray(factors, np.float64)
    return np.asarray(np.clip(_UNITY - np.rint(kept * _UNITY), np.where(kept < 1.0, 1, 0), top), np.int64)


def _slopes(codes: npt.ArrayLike) -> Factors:
    return np.full(np.shape(codes), -1.0 / _UNITY)


def _cut(kept: Codes) -> Factors:
    """Return what cutting off takes on average from a product of 4096ths: of all remainders, nearly half a unit."""
    return np.asarray(0.5 - 0.5 * np.gcd(kept, _UNITY) / _UNITY, np.float64)


def _drift(levels: Factors, kept: Codes) -> Factors:
    return np.asarray(np.where(np.abs(levels) < 1.0, 0.0, -np.sign(levels) * _cut(kept)).mean(axis=0), np.float64)


def _synapse_drift(levels: Factors, codes: Codes) -> Factors:
    return _drift(levels, _UNITY - 1 - codes)


def _membrane_drift(levels: Factors, codes: Codes) -> Factors:
    return _drift(levels, _UNITY - codes)


def _held_drift(codes: Codes) -> Factors:
    """Return what is cut off in a step, held for the membrane's time constant."""
    return np.asarray(_cut(_UNITY - codes) * _UNITY / np.maximum(codes, 1), np.float64)


def _synapse_codes(top: int) -> tuple[int, int]:
    return 0, min(top, _UNITY - 1)


def _relay_codes(top: int) -> tuple[range, range]:
    """Return the shortest memory, which for a current is none."""
    return range(top, top - 1, -1), range(top, top - 1, -1)


def _current_limits(code: int, bits: int) -> tuple[int, int]:
    return 1 << (bits - 1), -(1 << (bits - 1)) + 1


def _find_reached(potentials: Codes, counts: Codes, thresholds: Codes) -> Codes:
    """Return what is left: a spike leaves nothing by which to tell what it took."""
    return potentials


FAMILY = Family(
    name="factor-4096",
    description="decays by 12-bit factors, weights shifted by 6 bits, reset to zero, one spike a step",
    integers=IntegerRules(
        enter=enter, deliver=deliver, count_weight=count_weight, add=add, settle=settle, integrate=integrate, fire=fire
    ),
    build_float_rules=build_float_rules,
    reset="value",
    most_spikes=1,
    decay_bits=(_UNITY_BITS, _UNITY_BITS),
    weight_shift=_WEIGHT_SHIFT,
    is_order_free=True,
    decays_after_input=False,
    least_firing=1,
    has_few_decays=False,
    decay_names=("du", "dv"),
    decay_kind="a 12-bit factor",
    decay_formula="(4096 - d) / 4096",
    synapse_codes=_synapse_codes,
    code_synapses=_code_synapses,
    code_membranes=_code_membranes,
    synapse_factors=_synapse_factors,
    membrane_factors=_membrane_factors,
    factor_slopes=_slopes,
    synapse_drift=_synapse_drift,
    membrane_drift=_membrane_drift,
    held_drift=_held_drift,
    relay_codes=_relay_codes,
    current_limits=_current_limits,
    find_reached=_find_reached,
)
