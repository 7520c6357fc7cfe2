"""The fast engine: compiled, samples side by side on all cores, synaptic work only where spikes are."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from snnmap.chip import Family, MemoryKind, find_family
from snnmap.chip.arithmetic import IntegerRules, compile_integer_rules, named_after
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.program import NeuronCodes, Program
from snnmap.lif.simulator.run import Run

__all__ = ["run_batch"]

_compile: Callable[..., Any] = numba.njit
_within: Callable[..., Any] = register_jitable
_NO_COUNTS, _NO_STATES = (np.zeros((0, 0, 0), np.int64), np.zeros((0, 0, 0, 0), np.int64))


def run_batch(program: Program, raster: IntArray, run: Run) -> None:
    """Run all samples and write what ``run`` asks for; the same numbers as the reference, for any number of threads.

    Cost: synapses of the neurons that spike, plus one update a neuron and step.

    Args:
        program: what the chip is told.
        raster: ``(n_samples, n_steps, n_inputs)``, clamped to what a channel can carry.
        run: arrays to record into.
    """
    chip = program.chip
    kernel = _find_kernel(chip.arithmetic)
    arguments = (
        np.ascontiguousarray(raster),
        *(_flatten(program.memory(kind).weights) for kind in MemoryKind),
        tuple(program.memory(kind).shift for kind in MemoryKind),
        _stack(program.hidden),
        _stack(program.outputs),
        np.array(program.alias),
        tuple(chip.memory(kind).delay_steps for kind in (MemoryKind.INPUT, MemoryKind.OUTPUT)),
        (chip.hidden.max_count, chip.outputs.max_count),
        chip.bits.state,
        *(_arrays(run, area) for area in ("hidden", "outputs")),
        run.totals,
    )
    n_threads = min(raster.shape[0], os.cpu_count() or 1)
    edges = np.linspace(0, raster.shape[0], n_threads + 1).astype(np.int64).tolist()
    with ThreadPoolExecutor(max(1, n_threads)) as threads:
        parts = [threads.submit(kernel, first, last, *arguments) for first, last in pairwise(edges)]
        for part in parts:
            part.result()


def _flatten(matrices: tuple[CsrMatrix, ...]) -> tuple[npt.NDArray[Any], ...]:
    """Return row starts ``(n_synapses, n_pre + 1)``, targets and weights of all synapses in one array each."""
    offsets = np.cumsum([0, *(matrix.nnz for matrix in matrices[:-1])])
    starts = np.stack([matrix.indptr + offset for matrix, offset in zip(matrices, offsets, strict=True)])
    targets = np.concatenate([matrix.indices for matrix in matrices]).astype(np.int32)
    weights = np.concatenate([matrix.data for matrix in matrices]).astype(np.int32)
    return starts, targets, weights


def _stack(codes: NeuronCodes) -> tuple[IntArray, ...]:
    return tuple(np.array(values) for values in (codes.dash_syn, codes.dash_mem, codes.threshold, codes.bias))


def _arrays(run: Run, area: str) -> tuple[IntArray, ...]:
    """Return the arrays of an area, empty where nothing is recorded."""
    return (
        run.counts.get(area, _NO_COUNTS),
        run.potentials.get(area, _NO_COUNTS),
        run.currents.get(area, _NO_STATES),
    )


@_within
def _store(arrays: Any, sample: int, step: int, counts: Any, potentials: Any, currents: Any) -> None:
    kept_counts, kept_potentials, kept_currents = arrays
    if kept_counts.size > 0:
        kept_counts[sample, step] = counts
    if kept_potentials.size > 0:
        kept_potentials[sample, step] = potentials
        kept_currents[sample, step] = currents


# Loops of a step with a family's rules; plain functions, which the compiler takes into its loop over samples.


def _build_begin(family: Family, rules: IntegerRules) -> Any:
    enter = rules.enter

    @_within
    @named_after(family)
    def begin(currents: Any, codes: Any) -> None:
        dash_syn = codes[0]
        for synapse in range(currents.shape[0]):
            for neuron in range(currents.shape[1]):
                currents[synapse, neuron] = enter(currents[synapse, neuron], dash_syn[synapse, neuron])

    return begin


def _build_receive(family: Family, rules: IntegerRules) -> Any:
    deliver = rules.deliver

    @_within
    @named_after(family)
    def receive(currents: Any, synapses: Any, shift: int, counts: Any, bits: int) -> int:
        """Deliver spike counts of all sources in ascending order; give the synaptic operations that took."""
        starts, targets, weights = synapses
        operations = 0
        for synapse in range(starts.shape[0]):
            for source in range(counts.size):
                count = counts[source]
                if count > 0:
                    first, last = starts[synapse, source], starts[synapse, source + 1]
                    for position in range(first, last):
                        target = targets[position]
                        currents[synapse, target] = deliver(currents[synapse, target], weights[position], shift, count, bits)
                    operations += count * (last - first)
        return operations

    return receive


def _build_update(family: Family, rules: IntegerRules) -> Any:
    settle, integrate = rules.settle, rules.integrate

    @_within
    @named_after(family)
    def update(currents: Any, potentials: Any, codes: Any, bits: int) -> None:
        """Settle and integrate all neurons, up to the spike test."""
        dash_syn, dash_mem, _, bias = codes
        for neuron in range(potentials.size):
            total = 0
            for synapse in range(currents.shape[0]):
                current = settle(currents[synapse, neuron], dash_syn[synapse, neuron])
                currents[synapse, neuron] = current
                total += current
            potentials[neuron] = integrate(potentials[neuron], dash_mem[neuron], total, bias[neuron], bits)

    return update


def _build_fire_all(family: Family, rules: IntegerRules) -> Any:
    fire = rules.fire

    @_within
    @named_after(family)
    def fire_all(potentials: Any, codes: Any, alias: Any, counts: Any, max_count: int, bits: int) -> int:
        """Fire all neurons in ascending order, aliases in the same step; write counts and give their sum."""
        thresholds = codes[2]
        counts[:] = 0
        for neuron in range(potentials.size):
            count = counts[neuron]
            if potentials[neuron] >= thresholds[neuron]:  # below, no family fires
                count, potential = fire(potentials[neuron], thresholds[neuron], count, max_count, bits)
                counts[neuron] = count
                potentials[neuron] = potential
            if alias.size > 0 and alias[neuron] >= 0 and count > 0:
                counts[alias[neuron]] = min(max_count, counts[alias[neuron]] + count)
        return int(counts.sum())

    return fire_all


@lru_cache(maxsize=16)
def _find_kernel(arithmetic: str) -> Callable[..., None]:
    return _build_kernel(find_family(arithmetic))


def _build_kernel(family: Family) -> Callable[..., None]:
    """Compile the loop over samples with the rules of a family as they stand, or take it from the cache on disk."""
    rules = compile_integer_rules(family)
    begin, receive = _build_begin(family, rules), _build_receive(family, rules)
    update, fire_all = _build_update(family, rules), _build_fire_all(family, rules)

    @_compile(nogil=True, cache=True)
    @named_after(family)
    def run_samples(
        first: int,
        last: int,
        raster: Any,
        into: Any,
        between: Any,
        out_of: Any,
        shifts: Any,
        hidden: Any,
        outputs: Any,
        alias: Any,
        delays: Any,
        max_counts: Any,
        bits: int,
        kept_hidden: Any,
        kept_outputs: Any,
        totals: Any,
    ) -> None:
        n_hidden, n_outputs = hidden[1].size, outputs[1].size
        no_alias = np.zeros(0, np.int64)
        for sample in range(first, last):
            i_hidden = np.zeros((hidden[0].shape[0], n_hidden), np.int64)
            i_outputs = np.zeros((outputs[0].shape[0], n_outputs), np.int64)
            v_hidden, v_outputs = np.zeros(n_hidden, np.int64), np.zeros(n_outputs, np.int64)
            before, counts = np.zeros(n_hidden, np.int64), np.zeros(n_hidden, np.int64)
            sent = np.zeros(n_outputs, np.int64)
            for step in range(raster.shape[1]):
                operations = 0
                begin(i_hidden, hidden)
                begin(i_outputs, outputs)
                if step >= delays[0]:
                    operations += receive(i_hidden, into, shifts[0], raster[sample, step - delays[0]], bits)
                operations += receive(i_hidden, between, shifts[1], before, bits)
                update(i_hidden, v_hidden, hidden, bits)
                totals[sample, 1] += fire_all(v_hidden, hidden, alias, counts, max_counts[0], bits)
                operations += receive(i_outputs, out_of, shifts[2], before if delays[1] == 1 else counts, bits)
                update(i_outputs, v_outputs, outputs, bits)
                totals[sample, 2] += fire_all(v_outputs, outputs, no_alias, sent, max_counts[1], bits)
                totals[sample, 0] += raster[sample, step].sum()
                totals[sample, 3] += operations
                _store(kept_hidden, sample, step, counts, v_hidden, i_hidden)
                _store(kept_outputs, sample, step, sent, v_outputs, i_outputs)
                before[:] = counts

    kernel: Callable[..., None] = run_samples
    return kernel
