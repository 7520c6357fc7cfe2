"""The loops of :mod:`snnmap.nn.neurons.dynamics`, compiled for CPU tensors: the same numbers, one pass over memory a step.

Torch would read and write every state a dozen times a step; on a CPU that, not arithmetic, is the time of a LIF layer. Here the
states of one sample stay in the nearest cache for all steps.

Arrays have the batch first: ``x`` is ``(batch, time, n_synapses, size)``, ``reached`` and ``counts`` are ``(batch, time, size)``.
``taken`` is what a spike subtracts: the threshold, 0 where it is infinite. Loops over steps take them in groups, in the order in
which each unpacks them: ``parameters`` of the neurons, ``states``, changed in place, and ``sums`` over samples and steps.

Weights of which few exist are compressed rows, ``starts``, ``targets`` and ``weights``: those of source ``n`` are from
``starts[n]`` to before ``starts[n + 1]``. Counts that return have such rows for each of some delays. All loops are in one
file, since a compiled loop is kept until its own file changes.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = [
    "advance",
    "collect_wired",
    "gather_back",
    "gather_rows",
    "gather_sparse",
    "list_events",
    "retreat",
    "retreat_wired",
    "scatter_rows",
    "scatter_sparse",
]

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def _limit(value: Any, low: Any, high: Any) -> Any:
    """Clamp; written so that it becomes vector instructions."""
    value = low if value < low else value
    return high if value > high else value


@_compile
def advance(start: int, stop: int, x: Array, parameters: Arrays, limits: Array, states: Arrays) -> None:
    """Run the steps ``start .. stop - 1``; of the states, ``currents`` is filled where it has steps.

    ``limits`` holds 0 and the most spikes, in the type of the states.
    """
    alpha, beta, bias, threshold, taken = parameters
    current, potential, currents, reached, counts = states
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
                potential[row, n] *= beta[n]
            for synapse in range(n_synapses):
                for n in range(size):
                    potential[row, n] += current[row, synapse, n]
            for n in range(size):
                u = potential[row, n] + bias[n]
                fired = _limit(np.floor(u / threshold[n]), least, most)
                reached[row, step, n] = u
                counts[row, step, n] = fired
                potential[row, n] = u - fired * taken[n]


@_compile
def _apply_rule(kind: int, rate: Array, zero: Any, one: Any) -> None:
    """Turn distances times slope to dn/dx; kinds as :class:`snnmap.nn.Surrogate` numbers its names."""
    half = one / (one + one)
    if kind == 1:
        for n in range(rate.size):
            spread = one + np.abs(rate[n])
            rate[n] = one / (spread * spread)
    elif kind == 2:
        for n in range(rate.size):
            rate[n] = one / (one + rate[n] * rate[n])
    elif kind == 3:
        for n in range(rate.size):
            spread = half * (np.exp(half * rate[n]) + np.exp(-half * rate[n]))
            rate[n] = one / (spread * spread)
    elif kind == 4:
        for n in range(rate.size):
            rate[n] = _limit(one - np.abs(rate[n]), zero, one)
    elif kind == 5:
        for n in range(rate.size):
            rate[n] = one if np.abs(rate[n]) < half else zero
    else:
        for n in range(rate.size):
            rate[n] = np.exp(-np.abs(rate[n]))


@_compile
def retreat(
    start: int,
    stop: int,
    given: Array,
    parameters: Arrays,
    to_zero: bool,
    kind: int,
    constants: Array,
    states: Arrays,
    sums: Arrays,
) -> None:
    """Carry gradients back from step ``stop - 1`` to ``start``; sums a neuron are added in place where there is room for them.

    ``kind`` numbers the surrogate; ``constants`` holds 0, 1, its slope, its window and the most spikes, typed as the states. With
    ``to_zero`` a spike, of which there is at most one a step, takes the whole potential instead of ``taken``; its gradient
    leaves that out, since it would grow by ``u / threshold`` a step.
    """
    alpha, beta, threshold, taken = parameters
    reached, counts, by_x, by_u, by_current = states
    by_beta, by_bias, by_threshold = sums
    batch, n_synapses, size = by_current.shape
    zero, one, slope, window, most = constants[0], constants[1], constants[2], constants[3], constants[4]
    ratio, rate, by_v, pull = np.empty_like(beta), np.empty_like(beta), np.empty_like(beta), np.empty_like(beta)
    for row in range(batch):
        for step in range(stop - 1, start - 1, -1):
            for n in range(size):
                ratio[n] = reached[row, step, n] / threshold[n]
            if kind == 0:
                for n in range(size):
                    rate[n] = one if ratio[n] > one - window else zero
            else:
                for n in range(size):
                    rate[n] = slope * (ratio[n] - _limit(np.rint(ratio[n]), one, most))
                _apply_rule(kind, rate, zero, one)
            if to_zero:
                for n in range(size):
                    by_v[n] = beta[n] * by_u[row, n] * (one - counts[row, step, n])
                    pull[n] = given[row, step, n] * rate[n] / threshold[n]
            else:
                for n in range(size):
                    by_v[n] = beta[n] * by_u[row, n]
                    pull[n] = (given[row, step, n] - taken[n] * by_v[n]) * rate[n] / threshold[n]
            if by_threshold.size:
                for n in range(size):  # a spike that leaves 0 leaves none of the threshold either
                    by_threshold[n] -= by_v[n] * counts[row, step, n] + pull[n] * ratio[n]
            for n in range(size):
                by_u[row, n] = by_v[n] + pull[n]
            if by_bias.size:
                for n in range(size):
                    by_bias[n] += by_u[row, n]
            if by_beta.size and step > 0 and to_zero:
                for n in range(size):
                    by_beta[n] += by_u[row, n] * reached[row, step - 1, n] * (one - counts[row, step - 1, n])
            elif by_beta.size and step > 0:
                for n in range(size):
                    by_beta[n] += by_u[row, n] * (reached[row, step - 1, n] - counts[row, step - 1, n] * taken[n])
            for synapse in range(n_synapses):
                for n in range(size):
                    change = alpha[synapse, n] * by_current[row, synapse, n] + by_u[row, n]
                    by_current[row, synapse, n] = change
                    by_x[row, step, synapse, n] = change


@_compile
def list_events(counts: Array, n_active: int) -> tuple[Array, Array, Array]:
    """List the values that are not 0: where each row starts in the list, their columns and the values."""
    n_rows, n_columns = counts.shape
    starts, columns = np.zeros(n_rows + 1, np.int64), np.empty(n_active, np.int64)
    values = np.empty(n_active, counts.dtype)
    found = 0
    for row in range(n_rows):
        for column in range(n_columns):
            if counts[row, column] != 0:
                columns[found], values[found] = column, counts[row, column]
                found += 1
        starts[row + 1] = found
    return starts, columns, values


@_compile
def gather_rows(first: int, last: int, starts: Array, columns: Array, values: Array, rows: Array, total: Array) -> None:
    """Give ``total[row] = sum(value * rows[column])`` over the events of each row from ``first`` to before ``last``."""
    width = rows.shape[1]
    for row in range(first, last):
        for n in range(width):
            total[row, n] = 0
        start, stop = starts[row], starts[row + 1]
        for event in range(start, stop - 3, 4):  # four at a time, since each pass reads and writes the total
            a, b, c, d = columns[event], columns[event + 1], columns[event + 2], columns[event + 3]
            p, q, r, s = values[event], values[event + 1], values[event + 2], values[event + 3]
            for n in range(width):
                total[row, n] += (p * rows[a, n] + q * rows[b, n]) + (r * rows[c, n] + s * rows[d, n])
        for event in range(stop - (stop - start) % 4, stop):
            column, value = columns[event], values[event]
            for n in range(width):
                total[row, n] += value * rows[column, n]


@_compile
def scatter_rows(first: int, last: int, starts: Array, columns: Array, values: Array, rows: Array, total: Array) -> None:
    """Add ``value * rows[row]`` to ``total[column]`` for the events of each row from ``first`` to before ``last``."""
    width = rows.shape[1]
    for row in range(first, last):
        for event in range(starts[row], starts[row + 1]):
            column, value = columns[event], values[event]
            for n in range(width):
                total[column, n] += value * rows[row, n]


@_compile
def gather_sparse(
    first: int,
    last: int,
    event_starts: Array,
    columns: Array,
    values: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    total: Array,
) -> None:
    """Add, for each row from ``first`` to before ``last``, ``value * weight`` over its events to the weights' targets."""
    for row in range(first, last):
        for event in range(event_starts[row], event_starts[row + 1]):
            column, value = columns[event], values[event]
            for k in range(starts[column], starts[column + 1]):
                total[row, targets[k]] += value * weights[k]


@_compile
def scatter_sparse(
    first: int,
    last: int,
    event_starts: Array,
    columns: Array,
    values: Array,
    starts: Array,
    targets: Array,
    rows: Array,
    total: Array,
) -> None:
    """Add, for each weight, ``value * rows[row]`` at its target over the events of its source."""
    for row in range(first, last):
        for event in range(event_starts[row], event_starts[row + 1]):
            column, value = columns[event], values[event]
            for k in range(starts[column], starts[column + 1]):
                total[k] += value * rows[row, targets[k]]


@_compile
def gather_back(first: int, last: int, starts: Array, targets: Array, weights: Array, rows: Array, total: Array) -> None:
    """Give, for each source, the sum of ``weight * rows[row]`` at its targets."""
    for row in range(first, last):
        for source in range(starts.size - 1):
            total[row, source] = 0
            for k in range(starts[source], starts[source + 1]):
                total[row, source] += weights[k] * rows[row, targets[k]]


@_compile
def retreat_wired(
    wiring: Arrays,
    given: Array,
    parameters: Arrays,
    to_zero: bool,
    kind: int,
    constants: Array,
    states: Arrays,
    sums: Arrays,
) -> None:
    """Run :func:`snnmap.nn.kernels.retreat` over all steps, what later steps ask of the counts added to ``given``.

    ``wiring`` is delays, starts, targets and weights.
    """
    delays, starts, targets, weights = wiring
    reached, counts, by_x, by_u, by_current = states
    batch, n_steps, size = counts.shape
    for row in range(batch):
        for step in range(n_steps - 1, -1, -1):
            for number in range(delays.size):
                later = step + delays[number]
                if later >= n_steps:
                    continue
                asked = by_x[row, later].reshape(-1)
                for source in range(size):
                    for k in range(starts[number, source], starts[number, source + 1]):
                        given[row, step, source] += weights[k] * asked[targets[k]]
            one = slice(row, row + 1)
            rows = (reached[one], counts[one], by_x[one], by_u[one], by_current[one])
            retreat(step, step + 1, given[one], parameters, to_zero, kind, constants, rows, sums)


@_compile
def collect_wired(delays: Array, starts: Array, targets: Array, counts: Array, by_x: Array, total: Array) -> None:
    """Add, for each returning weight, its source's counts times what they led to after its delay."""
    batch, n_steps, size = counts.shape
    for row in range(batch):
        for number in range(delays.size):
            for step in range(n_steps - delays[number]):
                led_to = by_x[row, step + delays[number]].reshape(-1)
                for source in range(size):
                    count = counts[row, step, source]
                    if count != 0:
                        for k in range(starts[number, source], starts[number, source + 1]):
                            total[k] += count * led_to[targets[k]]
