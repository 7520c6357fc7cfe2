"""Cycles of a chip from counts of spikes and lengths of rows, by the formulae in its record (:mod:`snnmap.chip.costs`)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from snnmap.chip import AverageCycles, MemoryKind, WalkerCycles
from snnmap.core import BoolArray, CsrMatrix, IntArray
from snnmap.lif.program import Program

__all__ = ["Shares", "average_cycles", "count_words", "list_operations", "list_words", "walk_cycles"]


class Shares(NamedTuple):
    """Shares of channels and neurons that spike in a step."""

    inputs: float
    hidden: float


def average_cycles(program: Program, figures: AverageCycles, shares: Shares) -> float:
    """Return the cycles of a step at average activity: those of the vendor's cycle model of the Xylo chips.

    Synapses beside the first are worked on at the same time, and cost nothing.
    """
    n_hidden, n_outputs, p = program.hidden.size, program.outputs.size, shares.hidden
    into, between, out = (program.memory(kind).weights[0] for kind in MemoryKind)
    if figures.targets == "all":
        n_entered = n_read = n_hidden
    else:
        n_entered, n_read = int((into.column_lengths > 0).sum()), int((out.row_lengths > 0).sum())
    aliased = float((program.alias >= 0).mean())  # share of neurons with an alias, and of those that are one
    inputs = program.n_inputs * (shares.inputs * n_entered * figures.input_word + figures.input_channel)
    recurrent = figures.recurrent_word * p * between.nnz + figures.recurrent_row * n_hidden
    outputs = p * n_read * (figures.output_row + n_outputs * figures.output_word)
    neuron = (
        figures.hidden_neuron
        + figures.spike_write * max(p, aliased * aliased)
        + figures.alias_write * max(p * aliased, aliased * aliased)
        + figures.spike * p
        + figures.alias_read * max(p, aliased) * aliased
    )
    return inputs + recurrent + outputs + neuron * n_hidden + figures.output_neuron * n_outputs


def walk_cycles(
    program: Program,
    figures: WalkerCycles,
    arriving: Mapping[MemoryKind, IntArray],
    fired: IntArray,
    copied: IntArray,
    outputs: IntArray,
) -> IntArray:
    """Return the cycles of steps.

    Args:
        program: what the chip is told.
        figures: of the walkers.
        arriving: spike counts of the sources as they arrive, ``(n_steps, n_sources)`` by memory.
        fired: ``(n_steps, n_hidden)`` spikes that hidden neurons fire themselves, without what aliases add.
        copied: ``(n_steps,)`` neurons whose count an alias copies.
        outputs: ``(n_steps, n_outputs)`` spike counts.

    Returns:
        ``(n_steps,) int64``.
    """
    chip, total = program.chip, np.full(len(fired), figures.step, np.int64)
    for kind in MemoryKind:
        walks = [_walk(program, kind, figures, matrix, arriving[kind]) for matrix in program.memory(kind).weights]
        total += figures.phase + np.max(walks, axis=0)
    if not chip.family.decays_after_input:
        total += figures.enter + figures.neuron * (fired.shape[1] + outputs.shape[1])
    through = figures.stage * max(chip.hidden.max_count, chip.outputs.max_count).bit_length()
    for codes, counts in ((program.hidden, fired), (program.outputs, outputs)):
        repeated = np.maximum(counts[:, codes.threshold < 0] - 1, 0).sum(axis=1)
        total += figures.evolve + through + figures.neuron * codes.size + figures.spike * repeated
    return np.asarray(total + (figures.aliased + through) * (program.alias[:-1] >= 0).sum() + figures.alias * copied, np.int64)


def _walk(program: Program, kind: MemoryKind, figures: WalkerCycles, matrix: CsrMatrix, arriving: IntArray) -> IntArray:
    """Return the cycles of one walk of steps, ``(n_steps,)``."""
    first, lengths, walked = _list_rows(program, kind, matrix, arriving > 0)
    if not lengths.size:
        return np.full(len(arriving), figures.walk, np.int64)
    groups = (first + np.arange(lengths.size)) // figures.sources
    n_groups = groups[-1] - groups[0] + 1
    behind = figures.group * (groups[-1] - groups) + figures.row * (walked.sum(axis=1)[:, np.newaxis] - walked.cumsum(axis=1))
    with_words = walked & (lengths > 0)
    hidden = np.where(with_words, behind, figures.drain).min(axis=1)  # by what comes behind the last word
    drain = np.where(with_words.any(axis=1), np.maximum(0, figures.drain - hidden), 0)
    rows = figures.row * walked.sum(axis=1) + figures.word * (walked @ lengths)
    return np.asarray(figures.walk + figures.group * n_groups + rows + drain, np.int64)


def _list_rows(program: Program, kind: MemoryKind, matrix: CsrMatrix, spikes: BoolArray) -> tuple[int, IntArray, BoolArray]:
    """Return the slot of the first row of a memory, the words of each row, and those that are walked, ``(n_steps, n_rows)``."""
    chip = program.chip
    n_inputs, n_hidden, n_outputs = program.n_inputs, program.hidden.size, program.outputs.size
    sources, targets = chip.addresses(kind, n_inputs, n_hidden, n_outputs)
    layout = chip.memory(kind).layout
    if layout == "columns_by_target":  # by target, no source can be skipped
        first = targets.start + kind.target(hidden=0, outputs=n_hidden)
        return first, matrix.column_lengths[targets.start : targets.stop], np.ones((len(spikes), len(targets)), np.bool_)
    in_reach = slice(sources.start, sources.stop)
    lengths = np.full(len(sources), len(targets)) if layout == "dense" else matrix.row_lengths[in_reach]
    return sources.start, lengths, spikes[:, in_reach]


def list_words(program: Program, kind: MemoryKind, active_steps: IntArray, n_steps: int) -> IntArray:
    """Return the weight words of a kind of memory that are read for each target, ``(n_targets,)``.

    Args:
        program: what the chip is told.
        kind: of memory.
        active_steps: ``(n_sources,)``, in how many steps each source's spikes arrive.
        n_steps: steps in all.
    """
    chip, n_hidden, n_outputs = program.chip, program.hidden.size, program.outputs.size
    sources, targets = chip.addresses(kind, program.n_inputs, n_hidden, n_outputs)
    layout, read = chip.memory(kind).layout, np.zeros(kind.target(hidden=n_hidden, outputs=n_outputs), np.int64)
    for matrix in program.memory(kind).weights:
        if layout == "dense":
            read[targets.start : targets.stop] += active_steps[sources.start : sources.stop].sum()
        elif layout == "columns_by_target":
            read += n_steps * matrix.column_lengths
        else:
            np.add.at(read, matrix.indices, active_steps[matrix.rows])
    return read


def count_words(program: Program, kind: MemoryKind, spikes: BoolArray) -> IntArray:
    """Return the weight words of a kind of memory that are read in each step, ``(n_steps,)``.

    Args:
        program: what the chip is told.
        kind: of memory.
        spikes: ``(n_steps, n_sources)``, whether each source's spikes arrive.
    """
    words = np.zeros(len(spikes), np.int64)
    for matrix in program.memory(kind).weights:
        _, lengths, walked = _list_rows(program, kind, matrix, spikes)
        words += walked @ lengths
    return words


def list_operations(matrices: Sequence[CsrMatrix], arrived: IntArray) -> IntArray:
    """Return the weights added to the currents of each target, ``(n_targets,)``, for spikes of the sources, ``(n_sources,)``."""
    operations = np.zeros(matrices[0].shape[1], np.int64)
    for matrix in matrices:
        np.add.at(operations, matrix.indices, arrived[matrix.rows])
    return operations
