"""The compiled loop of the fast engine: many samples side by side in lanes, or one; synaptic work only where spikes are.

States are ``(n, n_lanes)``, currents ``(n_synapses, n, n_lanes)``: the samples of a group lie beside each other, so that one
neuron's codes and one stored weight serve all of them and the rules of the family become vector instructions as they stand. Word
widths are constants of the compiled loop, since only then do the rules become instructions on narrow, saturating lanes. Sources
are delivered in ascending order, so every addition to a current happens in the chip's order.

Of a population's spikes in a step there are the counts, ``(n, n_lanes)``, and which of its neurons have any: their slots, the
highest count of each, and how many they are.

Of each row of neurons there are tallies, ``(4, n_lanes)``: synaptic operations and, where the loop counts them, arrivals,
potentials and counts that left their word. What does, is what a wider word would have held.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numba.extending import register_jitable

from snnmap.chip import Chip, Family
from snnmap.chip.arithmetic import WIDE, compile_integer_rules, named_after

__all__ = ["find_kernel", "find_state_type"]

F = TypeVar("F", bound=Callable[..., Any])
_compile: Callable[..., Any] = numba.njit
_within: Callable[..., Any] = register_jitable
_BLOCK = 64
"""Neurons that are compared with their thresholds at once."""


class _Words(NamedTuple):
    """Widths that a loop is compiled for.

    Attributes:
        state: bits of a state.
        decay: highest decay code.
        is_counted: whether the loop counts what leaves its word.
    """

    state: int
    decay: int
    is_counted: bool


def find_state_type(chip: Chip) -> np.dtype[Any]:
    """Return the narrowest type that holds a chip's states."""
    highest = chip.family.integers.add(chip.bits.state_max, 1, chip.bits.state)
    return np.min_scalar_type(-1 - highest)


def find_kernel(chip: Chip, *, is_counted: bool = False) -> Callable[..., None]:
    """Return the loop over the steps of a group, compiled for a chip's family and words, or from the cache on disk.

    Args:
        chip: whose neurons run.
        is_counted: whether the loop counts what leaves its word (:class:`~snnmap.network.Saturation`), which takes time.
    """
    return _build_kernel(chip.family, _Words(chip.bits.state, (1 << chip.bits.decay) - 1, is_counted))


def _named(family: Family, words: _Words) -> Callable[[F], F]:
    """Return a decorator that makes a function's name that of a family and its words, see :func:`named_after`."""

    def rename(function: F) -> F:
        function = named_after(family)(function)
        function.__qualname__ += f"_{words.state}_{words.decay}" + "_counted" * words.is_counted
        return function

    return rename


# What is the same for all families.


@_within
def _store(arrays: Any, sample: int, step: int, counts: Any, potentials: Any, currents: Any) -> None:
    """Write what is recorded of a step, lane by lane."""
    kept_counts, kept_potentials, kept_currents = arrays
    for lane in range(potentials.shape[1]):
        if kept_counts.size > 0:
            kept_counts[sample + lane, step] = counts[:, lane]
        if kept_potentials.size > 0:
            kept_potentials[sample + lane, step] = potentials[:, lane]
            kept_currents[sample + lane, step] = currents[:, :, lane]


@_within
def _take_inputs(raster: Any, sample: int, step: int, counts: Any) -> None:
    for lane in range(counts.shape[1]):
        for channel in range(counts.shape[0]):
            counts[channel, lane] = raster[sample + lane, step, channel]


@_within
def _count_inputs(raster: Any, sample: int, step: int, totals: Any, n_lanes: int) -> None:
    for lane in range(n_lanes):
        for channel in range(raster.shape[2]):
            totals[sample + lane, 0] += raster[sample + lane, step, channel]


@_within
def _list_active(counts: Any, active: Any, tops: Any) -> int:
    """List the sources that spike in any lane, and their highest counts; give how many they are."""
    n_active = 0
    for source in range(counts.shape[0]):
        top = counts[source, 0]
        for lane in range(1, counts.shape[1]):
            top = max(top, counts[source, lane])
        if top > 0:
            active[n_active], tops[n_active] = source, top
            n_active += 1
    return n_active


@_within
def _make_list(size: int) -> Any:
    return np.zeros(size, np.int32), np.zeros(size, np.int32)


@_within
def _clear(counts: Any, active: Any, n_active: int) -> None:
    for position in range(n_active):
        counts[active[position], :] = 0


@_within
def _add_up(counts: Any, active: Any, n_active: int, spikes: Any) -> None:
    """Add the counts of a step to the spikes of each lane."""
    for position in range(n_active):
        source = active[position]
        for lane in range(counts.shape[1]):
            spikes[lane] += counts[source, lane]


# Loops of a step with a family's rules.


def _build_begin(family: Family, words: _Words) -> Any:
    enter, highest = family.integers.enter, words.decay

    @_within
    @_named(family, words)
    def begin(currents: Any, codes: Any) -> None:
        dash_syn = codes[0]
        for synapse in range(currents.shape[0]):
            for neuron in range(currents.shape[1]):
                dash = dash_syn[synapse, neuron] & highest
                for lane in range(currents.shape[2]):
                    currents[synapse, neuron, lane] = enter(currents[synapse, neuron, lane], dash)

    return begin


def _build_receive_counted(family: Family, words: _Words) -> Any:
    add, bits = family.integers.add, words.state

    @_within
    @_named(family, words)
    def receive_counted(currents: Any, synapses: Any, counts: Any, spiking: Any, n_active: int, tallies: Any, _: Any) -> None:
        """Deliver the spikes of a step, and count the additions that leave the word."""
        starts, targets, amounts = synapses
        for synapse in range(starts.shape[0]):
            for place in range(n_active):
                source = spiking[0][place]
                first, last = starts[synapse, source], starts[synapse, source + 1]
                for lane in range(counts.shape[1]):
                    tallies[0, lane] += counts[source, lane] * (last - first)
                for position in range(first, last):
                    target, amount = targets[position], amounts[position]
                    for lane in range(counts.shape[1]):
                        before, arrived = currents[synapse, target, lane], amount * counts[source, lane]
                        after = add(before, arrived, bits)
                        tallies[1, lane] += after != add(before, arrived, WIDE)
                        currents[synapse, target, lane] = after

    return receive_counted


def _build_receive(family: Family, words: _Words) -> Any:
    if words.is_counted:
        return _build_receive_counted(family, words)
    add, bits = family.integers.add, words.state

    @_within
    @_named(family, words)
    def receive_one(currents: Any, synapses: Any, counts: Any, active: Any, n_active: int, tallies: Any) -> None:
        starts, targets, amounts = synapses
        for synapse in range(starts.shape[0]):
            for place in range(n_active):
                source = active[place]
                count = counts[source, 0]
                first, last = starts[synapse, source], starts[synapse, source + 1]
                tallies[0, 0] += count * (last - first)
                for position in range(first, last):
                    target = targets[position]
                    currents[synapse, target, 0] = add(currents[synapse, target, 0], count * amounts[position], bits)

    @_within
    @_named(family, words)
    def receive(currents: Any, synapses: Any, counts: Any, spiking: Any, n_active: int, tallies: Any, masks: Any) -> None:
        """Deliver the spikes of a step, and add the synaptic operations that takes to those of each lane."""
        starts, targets, amounts = synapses
        active, tops = spiking
        n_lanes = counts.shape[1]
        if n_lanes == 1:
            receive_one(currents, synapses, counts, active, n_active, tallies)
            return
        for synapse in range(starts.shape[0]):
            for place in range(n_active):
                source = active[place]
                first, last = starts[synapse, source], starts[synapse, source + 1]
                for lane in range(n_lanes):
                    tallies[0, lane] += counts[source, lane] * (last - first)
                if tops[place] == 1:
                    for lane in range(n_lanes):
                        masks[lane] = -counts[source, lane]
                    for position in range(first, last):
                        target, amount = targets[position], amounts[position]
                        for lane in range(n_lanes):
                            currents[synapse, target, lane] = add(currents[synapse, target, lane], amount & masks[lane], bits)
                else:
                    for position in range(first, last):
                        target, amount = targets[position], amounts[position]
                        for lane in range(n_lanes):
                            arrived = amount * counts[source, lane]
                            currents[synapse, target, lane] = add(currents[synapse, target, lane], arrived, bits)

    return receive


def _build_update_counted(family: Family, words: _Words) -> Any:
    settle, integrate = family.integers.settle, family.integers.integrate
    bits, highest = words.state, words.decay

    @_within
    @_named(family, words)
    def update_counted(currents: Any, potentials: Any, codes: Any, reaches: Any, tallies: Any) -> None:
        """Settle and integrate all neurons, and count the potentials that leave their word."""
        dash_syn, dash_mem, thresholds, biases = codes
        for neuron in range(potentials.shape[0]):
            dash, bias, reached = dash_mem[neuron] & highest, biases[neuron], False
            for lane in range(potentials.shape[1]):
                total = 0
                for synapse in range(currents.shape[0]):
                    current = settle(currents[synapse, neuron, lane], dash_syn[synapse, neuron] & highest)
                    currents[synapse, neuron, lane] = current
                    total += current
                before = potentials[neuron, lane]
                potential = integrate(before, dash, total, bias, bits)
                tallies[2, lane] += potential != integrate(before, dash, total, bias, WIDE)
                potentials[neuron, lane] = potential
                reached |= potential >= thresholds[neuron]
            reaches[neuron] = reached

    return update_counted


def _build_update(family: Family, words: _Words) -> Any:
    if words.is_counted:
        return _build_update_counted(family, words)
    settle, integrate = family.integers.settle, family.integers.integrate
    bits, highest = words.state, words.decay

    @_within
    @_named(family, words)
    def update(currents: Any, potentials: Any, codes: Any, reaches: Any) -> None:
        """Settle and integrate all neurons in all lanes, up to the spike test; mark those that may fire."""
        dash_syn, dash_mem, thresholds, biases = codes
        for neuron in range(potentials.shape[0]):
            dash, bias, threshold = dash_mem[neuron] & highest, biases[neuron], thresholds[neuron]
            first, last, reached = dash_syn[0, neuron] & highest, dash_syn[-1, neuron] & highest, 0
            if currents.shape[0] == 1:
                for lane in range(potentials.shape[1]):
                    current = settle(currents[0, neuron, lane], first)
                    potential = integrate(potentials[neuron, lane], dash, current, bias, bits)
                    currents[0, neuron, lane], potentials[neuron, lane] = current, potential
                    reached |= potential >= threshold  # below, no family fires
            else:
                for lane in range(potentials.shape[1]):
                    current, other = settle(currents[0, neuron, lane], first), settle(currents[1, neuron, lane], last)
                    potential = integrate(potentials[neuron, lane], dash, current + other, bias, bits)
                    currents[0, neuron, lane], currents[1, neuron, lane], potentials[neuron, lane] = current, other, potential
                    reached |= potential >= threshold
            reaches[neuron] = reached

    @_within
    @_named(family, words)
    def update_one(currents: Any, potentials: Any, codes: Any, reaches: Any) -> None:
        """The same where there is one lane, with neurons side by side."""
        dash_syn, dash_mem, thresholds, biases = codes
        first, last, firsts, lasts = currents[0].reshape(-1), currents[-1].reshape(-1), dash_syn[0], dash_syn[-1]
        reached = potentials.reshape(-1)
        if currents.shape[0] == 1:
            for neuron in range(reached.size):
                current = settle(first[neuron], firsts[neuron] & highest)
                first[neuron] = current
                reached[neuron] = integrate(reached[neuron], dash_mem[neuron] & highest, current, biases[neuron], bits)
        else:
            for neuron in range(reached.size):
                first[neuron] = settle(first[neuron], firsts[neuron] & highest)
            for neuron in range(reached.size):
                last[neuron] = settle(last[neuron], lasts[neuron] & highest)
            for neuron in range(reached.size):
                total = first[neuron] + last[neuron]
                reached[neuron] = integrate(reached[neuron], dash_mem[neuron] & highest, total, biases[neuron], bits)
        for neuron in range(reached.size):
            reaches[neuron] = reached[neuron] >= thresholds[neuron]

    @_within
    @_named(family, words)
    def update_all(currents: Any, potentials: Any, codes: Any, reaches: Any, _: Any) -> None:
        if potentials.shape[1] == 1:
            update_one(currents, potentials, codes, reaches)
        else:
            update(currents, potentials, codes, reaches)

    return update_all


@_within
def _find_next(reaches: Any, neuron: int) -> int:
    """Return the next marked neuron from ``neuron`` on, or the number of neurons."""
    while neuron + _BLOCK <= reaches.size:
        marked = 0
        for place in range(neuron, neuron + _BLOCK):
            marked |= reaches[place]
        if marked:
            break
        neuron += _BLOCK
    while neuron < reaches.size and reaches[neuron] == 0:
        neuron += 1
    return neuron


def _build_fire(family: Family, words: _Words) -> Any:
    fire, bits, is_counted = family.integers.fire, words.state, words.is_counted

    @_within
    @_named(family, words)
    def fire_neuron(potentials: Any, neuron: int, threshold: int, counts: Any, max_count: int, tallies: Any) -> int:
        """Fire a neuron in all lanes; give its highest count."""
        top = 0
        for lane in range(potentials.shape[1]):
            if potentials[neuron, lane] >= threshold:
                count, potential = fire(potentials[neuron, lane], threshold, counts[neuron, lane], max_count, bits)
                if is_counted:
                    wide = fire(potentials[neuron, lane], threshold, counts[neuron, lane], max_count, WIDE)[1]
                    tallies[2, lane] += potential != wide
                    tallies[3, lane] += fire(potential, threshold, 0, 1, bits)[0]
                potentials[neuron, lane], counts[neuron, lane] = potential, count
                top = max(top, count)
        return top

    return fire_neuron


def _build_evolve(family: Family, words: _Words) -> Any:
    update, fire_neuron, is_counted = _build_update(family, words), _build_fire(family, words), words.is_counted

    @_within
    @_named(family, words)
    def evolve(
        currents: Any,
        potentials: Any,
        codes: Any,
        alias: Any,
        counts: Any,
        spiking: Any,
        reaches: Any,
        max_count: int,
        tallies: Any,
    ) -> int:
        """Update and fire all neurons in ascending order, aliases in the same step; list those that spike, give how many."""
        thresholds, (active, tops) = codes[2], spiking
        n_active = 0
        update(currents, potentials, codes, reaches, tallies)
        if alias.size == 0:
            neuron = _find_next(reaches, 0)
            while neuron < reaches.size:
                top = fire_neuron(potentials, neuron, thresholds[neuron], counts, max_count, tallies)
                if top > 0:
                    active[n_active], tops[n_active] = neuron, top
                    n_active += 1
                neuron = _find_next(reaches, neuron + 1)
            return n_active
        for neuron in range(reaches.size):
            if reaches[neuron]:
                fire_neuron(potentials, neuron, thresholds[neuron], counts, max_count, tallies)
            if alias[neuron] >= 0:
                repeated = counts[alias[neuron]]
                for lane in range(repeated.size):
                    if is_counted:
                        tallies[3, lane] += repeated[lane] + counts[neuron, lane] > max_count
                    repeated[lane] = min(max_count, repeated[lane] + counts[neuron, lane])
        return int(_list_active(counts, active, tops))

    return evolve


@lru_cache(maxsize=16)
def _build_kernel(family: Family, words: _Words) -> Callable[..., None]:
    """Build the loop; ``compile_integer_rules`` lets the compiler take the rules as they stand."""
    compile_integer_rules(family)
    begin, receive, evolve = _build_begin(family, words), _build_receive(family, words), _build_evolve(family, words)

    @_compile(nogil=True, cache=True)
    @_named(family, words)
    def run_group(
        sample: int,
        raster: Any,
        memories: Any,
        codes: Any,
        alias: Any,
        delays: Any,
        max_counts: Any,
        states: Any,
        kept_hidden: Any,
        kept_outputs: Any,
        totals: Any,
        left: Any,
    ) -> None:
        """Run the samples from ``sample`` on, as many as the states have lanes; states are left as they are at the end.

        ``raster`` begins with the steps of the input delay that came before. ``left`` is empty, or gets what left its word.
        """
        hidden, outputs = codes
        i_hidden, v_hidden, before, i_outputs, v_outputs, sent = states
        n_lanes = v_hidden.shape[1]
        spikes, tallies = np.zeros((2, n_lanes), np.int64), np.zeros((2, 4, n_lanes), np.int64)
        masks = np.zeros(n_lanes, before.dtype)
        arrived, now = np.zeros((raster.shape[2], n_lanes), before.dtype), np.zeros_like(before)
        at_inputs, at_outputs = _make_list(raster.shape[2]), _make_list(sent.shape[0])
        at_before, at_now = _make_list(before.shape[0]), _make_list(before.shape[0])
        reaches, reaching = np.zeros(before.shape[0], np.uint8), np.zeros(sent.shape[0], np.uint8)
        n_before, n_sent = _list_active(before, *at_before), _list_active(sent, *at_outputs)
        for step in range(raster.shape[1] - delays[0]):
            begin(i_hidden, hidden)
            begin(i_outputs, outputs)
            _count_inputs(raster, sample, step + delays[0], totals, n_lanes)
            _take_inputs(raster, sample, step, arrived)
            n_arrived = _list_active(arrived, *at_inputs)
            receive(i_hidden, memories[0], arrived, at_inputs, n_arrived, tallies[0], masks)
            receive(i_hidden, memories[1], before, at_before, n_before, tallies[0], masks)
            n_now = evolve(i_hidden, v_hidden, hidden, alias, now, at_now, reaches, max_counts[0], tallies[0])
            _add_up(now, at_now[0], n_now, spikes[0])
            if delays[1] == 1:
                receive(i_outputs, memories[2], before, at_before, n_before, tallies[1], masks)
            else:
                receive(i_outputs, memories[2], now, at_now, n_now, tallies[1], masks)
            _clear(sent, at_outputs[0], n_sent)
            n_sent = evolve(i_outputs, v_outputs, outputs, alias[:0], sent, at_outputs, reaching, max_counts[1], tallies[1])
            _add_up(sent, at_outputs[0], n_sent, spikes[1])
            _store(kept_hidden, sample, step, now, v_hidden, i_hidden)
            _store(kept_outputs, sample, step, sent, v_outputs, i_outputs)
            _clear(before, at_before[0], n_before)
            before, now, at_before, at_now, n_before = now, before, at_now, at_before, n_now
        states[2][:] = before
        for lane in range(n_lanes):
            totals[sample + lane, 1] += spikes[0, lane]
            totals[sample + lane, 2] += spikes[1, lane]
            totals[sample + lane, 3] += tallies[0, 0, lane] + tallies[1, 0, lane]
            if left.size > 0:
                left[sample + lane] += tallies[:, 1:, lane]

    kernel: Callable[..., None] = run_group
    return kernel
