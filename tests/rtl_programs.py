"""Programs that try all that the core does: alias chains both ways, thresholds at 0 and below, saturation, clamped inputs."""

from dataclasses import replace

import numpy as np
from random_programs import random_program

from snnmap.chip import Chip, MemoryKind
from snnmap.core import IntArray
from snnmap.lif.profile.aliases import split_aliases
from snnmap.lif.profile.cycles import walk_cycles
from snnmap.lif.program import Program
from snnmap.network import Recording

THRESHOLDS = ((-3, 60), (1, 400), (20, 400), (-300, 300))


def draw_program(chip: Chip, seed: int, *, n_hidden: int = 40, n_outputs: int = 6) -> Program:
    """Draw a program; every second one of a chip with aliases is full of chains of them."""
    rng = np.random.default_rng(seed)
    n_hidden = min(chip.hidden.count, n_hidden if seed % 3 else n_hidden // 2 + 3)
    low, high = THRESHOLDS[seed % 4]
    top, memory = chip.bits.threshold_max, chip.recurrent_weights
    share = 0.7 * min(memory.max_words / n_hidden, memory.max_fan_in or n_hidden) / n_hidden
    program = random_program(
        chip, rng, n_inputs=min(16, chip.inputs.count), n_hidden=n_hidden, n_outputs=min(n_outputs, chip.outputs.count),
        shifts=tuple(rng.integers(0, 1 << chip.bits.weight_shift, 3).tolist()), density=min((0.1, 0.3, 0.6)[seed % 3], share),
        threshold=(max(low, -top), min(high, top)),
    )  # fmt: skip
    if not chip.hidden.alias or seed % 2 == 0:
        return program
    order, alias = rng.permutation(n_hidden), np.full(n_hidden, -1)
    alias[order[:-1]] = order[1:]
    alias[order[::3]] = -1
    return replace(program, alias=alias)


def draw_counts(program: Program, seed: int, n_steps: int) -> IntArray:
    """Draw input counts ``(n_steps, n_inputs)``, from almost silent to more than a channel carries."""
    rate = (0.05, 0.7, 3.0)[seed % 3]
    drawn = np.random.default_rng(seed).poisson(rate, (n_steps, program.n_inputs))
    return np.asarray(np.minimum(drawn, program.chip.inputs.max_count + 3), np.int64)


def predict_cycles(program: Program, raster: IntArray, run: Recording) -> IntArray:
    """Return the cycles of each step by the profiler's model, of a run of one sample with counts and states of hidden neurons."""
    walker = program.chip.costs.walker
    assert walker is not None
    clamped = np.minimum(raster, program.chip.inputs.max_count)
    arriving = {}
    for kind in MemoryKind:
        sent = kind.source(inputs=clamped, hidden=run.counts["hidden"][0])
        delay = program.chip.memory(kind).delay_steps
        arriving[kind] = np.pad(sent, ((delay, 0), (0, 0)))[: len(sent)]
    fired, copied = split_aliases(program, run)
    return walk_cycles(program, walker, arriving, fired[0], copied[0], run.counts["outputs"][0])
