"""The loops of :mod:`snnmap.nn.chip.dynamics`, compiled for CPU tensors with the rules of a chip's family.

Arrays as in :mod:`snnmap.nn.kernels`: the batch comes first, ``x`` is ``(batch, time, n_synapses, size)``. All are integers held
as floats, and come in groups:

- ``parameters``: what decays take of a current and of a potential, biases and thresholds;
- ``limits``: 0, 1, the most spikes, the lowest and the highest state;
- ``states``: currents and potentials, changed in place, then of each step the currents with all input, the potentials before the
  reset and the counts.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from snnmap.chip import Family
from snnmap.chip.arithmetic import FloatOps, FloatRules, named_after

__all__ = ["ChipLoops", "find_chip_loops"]

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_within: Any = register_jitable


class ChipLoops(NamedTuple):
    """Compiled loops of one family.

    Attributes:
        advance: runs steps ``start .. stop - 1``; see :func:`_build_advance`.
        advance_wired: runs all steps, with counts that return; see :func:`_build_advance_wired`.
    """

    advance: Callable[..., None]
    advance_wired: Callable[..., None]


@_within
def _limit(value: Any, low: Any, high: Any) -> Any:
    """Clamp; written so that it becomes vector instructions."""
    value = low if value < low else value
    return high if value > high else value


@_within
def _lowest(one: Any, other: Any) -> Any:
    return one if one < other else other


@_within
def _highest(one: Any, other: Any) -> Any:
    return one if one > other else other


@_within
def _select(holds: Any, one: Any, other: Any) -> Any:
    return one if holds else other


@_within
def _widen(value: Any) -> Any:
    return np.float64(value)


_OPS = FloatOps(floor=np.floor, ceil=np.ceil, lowest=_lowest, highest=_highest, limit=_limit, select=_select, wide=_widen)


@lru_cache(maxsize=16)
def find_chip_loops(family: Family) -> ChipLoops:
    """Compile the loops of a family, or take them from the cache on disk."""
    rules = family.build_float_rules(_OPS)
    for rule in rules:
        _register(rule)
    steps = _build_steps(family, rules)
    return ChipLoops(advance=_build_advance(family, steps), advance_wired=_build_advance_wired(family, steps, rules))


def _register(rule: Any) -> None:
    """Let the compiler take a rule, and the functions that it was built of, into its loops."""
    for cell in rule.__closure__ or ():
        if isinstance(cell.cell_contents, FunctionType):
            _register(cell.cell_contents)
    _within(rule)


def _build_steps(family: Family, rules: FloatRules) -> Any:
    enter, add, settle, integrate, spikes, reset = rules

    @_within
    @named_after(family)
    def run_steps(
        first: int, last: int, start: int, stop: int, x: Array, parameters: Arrays, limits: Any, states: Arrays, total: Array
    ) -> None:
        share_syn, share_mem, bias, threshold = parameters
        current, potential, currents, reached, counts = states
        _, n_synapses, size = current.shape
        for row in range(first, last):
            for step in range(start, stop):
                for synapse in range(n_synapses):
                    for n in range(size):
                        share = share_syn[synapse, n]
                        state = add(enter(current[row, synapse, n], share, limits), x[row, step, synapse, n], limits)
                        currents[row, step, synapse, n] = state
                        current[row, synapse, n] = settle(state, share, limits)
                for n in range(size):
                    total[n] = current[row, 0, n]
                for synapse in range(1, n_synapses):
                    for n in range(size):
                        total[n] += current[row, synapse, n]
                for n in range(size):
                    u = integrate(potential[row, n], share_mem[n], total[n], bias[n], limits)
                    fired = spikes(u, threshold[n], limits)
                    reached[row, step, n] = u
                    counts[row, step, n] = fired
                    potential[row, n] = reset(u, fired, threshold[n])

    return run_steps


def _build_advance(family: Family, run_steps: Any) -> Any:
    @_compile
    @named_after(family)
    def advance(start: int, stop: int, x: Array, parameters: Arrays, limits: Array, states: Arrays) -> None:
        """Run the steps ``start .. stop - 1``."""
        edges = (limits[0], limits[1], limits[2], limits[3], limits[4])
        run_steps(0, x.shape[0], start, stop, x, parameters, edges, states, np.empty_like(parameters[3]))

    return advance


def _build_deliver(family: Family, rules: FloatRules) -> Any:
    enter, add = rules.enter, rules.add

    @_within
    @named_after(family)
    def deliver_in_order(
        row: int,
        step: int,
        arriving: Array,
        flagged: Array,
        entries: Arrays,
        history: Array,
        counts: Array,
        held: Array,
        share: Array,
        limits: Any,
    ) -> None:
        """Replace what arrives at flagged targets by what adding weight by weight, in the order of the entries, comes to."""
        starts, sources, delays, weights = entries
        lead, n_outside = history.shape[1] - counts.shape[1], history.shape[2]
        for target in flagged:
            entered = enter(held[target], share[target], limits)
            state = entered
            for k in range(starts[target], starts[target + 1]):
                source, then = sources[k], step - delays[k]
                if source < n_outside:
                    count = history[row, then + lead, source]
                elif then >= 0:
                    count = counts[row, then, source - n_outside]
                else:
                    continue
                if count != 0:
                    state = add(state, count * weights[k], limits)
            arriving[target] = state - entered

    return deliver_in_order


def _build_advance_wired(family: Family, run_steps: Any, rules: FloatRules) -> Any:
    deliver_in_order = _build_deliver(family, rules)

    @_compile
    @named_after(family)
    def advance_wired(
        wiring: Arrays,
        flagged: Array,
        entries: Arrays,
        history: Array,
        x: Array,
        parameters: Arrays,
        limits: Array,
        states: Arrays,
    ) -> None:
        """Run all steps, earlier counts added to ``x`` through the weights of ``wiring``: delays, starts, targets, weights.

        Onto the flagged targets all that arrives is added weight by weight, in the order of ``entries``, within the word after
        each: starts, sources, delays, weights. An entry's source is a column of ``history``, which begins before the first step,
        or behind those a neuron itself.
        """
        delays, starts, targets, weights = wiring
        current, _, _, _, counts = states
        batch, n_steps, size = counts.shape
        edges = (limits[0], limits[1], limits[2], limits[3], limits[4])
        total, share = np.empty_like(parameters[3]), parameters[0].reshape(-1)
        for row in range(batch):
            for step in range(n_steps):
                arriving = x[row, step].reshape(-1)
                for number in range(delays.size):
                    then = step - delays[number]
                    if then < 0:
                        continue
                    for source in range(size):
                        count = counts[row, then, source]
                        if count != 0:
                            for k in range(starts[number, source], starts[number, source + 1]):
                                arriving[targets[k]] += count * weights[k]
                held = current[row].reshape(-1)
                deliver_in_order(row, step, arriving, flagged, entries, history, counts, held, share, edges)
                run_steps(row, row + 1, step, step + 1, x, parameters, edges, states, total)

    return advance_wired
