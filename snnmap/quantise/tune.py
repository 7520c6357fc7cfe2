"""Rates of populations on the chip, brought back to the model's: measured, one population after another, the best kept."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.ir import IntArray, MappedNetwork, NeuronCodes, Program, QuantisedNetwork

__all__ = ["RateTuning", "tune_rates"]

_TOLERANCE = 0.01
"""Share by which a population's spikes may be off without a try."""
_TRIES = 5
_DAMPING = 0.7
_LARGEST = 0.25
"""The most that a knob is turned, in thresholds (of a bias) or as a share (of a threshold)."""

Measure = Callable[[Program], Mapping[str, int]]


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
    knob: str
    shift: float
    before: float
    after: float


def tune_rates(
    quantised: QuantisedNetwork, wanted: Mapping[str, int], n_pairs: Mapping[str, int], measure: Measure
) -> tuple[QuantisedNetwork, tuple[RateTuning, ...]]:
    """Shift the biases (or thresholds) of each population that fires too much or too little on the chip.

    Populations are tuned in the order of their lags, so that what feeds one is right before it is. The shift is found by the
    secant method on measured rates, damped at first; of all that was tried, none included, the best is kept.

    Args:
        quantised: to start from.
        wanted: spikes of the model, by population that fires.
        n_pairs: neurons times samples times steps, by population.
        measure: runs a program on the inputs of ``wanted`` and gives the spikes, by population.

    Returns:
        The tuned network, and what was tuned.
    """
    mapped, tunings = quantised.mapped, []
    found = measure(quantised.program)
    start, program = found, quantised.program
    for name in sorted(wanted, key=lambda name: (mapped.lags[name], name)):
        if not wanted[name] or abs(_log_rate(found[name], wanted[name])) <= _TOLERANCE:
            continue
        knob = _Knob.of(mapped, name)
        shift, tuned, after = _turn(knob, program, name, found, wanted[name], n_pairs[name], measure)
        if tuned is not None:
            before, program, found = found[name], tuned, after
            rates = {"before": before / wanted[name], "after": found[name] / wanted[name]}
            tunings.append(RateTuning(population=name, knob=knob.name, shift=shift, **rates))
    if not tunings or _worst(found, wanted) >= _worst(start, wanted):
        return quantised, ()
    return replace(quantised, program=program), tuple(tunings)


def _turn(
    knob: "_Knob", program: Program, name: str, found: Mapping[str, int], wanted: int, n_pairs: int, measure: Measure
) -> tuple[float, Program | None, Mapping[str, int]]:
    """Give the best shift of one population, its program (None where none helps) and the spikes with it."""
    best: tuple[float, Program | None, Mapping[str, int]] = (0.0, None, found)
    x, y = 0.0, _log_rate(found[name], wanted)
    least = abs(y)
    guess = (wanted - found[name]) / n_pairs if knob.name == "bias" else -y
    step = _DAMPING * guess
    tried: list[tuple[float, float]] = [(x, y)]
    for _ in range(_TRIES):
        x = min(_LARGEST, max(-_LARGEST, x + step))
        candidate = knob.turn(program, x)
        seen = measure(candidate)
        y = _log_rate(seen[name], wanted)
        tried.append((x, y))
        if abs(y) < least:
            least, best = abs(y), (x, candidate, seen)
        if least <= _TOLERANCE:
            break
        x, step = _next_step(tried)
        if not step:
            break
    return best


def _next_step(tried: list[tuple[float, float]]) -> tuple[float, float]:
    """Give where to go from and how far: between the nearest points on both sides of the aim, or on along the secant."""
    low = max((point for point in tried if point[1] < 0), default=None, key=lambda point: point[1])
    high = min((point for point in tried if point[1] >= 0), default=None, key=lambda point: point[1])
    if low and high:
        share = low[1] / (low[1] - high[1])
        return low[0], (high[0] - low[0]) * min(0.9, max(0.1, share))
    (x0, y0), (x1, y1) = tried[-2:]
    slope = (y1 - y0) / (x1 - x0) if x1 != x0 else 0.0
    if slope <= 0:
        return x1, 2.0 * (x1 - x0)
    return x1, min(4.0, max(0.25, -y1 / slope / (x1 - x0))) * (x1 - x0)


def _log_rate(found: int, wanted: int) -> float:
    return math.log((found + 0.5) / (wanted + 0.5))


def _worst(found: Mapping[str, int], wanted: Mapping[str, int]) -> float:
    return max((abs(_log_rate(found[name], count)) for name, count in wanted.items() if count), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Knob:
    """What of a population's codes is shifted: biases, or thresholds where the chip has no biases."""

    name: str
    area: str
    slots: IntArray
    limit: tuple[int, int]

    @classmethod
    def of(cls, mapped: MappedNetwork, population: str) -> "_Knob":
        slots = mapped.table.output_slots(population)
        area, neurons = ("outputs", mapped.chip.outputs) if slots.size else ("hidden", mapped.chip.hidden)
        slots = slots if slots.size else mapped.table.hidden_slots(population)
        bits = mapped.chip.bits
        if neurons.bias:
            return cls(name="bias", area=area, slots=slots, limit=bits.bias_range)
        return cls(name="threshold", area=area, slots=slots, limit=(1, bits.threshold_max))

    def turn(self, program: Program, x: float) -> Program:
        """Make the population fire more by ``x``: thresholds a step onto each bias, or that share off each threshold."""
        codes: NeuronCodes = getattr(program, self.area)
        bias, threshold, mine = codes.bias.copy(), codes.threshold.copy(), self.slots
        if self.name == "bias":
            bias[mine] = np.clip(bias[mine] + _spread(x * threshold[mine]), *self.limit)
        else:
            threshold[mine] = np.clip(threshold[mine] - _spread(x * threshold[mine]), *self.limit)
        codes = replace(codes, bias=bias, threshold=threshold)
        return replace(program, outputs=codes) if self.area == "outputs" else replace(program, hidden=codes)


def _spread(values: npt.NDArray[Any]) -> IntArray:
    """Round so that the sums of the first 1, 2, 3, ... values are right: small shifts reach some of the neurons."""
    total = np.rint(np.cumsum(values))
    return np.asarray(np.diff(total, prepend=0.0), np.int64)
