"""What a family of neurons answers: its integer rules, their meaning in decay factors, its limits."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Codes", "Factors", "Family", "FloatOps", "FloatRules", "IntegerRules", "Value"]

Value = Any
"""A number held as a float, or a tensor of such."""
Codes = npt.NDArray[np.int64]
Factors = npt.NDArray[np.float64]


class IntegerRules(NamedTuple):
    """One step of a neuron in plain integers, so that a compiler can take the functions as they stand.

    A step: each current is entered, what arrives is delivered, each current is settled, the potential is integrated with the sum
    of the currents and fired. Functions use nothing but their arguments, other such functions and constants.

    Attributes:
        enter: ``(current, code)``: what is left of a current when a step begins.
        deliver: ``(current, weight, shift, count, bits)``: add ``count`` spikes through one synapse.
        count_weight: ``(weight, shift, bits)``: what one spike through a stored weight adds.
        add: ``(current, amount, bits)``: add an amount within the word.
        settle: ``(current, code)``: what the membrane sees of a current once all input is in.
        integrate: ``(potential, code, total, bias, bits)``: the potential before the spike test.
        fire: ``(potential, threshold, count, max_count, bits)``: count and potential after the reset.
    """

    enter: Callable[[int, int], int]
    deliver: Callable[[int, int, int, int, int], int]
    count_weight: Callable[[int, int, int], int]
    add: Callable[[int, int, int], int]
    settle: Callable[[int, int], int]
    integrate: Callable[[int, int, int, int, int], int]
    fire: Callable[[int, int, int, int, int], tuple[int, int]]


class FloatOps(NamedTuple):
    """Operations of which rules on integers held as floats are made; for numbers in compiled loops, or for tensors."""

    floor: Callable[[Any], Any]
    ceil: Callable[[Any], Any]
    lowest: Callable[[Any, Any], Any]
    highest: Callable[[Any, Any], Any]
    limit: Callable[[Any, Any, Any], Any]
    select: Callable[[Any, Any, Any], Any]
    wide: Callable[[Any], Any]


class FloatRules(NamedTuple):
    """The same step on integers held as floats, for training: what vector units and accelerators do fast.

    ``share`` is the share of a state that a step takes, one less the decay factor. ``limits`` holds 0, 1, the most spikes, the
    lowest and the highest state, in the type of the states. A threshold is the least potential that fires.

    Attributes:
        enter: ``(current, share, limits)``.
        add: ``(current, amount, limits)``.
        settle: ``(current, share, limits)``.
        integrate: ``(potential, share, total, bias, limits)``.
        spikes: ``(potential, threshold, limits)``.
        reset: ``(potential, count, threshold)``: what they leave.
    """

    enter: Callable[[Any, Any, Any], Any]
    add: Callable[[Any, Any, Any], Any]
    settle: Callable[[Any, Any, Any], Any]
    integrate: Callable[[Any, Any, Any, Any, Any], Any]
    spikes: Callable[[Any, Any, Any], Any]
    reset: Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An arithmetic that chips share, named by ``arithmetic`` in their records.

    Attributes:
        name: as records give it.
        description: one line for people.
        integers: the rules.
        build_float_rules: makes the same rules of float operations.
        reset: what a spike does: ``subtract`` takes the threshold, ``value`` leaves 0.
        most_spikes: that a neuron of the family can send in a step.
        decay_bits: narrowest and widest decay code.
        weight_shift: bits that every stored weight is shifted by, beside its memory's weight shift.
        is_order_free: whether currents are the same in whatever order spikes arrive.
        decays_after_input: whether a current decays after its input has come: then a weight counts its decay factor times, and a
            synapse without memory is none.
        least_firing: added to a threshold code, the least potential that fires.
        has_few_decays: whether codes are so few that neurons are better rebuilt from several.
        decay_names: what the text form calls codes of synapse and membrane.
        decay_kind: what codes a decay, for messages: ``a bit shift``.
        decay_formula: the factor of a code, for messages.
        synapse_codes: ``(top)``: lowest and highest usable code of a synapse, where ``top`` is the highest in the record's bits.
        code_synapses: ``(factors, top)``: nearest codes.
        code_membranes: the same for membranes, of which all codes are usable.
        synapse_factors: ``(codes)``: decay factors.
        membrane_factors: the same for membranes.
        factor_slopes: ``(codes)``: change of a decay factor a code, for training.
        membrane_drift: ``(levels, codes)``: mean of (state on the chip - exact state) after one decay of a potential; ``levels``
            is ``(n_levels, n)``, quantiles of the state.
        synapse_drift: the same for a current.
        held_drift: ``(codes)``: a typical drift of a membrane, in state units, as long as it is held.
        relay_codes: ``(top)``: codes of synapse and membrane that a relay may have, first choice first.
        current_limits: ``(code, bits)``: highest and lowest current that is left of one that came to the end of its range.
        find_reached: ``(potentials, counts, thresholds)``: potentials before the reset, as far as they can be told.
    """

    name: str
    description: str
    integers: IntegerRules
    build_float_rules: Callable[[FloatOps], FloatRules]
    reset: Literal["subtract", "value"]
    most_spikes: int
    decay_bits: tuple[int, int]
    weight_shift: int
    is_order_free: bool
    decays_after_input: bool
    least_firing: int
    has_few_decays: bool
    decay_names: tuple[str, str]
    decay_kind: str
    decay_formula: str
    synapse_codes: Callable[[int], tuple[int, int]]
    code_synapses: Callable[[npt.ArrayLike, int], Codes]
    code_membranes: Callable[[npt.ArrayLike, int], Codes]
    synapse_factors: Callable[[npt.ArrayLike], Factors]
    membrane_factors: Callable[[npt.ArrayLike], Factors]
    factor_slopes: Callable[[npt.ArrayLike], Factors]
    synapse_drift: Callable[[Factors, Codes], Factors]
    membrane_drift: Callable[[Factors, Codes], Factors]
    held_drift: Callable[[Codes], Factors]
    relay_codes: Callable[[int], tuple[range, range]]
    current_limits: Callable[[int, int], tuple[int, int]]
    find_reached: Callable[[Codes, Codes, Codes], Codes]

    def weight_gain(self, codes: npt.ArrayLike) -> Factors:
        """Return how often a weight counts in the step it arrives, by codes of its synapse."""
        factors = self.synapse_factors(codes)
        return factors if self.decays_after_input else np.ones_like(factors)

    def find_stamp(self) -> str:
        """Return a digest of the family's source, which tells compiled rules of one version from those of another."""
        names = sorted({function.__module__ for function in (*self.list_functions(), self.build_float_rules)})
        return hashlib.sha256("".join(inspect.getsource(sys.modules[name]) for name in names).encode()).hexdigest()

    def list_functions(self) -> list[FunctionType]:
        """Return the functions of the integer rules and all that they call."""
        found: list[FunctionType] = []
        left: list[Any] = list(self.integers)
        while left:
            function = left.pop()
            if isinstance(function, FunctionType) and function not in found:
                found.append(function)
                left += [function.__globals__.get(name) for name in function.__code__.co_names]
        return found
