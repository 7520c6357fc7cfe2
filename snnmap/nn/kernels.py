"""The loops of :mod:`snnmap.nn.dynamics`, compiled for CPU tensors: the same numbers, one pass over memory a step.

Torch would read and write every state a dozen times a step; on a CPU that, not arithmetic, is the time of a LIF layer. Here the
states of one sample stay in the nearest cache for all steps.

Arrays have the batch first: ``x`` is ``(batch, time, n_synapses, size)``, ``reached`` and ``counts`` are ``(batch, time, size)``.
``taken`` is what a spike subtracts: the threshold, 0 where it is infinite.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["advance", "retreat"]

Array = npt.NDArray[Any]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def advance(
    start: int,
    stop: int,
    x: Array,
    alpha: Array,
    beta: Array,
    bias: Array,
    threshold: Array,
    taken: Array,
    limits: Array,
    current: Array,
    potential: Array,
    currents: Array,
    reached: Array,
    counts: Array,
) -> None:
    """Run the steps ``start .. stop - 1``; states are changed in place, ``currents`` is filled where it has steps.

    ``limits`` holds 0 and the most spikes, in the type of the states.
    """
    batch, n_synapses, size = current.shape
    least, most = limits[0], limits[1]
    for row in range(batch):
        for step in range(start, stop):
            for synapse in range(n_synapses):
                for n in range(size):
                    current[row, synapse, n] = alpha[synapse, n] * current[row, synapse, n] + x[row, step, synapse, n]
            if currents.shape[0]:
                currents[row, step + 1] = current[row]
            for n in range(size):
                u = beta[n] * potential[row, n]
                for synapse in range(n_synapses):
                    u += current[row, synapse, n]
                u += bias[n]
                fired = min(max(np.floor(u / threshold[n]), least), most)
                reached[row, step, n] = u
                counts[row, step, n] = fired
                potential[row, n] = u - fired * taken[n]


@_compile
def retreat(
    start: int,
    stop: int,
    given: Array,
    alpha: Array,
    beta: Array,
    threshold: Array,
    taken: Array,
    kind: int,
    constants: Array,
    reached: Array,
    counts: Array,
    by_x: Array,
    by_u: Array,
    by_current: Array,
    by_beta: Array,
    by_bias: Array,
    by_threshold: Array,
) -> None:
    """Carry gradients back from step ``stop - 1`` to ``start``; sums a neuron are added in place where there is room for them.

    ``kind`` numbers the surrogate; ``constants`` holds 0, 1, its slope and its window, in the type of the states.
    """
    batch, n_synapses, size = by_current.shape
    zero, one, slope, window = constants[0], constants[1], constants[2], constants[3]
    ratio, rate, by_v, pull = np.empty_like(beta), np.empty_like(beta), np.empty_like(beta), np.empty_like(beta)
    for row in range(batch):
        for step in range(stop - 1, start - 1, -1):
            for n in range(size):
                ratio[n] = reached[row, step, n] / threshold[n]
            if kind == 0:
                for n in range(size):
                    rate[n] = one if ratio[n] > one - window else zero
            elif kind == 1:
                for n in range(size):
                    distance = one + abs(slope * (ratio[n] - max(np.rint(ratio[n]), one)))
                    rate[n] = one / (distance * distance)
            else:
                for n in range(size):
                    distance = slope * (ratio[n] - max(np.rint(ratio[n]), one))
                    rate[n] = one / (one + distance * distance)
            for n in range(size):
                by_v[n] = beta[n] * by_u[row, n]
                pull[n] = (given[row, step, n] - taken[n] * by_v[n]) * rate[n] / threshold[n]
            if by_threshold.size:
                for n in range(size):
                    by_threshold[n] -= by_v[n] * counts[row, step, n] + pull[n] * ratio[n]
            for n in range(size):
                by_u[row, n] = by_v[n] + pull[n]
            if by_bias.size:
                for n in range(size):
                    by_bias[n] += by_u[row, n]
            if by_beta.size and step > 0:
                for n in range(size):
                    by_beta[n] += by_u[row, n] * (reached[row, step - 1, n] - counts[row, step - 1, n] * taken[n])
            for synapse in range(n_synapses):
                for n in range(size):
                    by_x[row, step, synapse, n] = alpha[synapse, n] * by_current[row, synapse, n] + by_u[row, n]
                by_current[row, synapse] = by_x[row, step, synapse]


@_compile
def advance_chip(
    start: int,
    stop: int,
    x: Array,
    shift_syn: Array,
    shift_mem: Array,
    bias: Array,
    threshold: Array,
    limits: Array,
    current: Array,
    potential: Array,
    currents: Array,
    reached: Array,
    counts: Array,
) -> None:
    """Run the steps of the chip's integer arithmetic (:mod:`snnmap.chip.arithmetic`) on integers held as floats.

    ``shift_syn`` and ``shift_mem`` are ``2**-dash``, so that ``floor(state * shift)`` is the shift to the right; ``limits``
    holds 0, 1, the most spikes and the lowest and highest state. ``currents`` keeps what the decay was applied to.
    """
    batch, n_synapses, size = current.shape
    zero, one, most, low, high = limits[0], limits[1], limits[2], limits[3], limits[4]
    for row in range(batch):
        for step in range(start, stop):
            for synapse in range(n_synapses):
                for n in range(size):
                    state = min(max(current[row, synapse, n] + x[row, step, synapse, n], low), high)
                    lost = np.floor(state * shift_syn[synapse, n])
                    if lost == zero and state != zero:
                        lost = one if state > zero else -one
                    currents[row, step, synapse, n] = state
                    current[row, synapse, n] = state - lost
            for n in range(size):
                state = potential[row, n]
                lost = np.floor(state * shift_mem[n])
                if lost == zero and state != zero:
                    lost = one if state > zero else -one
                change = -lost
                for synapse in range(n_synapses):
                    change += current[row, synapse, n]
                change = min(max(min(max(change, low), high) + bias[n], low), high)
                u = min(max(state + change, low), high)
                fired = min(max(np.floor(u / threshold[n]), zero), most)
                reached[row, step, n] = u
                counts[row, step, n] = fired
                potential[row, n] = u - fired * threshold[n]
