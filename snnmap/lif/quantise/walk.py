"""A run of the folded network in float64, sample by sample, of which the states' extremes are kept: compiled.

The equations are those of :class:`snnmap.network.Population`, in the order of operations of :mod:`snnmap.network.simulate`.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

__all__ = ["walk_sample"]

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def walk_sample(
    inputs: Any,
    sent: Any,
    memories: Any,
    rows: Any,
    extremes: Any,
    kept: Any,
    sample: int,
    subtracts: bool,
    is_deep: bool,
    is_late: bool,
    by_target: bool,
) -> None:
    """Run one sample from rest.

    Args:
        inputs: ``(n_steps, n_channels) float64``, counts as they arrive.
        sent: ``(n_steps, n_hidden)``, where hidden spikes go as they arrive, a step later.
        memories: weights of inputs, recurrent ones, and those onto outputs, each as row starts, columns and data.
        rows: parameters of hidden and of output neurons.
        extremes: :class:`snnmap.lif.quantise.swing.Extremes` of both, which are added to.
        kept: :class:`snnmap.lif.quantise.swing.Kept` of both.
        sample: its number.
        subtracts: whether a spike subtracts the threshold; else it sets the potential to 0.
        is_deep: whether how deep potentials must be held is measured.
        is_late: whether hidden spikes reach the outputs a step later.
        by_target: whether the weights are listed by target, which suits rows that no cache holds; counts are then at most 255.
    """
    hidden, outputs = rows
    hidden_states, output_states = _rest(hidden, 2), _rest(outputs, 1)
    for step in range(inputs.shape[0]):
        before = hidden_states.counts.copy()
        for neuron in range(before.size):
            sent[step, neuron] = before[neuron]
        _add(inputs[step], memories[0], hidden_states, 0, by_target)
        _add(before, memories[1], hidden_states, 1, by_target)
        _advance(hidden, hidden_states, extremes[0], subtracts, is_deep)
        _add(before if is_late else hidden_states.counts, memories[2], output_states, 0, by_target)
        _advance(outputs, output_states, extremes[1], subtracts, is_deep)
        _keep(hidden_states, kept[0], kept[0].place[sample, step])
        _keep(output_states, kept[1], kept[1].place[sample, step])


class _States(NamedTuple):
    """States of a row: currents ``(n_synapses, n)``, potentials, counts, and the lowest potentials so far, all ``(n,)``.

    What arrives from each memory is added up in ``sums`` and, without signs, in ``sizes``, ``(n_memories, n_synapses * n)``.
    """

    currents: Any
    potentials: Any
    counts: Any
    deepest: Any
    sums: Any
    sizes: Any


@_compile
def _rest(row: Any, n_memories: int) -> Any:
    n, sums = row.beta.size, np.zeros((n_memories, row.alpha.size))
    return _States(np.zeros(row.alpha.shape), np.zeros(n), np.zeros(n), np.full(n, np.inf), sums, np.zeros(sums.shape))


@_compile
def _add(values: Any, weights: Any, states: Any, memory: int, by_target: bool) -> None:
    """Write ``values @ weights`` to a memory's sums, with and without signs, in ascending source."""
    if by_target:
        _add_columns(values.astype(np.uint8), weights, states.sums[memory], states.sizes[memory])
    else:
        _add_rows(values, weights, states.sums[memory], states.sizes[memory])


@_compile
def _add_columns(counts: Any, weights: Any, sums: Any, sizes: Any) -> None:
    indptr, indices, data = weights
    for target in range(sums.size):
        total, size = 0.0, 0.0
        for place in range(indptr[target], indptr[target + 1]):
            product = counts[np.uint64(indices[place])] * data[place]
            total += product
            size += abs(product)
        sums[target], sizes[target] = total, size


@_compile
def _add_rows(values: Any, weights: Any, sums: Any, sizes: Any) -> None:
    indptr, indices, data = weights
    sums[:], sizes[:] = 0.0, 0.0
    for source in range(values.size):
        value = values[source]
        if value != 0.0:
            first, last = indptr[source], indptr[source + 1]
            if last - first == sums.size:
                _add_all(value, data[first:last], sums, sizes)
            else:
                for place in range(first, last):
                    product, target = value * data[place], np.uint64(indices[place])
                    sums[target] += product
                    sizes[target] += abs(product)


@_compile
def _add_all(value: float, data: Any, sums: Any, sizes: Any) -> None:
    """Add the weights of a source that has all targets, several at once."""
    for target in range(data.size):
        product = value * data[target]
        sums[target] += product
        sizes[target] += abs(product)


@_compile
def _advance(row: Any, states: Any, extremes: Any, subtracts: bool, is_deep: bool) -> None:
    """Advance a row by a step."""
    n_synapses, n = row.alpha.shape
    total = np.zeros(n)
    for synapse in range(n_synapses):
        mine = slice(synapse * n, (synapse + 1) * n)
        held = np.abs(states.currents[synapse])
        arriving = states.sums[0, mine] + states.sums[1, mine] if len(states.sums) == 2 else states.sums[0, mine]
        for memory in range(len(states.sizes)):
            _hold(row.alpha[synapse], states.sizes[memory, mine], held)
        _decay(row.alpha[synapse], states.currents[synapse], arriving, held, total, extremes.largest)
    _spike(row, total, states.potentials, states.counts, subtracts)
    _extend(row.finite, states.potentials, states.counts, extremes.highest, extremes.lowest)
    if is_deep:
        _deepen(row.finite, states.potentials, states.counts, states.deepest, extremes.needed)


@_compile
def _hold(alpha: Any, sizes: Any, held: Any) -> None:
    """Add what arrives, as much as a current must hold of it in any order; see :meth:`snnmap.lif.quantise.swing.Swing.add`."""
    for neuron in range(alpha.size):
        held[neuron] += sizes[neuron] / (alpha[neuron] if alpha[neuron] > 0.5 else 0.5)


@_compile
def _decay(alpha: Any, currents: Any, arriving: Any, held: Any, total: Any, largest: Any) -> None:
    """Let the currents of one synapse decay, and take what arrives."""
    for neuron in range(alpha.size):
        current = alpha[neuron] * currents[neuron] + arriving[neuron]
        currents[neuron] = current
        total[neuron] += current
        size = abs(current)
        size = held[neuron] if held[neuron] > size else size
        largest[neuron] = size if size > largest[neuron] else largest[neuron]


@_compile
def _spike(row: Any, total: Any, potentials: Any, counts: Any, subtracts: bool) -> None:
    """Write potentials after the reset and spikes, without a branch, so that several neurons are done at once."""
    beta, threshold, bias, max_count = row.beta, row.threshold, row.bias, row.max_count
    for neuron in range(beta.size):
        u = beta[neuron] * potentials[neuron] + total[neuron] + bias[neuron]
        count = np.floor(u / threshold[neuron])
        count = count if count < max_count[neuron] else max_count[neuron]
        count = 0.0 if u < threshold[neuron] else count
        after = u - count * threshold[neuron] if subtracts else 0.0
        potentials[neuron] = u if count == 0.0 else after
        counts[neuron] = count


@_compile
def _extend(finite: Any, potentials: Any, counts: Any, highest: Any, lowest: Any) -> None:
    for neuron in range(finite.size):
        reached, depth = potentials[neuron] + counts[neuron] * finite[neuron], -potentials[neuron]
        highest[neuron] = reached if reached > highest[neuron] else highest[neuron]
        lowest[neuron] = depth if depth > lowest[neuron] else lowest[neuron]


@_compile
def _deepen(finite: Any, potentials: Any, counts: Any, deepest: Any, needed: Any) -> None:
    for neuron in range(finite.size):
        deepest[neuron] = min(deepest[neuron], potentials[neuron])
        reached = potentials[neuron] + counts[neuron] * finite[neuron]
        more = min(reached, finite[neuron]) - deepest[neuron] - finite[neuron]
        needed[neuron] = max(needed[neuron], more)


@_compile
def _keep(states: Any, kept: Any, place: int) -> None:
    """Keep potentials and currents, if they have a place."""
    if place >= 0:
        kept.states[0, place] = states.potentials
        for synapse in range(len(states.currents)):
            kept.states[1 + synapse, place] = states.currents[synapse]
