"""Scales: state units of the chip for one trained unit, one a neuron, and one weight shift a memory."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from snnmap.chip import Bits, Chip
from snnmap.core import FloatArray, IntArray, record

__all__ = ["MemoryDemand", "Scaling", "choose_scaling"]

_PEAK_MARGIN = 1.25
"""Room above the largest state seen in calibration."""
_LEAST_THRESHOLD = 2.0
"""Threshold code below which no state is given room."""


@record
class MemoryDemand:
    """What one kind of weight memory must hold for a row of neurons.

    Attributes:
        largest: ``(n,) float64``, largest absolute weight onto each neuron, in trained units.
        power: ``(n,) float64``, sum over each neuron's weights of the mean squared count of the source.
    """

    largest: FloatArray
    power: FloatArray


@record
class Scaling:
    """Scales of a row of neurons and shifts of their memories.

    Attributes:
        scale: ``(n,) float64``, state units for one trained unit.
        shifts: weight shift of each memory kind.
    """

    scale: FloatArray
    shifts: tuple[int, ...]


@np.errstate(over="ignore")  # dividing by a tiny weight or bias gives infinity, which says rightly that it sets no limit
def choose_scaling(
    demands: Sequence[MemoryDemand],
    threshold: FloatArray,
    bias: FloatArray,
    peak: FloatArray,
    dash_mem: IntArray,
    kernel_power: FloatArray,
    n_steps: float,
    chip: Chip,
    choices: Sequence[tuple[int, ...]],
    readout_margin: float,
) -> Scaling:
    """Choose shifts and scales with the smallest expected error (a LIF neuron is free to be scaled as a whole).

    A larger scale makes the chip's roundings smaller beside the threshold, until a weight, threshold, bias or state no
    longer fits. A larger shift admits a larger scale at coarser weights. All choices are tried.

    Args:
        demands: one a memory kind.
        threshold: ``(n,) float64``, may be infinite.
        bias: ``(n,) float64``.
        peak: ``(n,) float64``, largest absolute state seen in runs.
        dash_mem: ``(n,) int64``.
        kernel_power: ``(n,) float64``, sum of the squared potentials that a weight of 1 leads to in a run.
        n_steps: of a run, longer than which no membrane holds what it drifts by.
        chip: whose widths and arithmetic apply.
        choices: shifts of the memories between which to choose; not all are open to relays.
        readout_margin: room above the largest state seen, of neurons that never fire.
    """
    bits, family = chip.bits, chip.family
    ceiling = _state_ceiling(demands, threshold, bias, peak, bits, readout_margin)
    reference = np.where(np.isfinite(threshold), threshold, 1.0)
    steps = [float(1 << (shift + family.weight_shift)) for shift in range(1 + max(max(shifts) for shifts in choices))]
    drift = family.held_drift(dash_mem) * np.minimum(1.0, (1.0 - family.membrane_factors(dash_mem)) * n_steps)
    limits = [[_find_limit(demand, bits.weight_range[1] * step) for step in steps] for demand in demands]
    enough = [next((shift for shift, limit in enumerate(own) if (limit >= ceiling).all()), len(own)) for own in limits]
    best: tuple[float, Scaling] | None = None
    for shifts in _leave_out_coarser(choices, enough):
        scale = np.minimum.reduce([ceiling, *(own[shift] for own, shift in zip(limits, shifts, strict=True))])
        error = _expected_error(demands, [steps[shift] for shift in shifts], scale, reference, drift, kernel_power)
        if best is None or error < best[0]:
            best = error, Scaling(scale=scale, shifts=shifts)
    if best is None:
        raise ValueError("no shift is allowed")
    return best[1]


def _find_limit(demand: MemoryDemand, fits: float) -> FloatArray:
    """Return the largest scale at which the weights onto each neuron fit, ``(n,)``."""
    is_used = demand.largest > 0
    return np.where(is_used, fits / np.where(is_used, demand.largest, 1.0), np.inf)


def _leave_out_coarser(choices: Sequence[tuple[int, ...]], enough: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Leave out choices beside which there is one with a smaller shift at which a memory's weights limit no scale either."""
    known = set(choices)
    for shifts in choices:
        least = tuple(map(min, shifts, enough))
        if least == shifts or least not in known:
            yield shifts


def _state_ceiling(
    demands: Sequence[MemoryDemand], threshold: FloatArray, bias: FloatArray, peak: FloatArray, bits: Bits, readout_margin: float
) -> FloatArray:
    """Return the largest scale at which threshold, bias and states fit; of neurons never driven, their largest weight."""
    finite = np.isfinite(threshold)
    seen = np.where(peak > 0, peak, np.maximum.reduce([demand.largest for demand in demands]))
    expected = np.maximum(seen * np.where(finite, _PEAK_MARGIN, readout_margin), np.where(finite, threshold, 0.0))
    expected = np.minimum(expected, np.where(finite, threshold * (bits.state_max / _LEAST_THRESHOLD), np.inf))
    expected = np.where(expected > 0, expected, 1.0)
    by_state = bits.state_max / expected
    by_threshold = np.where(finite, bits.threshold_max / np.where(finite, threshold, 1.0), np.inf)
    by_bias = np.where(bias != 0, bits.bias_range[1] / np.where(bias != 0, np.abs(bias), 1.0), np.inf)
    return np.minimum(by_state, np.minimum(by_threshold, by_bias))


def _expected_error(
    demands: Sequence[MemoryDemand],
    steps: Sequence[float],
    scale: FloatArray,
    reference: FloatArray,
    drift: FloatArray,
    kernel_power: FloatArray,
) -> float:
    """Sum, over neurons, the squared error of the potential, from weights and decays, as shares of the threshold."""
    unit = 1.0 / (scale * reference)
    total = np.square(drift * unit)
    for demand, step in zip(demands, steps, strict=True):
        lsb = step * unit
        total = total + demand.power * kernel_power * lsb * lsb / 12.0
    return math.fsum(total.tolist())
