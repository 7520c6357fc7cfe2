"""Rates of populations brought back to the model's: measured, one population after another, the best kept."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray
from snnmap.lif.program import MappedNetwork, NeuronCodes, Program, QuantisedNetwork

__all__ = ["RateTuning", "Tuner", "tune_rates"]

_TOLERANCE = 0.01
"""Share by which a population's spikes may be off without a try."""
_TRIES = 7
"""Runs of the network spent on a population: halving the range that often leaves less than a hundredth of it."""
_DAMPING = 0.7
"""First turn of a knob over the excess of the log rate: all of it would overshoot in a population that drives itself."""
_NEAREST_END = 0.1
"""Share of the range between two places that is kept from either end, so that a bent curve cannot hold the search there."""
_SHORTEST_STEP, _LONGEST_STEP, _BLIND_STEP = 0.25, 4.0, 2.0
"""Next step over the last: as the secant of two noisy counts says, within the first two; or the third where it does not rise."""
_LARGEST = 0.25
"""The most that a knob is turned: a share of a threshold, or of a bias as many thresholds a step, and half the rate."""

Knob = Literal["bias", "threshold"]
_State = TypeVar("_State")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTuning:
    """What brought a population's mean spike count back.

    Attributes:
        population: its name.
        knob: ``bias`` or, on a chip without, ``threshold``.
        shift: by how much, in thresholds a step, or as a share of the threshold.
        before: spikes of chip over model.
        after: the same, tuned.
    """

    population: str
    knob: Knob
    shift: float
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuner(Generic[_State]):
    """How rates are measured and moved.

    Attributes:
        wanted: spikes of the model, by population.
        n_pairs: neurons times samples times steps, by population.
        measure: gives the spikes of a state, by population, on the inputs of ``wanted``.
        turn: gives a state in which a population fires more by a shift of its knob.
        knob: of a population.
    """

    wanted: Mapping[str, int]
    n_pairs: Mapping[str, int]
    measure: Callable[[_State], Mapping[str, int]]
    turn: Callable[[_State, str, float], _State]
    knob: Callable[[str], Knob]

    def tune(self, start: _State, names: Sequence[str]) -> tuple[_State, tuple[RateTuning, ...]]:
        """Tune populations one after another, each fed by those before it, and keep the best that was seen, none included.

        The shift is found by the secant method on measured rates, damped at first.

        Args:
            start: to tune.
            names: populations, those that feed others first.
        """
        first = found = self.measure(start)
        state, tunings = start, []
        for name in names:
            wanted = self.wanted[name]
            if not wanted or abs(_log_rate(found[name], wanted)) <= _TOLERANCE:
                continue
            shift, tuned, after = self._search(state, name, found)
            if shift:
                rates = {"before": found[name] / wanted, "after": after[name] / wanted}
                tunings.append(RateTuning(population=name, knob=self.knob(name), shift=shift, **rates))
                state, found = tuned, after
        if not tunings or self._worst(found) >= self._worst(first):
            return start, ()
        return state, tuple(tunings)

    def _search(self, state: _State, name: str, found: Mapping[str, int]) -> tuple[float, _State, Mapping[str, int]]:
        """Return the best shift of one population (0 where none helps), its state and the spikes with it."""
        best = 0.0, state, found
        wanted = self.wanted[name]
        tried = [(0.0, _log_rate(found[name], wanted))]
        least = abs(tried[0][1])
        excess = (found[name] - wanted) / self.n_pairs[name] if self.knob(name) == "bias" else tried[0][1]
        x = -_DAMPING * excess
        most = _LARGEST + (0.5 * wanted / self.n_pairs[name] if self.knob(name) == "bias" else 0.0)
        for _ in range(_TRIES):
            x = min(most, max(-most, x))
            if any(x == place for place, _ in tried):
                break
            candidate = self.turn(state, name, x)
            seen = self.measure(candidate)
            tried.append((x, _log_rate(seen[name], wanted)))
            if abs(tried[-1][1]) < least:
                least, best = abs(tried[-1][1]), (x, candidate, seen)
            if least <= _TOLERANCE:
                break
            x = _next_place(tried)
        return best

    def _worst(self, found: Mapping[str, int]) -> float:
        return max((abs(_log_rate(found[name], count)) for name, count in self.wanted.items() if count), default=0.0)


def _next_place(tried: list[tuple[float, float]]) -> float:
    """Return where to try next: between the nearest places on both sides of the aim, or on along the secant."""
    low = max((point for point in tried if point[1] < 0), default=None, key=lambda point: point[1])
    high = min((point for point in tried if point[1] >= 0), default=None, key=lambda point: point[1])
    if low and high:
        share = low[1] / (low[1] - high[1])
        return low[0] + (high[0] - low[0]) * min(1.0 - _NEAREST_END, max(_NEAREST_END, share))
    (x0, y0), (x1, y1) = tried[-2:]
    slope = (y1 - y0) / (x1 - x0)
    if slope <= 0:
        return x1 + _BLIND_STEP * (x1 - x0)
    return x1 + min(_LONGEST_STEP, max(_SHORTEST_STEP, -y1 / slope / (x1 - x0))) * (x1 - x0)


def _log_rate(found: int, wanted: int) -> float:
    return math.log((found + 0.5) / (wanted + 0.5))


def tune_rates(
    quantised: QuantisedNetwork,
    wanted: Mapping[str, int],
    n_pairs: Mapping[str, int],
    measure: Callable[[Program], Mapping[str, int]],
) -> tuple[QuantisedNetwork, tuple[RateTuning, ...]]:
    """Shift the biases (or thresholds) of each population that fires too much or too little on the chip.

    Args:
        quantised: to start from.
        wanted: spikes of the model, by population that fires.
        n_pairs: neurons times samples times steps, by population.
        measure: runs a program on the inputs of ``wanted`` and gives the spikes, by population.

    Returns:
        The tuned network, and what was tuned.
    """
    mapped = quantised.mapped
    knobs = {name: _ChipKnob.of(mapped, name) for name in wanted}
    tuner: Tuner[Program] = Tuner(
        wanted=wanted,
        n_pairs=n_pairs,
        measure=measure,
        turn=lambda program, name, x: knobs[name].turn(program, x),
        knob=lambda name: knobs[name].kind,
    )
    program, tunings = tuner.tune(quantised.program, sorted(wanted, key=lambda name: (mapped.lags[name], name)))
    return (replace(quantised, program=program), tunings) if tunings else (quantised, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChipKnob:
    """What of a population's codes is shifted: biases, or thresholds where the chip has no biases."""

    kind: Knob
    is_output: bool
    slots: IntArray
    limit: tuple[int, int]

    @classmethod
    def of(cls, mapped: MappedNetwork, population: str) -> "_ChipKnob":
        (area, slots), chip = mapped.table.locate(population), mapped.chip
        is_output, most = area == "outputs", chip.bits.bias_range[1]
        if (chip.outputs if is_output else chip.hidden).bias:
            return cls(kind="bias", is_output=is_output, slots=slots, limit=(-most, most))
        return cls(kind="threshold", is_output=is_output, slots=slots, limit=(1, chip.bits.threshold_max))

    def turn(self, program: Program, x: float) -> Program:
        """Make the population fire more by ``x``: thresholds a step onto each bias, or that share off each threshold."""
        codes: NeuronCodes = program.outputs if self.is_output else program.hidden
        bias, threshold, mine = codes.bias.copy(), codes.threshold.copy(), self.slots
        if self.kind == "bias":
            bias[mine] = np.clip(bias[mine] + _spread(x * threshold[mine]), *self.limit)
        else:
            threshold[mine] = np.clip(threshold[mine] - _spread(x * threshold[mine]), *self.limit)
        codes = replace(codes, bias=bias, threshold=threshold)
        return replace(program, outputs=codes) if self.is_output else replace(program, hidden=codes)


def _spread(values: npt.NDArray[Any]) -> IntArray:
    """Round so that the sums of the first 1, 2, 3, ... values are right: small shifts reach some of the neurons."""
    return np.asarray(np.diff(np.rint(np.cumsum(values)), prepend=0.0), np.int64)
