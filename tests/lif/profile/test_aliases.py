"""Cycles where aliases copy counts, and of memories with one row, are those that the RTL of the probe counted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import MemoryKind, load_chip
from snnmap.core import IntArray
from snnmap.lif.profile import profile_image
from snnmap.lif.profile.aliases import needs_states, split_aliases
from snnmap.lif.profile.cycles import walk_cycles
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import reference, simulate_image

COUNTED = {
    (0, 2, 4, 2): ([-1, 0, 3, 1], [61, 116, 145, 140, 140, 140, 141, 135, 145, 145, 145, 145]),
    (1, 2, 4, 2): ([1, 2, -1, 0], [84, 61, 40, 52, 91, 56, 45, 45, 51, 84, 79, 57]),
    (2, 2, 4, 2): ([2, 0, -1, 1], [58, 58, 47, 52, 47, 52, 52, 62, 59, 42, 47, 52]),
    (3, 2, 4, 2): ([1, -1, 0, 2], [70, 122, 134, 126, 131, 131, 126, 131, 127, 126, 131, 148]),
    (4, 2, 4, 2): ([-1, 0, 1, 2], [40, 84, 128, 137, 136, 141, 141, 137, 141, 141, 141, 141]),
    (5, 2, 4, 2): ([2, -1, 3, 1], [75, 96, 109, 105, 111, 115, 115, 105, 105, 105, 110, 115]),
    (1, 1, 1, 1): ([-1], [29, 32, 29, 29, 29, 29, 29, 32, 29, 32, 30, 66]),
}
"""By seed, inputs, hidden and output neurons of toy-4: aliases, and the cycles of twelve steps of the RTL (verilator 5.048)."""


def draw(seed: int, n_inputs: int, n_hidden: int, n_outputs: int) -> tuple[Program, IntArray]:
    """Draw a program in which every hidden neuron but one has an alias, and its input."""
    rng = np.random.default_rng(seed)
    program = random_program(
        load_chip("toy-4"), rng, n_inputs=n_inputs, n_hidden=n_hidden, n_outputs=n_outputs, density=0.6, threshold=(1, 60),
        shifts=(1, 1, 0),
    )  # fmt: skip
    order = rng.permutation(n_hidden)
    alias = np.full(n_hidden, -1)
    alias[order[:-1]] = order[1:]
    return replace(program, alias=alias), rng.poisson(1.0 if n_hidden > 1 else 0.3, (12, n_inputs))


@pytest.mark.parametrize("case", COUNTED)
def test_cycles_are_those_that_the_core_counted(case: tuple[int, int, int, int]) -> None:
    alias, counted = COUNTED[case]
    program, raster = draw(*case)
    assert program.alias.tolist() == alias
    run = simulate_image(pack(program), raster, counts_of=("hidden", "outputs"), states_of=("hidden",))
    sent = {kind: kind.source(inputs=raster[np.newaxis], hidden=run.counts["hidden"])[0] for kind in MemoryKind}
    arriving = {
        kind: np.pad(counts, ((delay, 0), (0, 0)))[: len(counts)]
        for kind, counts in sent.items()
        for delay in (program.chip.memory(kind).delay_steps,)
    }
    walker, (fired, copied) = program.chip.costs.walker, split_aliases(program, run)
    assert walker is not None
    found = walk_cycles(program, walker, arriving, fired[0], copied[0], run.counts["outputs"][0])
    assert found.tolist() == counted
    (told,) = profile_image(pack(program), raster).cycles
    assert (told.least, told.most, told.mean) == (min(counted), max(counted), pytest.approx(np.mean(counted)))
    assert told.worst >= told.most


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["toy-4", "xylo-audio-3"])
def test_what_neurons_fired_is_what_the_reference_sees_them_fire(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    n_hidden = min(chip.hidden.count, 12)
    program = random_program(
        chip, rng, n_inputs=2, n_hidden=n_hidden, n_outputs=1, threshold=[(-3, 60), (1, 400)][seed % 2], shifts=(1, 1, 0)
    )
    order, alias = rng.permutation(n_hidden), np.full(n_hidden, -1)
    alias[order[:-1]] = order[1:]
    program = replace(program, alias=alias)
    seen: list[tuple[int, int, int]] = []
    evolve = reference._Neurons.evolve

    def watch(neurons: Any, neuron: int, already: int, max_count: int, bits: int) -> int:
        count = evolve(neurons, neuron, already, max_count, bits)
        if max_count == chip.hidden.max_count:  # of hidden neurons; outputs have fewer
            seen.append((neuron, already, count))
        return count

    monkeypatch.setattr(reference._Neurons, "evolve", watch)
    raster = rng.poisson(0.7, (30, 2))
    run = simulate_image(pack(program), raster, counts_of=("hidden",), states_of=("hidden",), engine="reference")
    rows = np.array(seen).reshape(30, n_hidden, 3)
    fired, copied = split_aliases(program, run)
    assert chip.outputs.max_count < chip.hidden.max_count
    assert needs_states(program) == bool((alias < np.arange(n_hidden))[alias >= 0].any())
    assert fired[0].tolist() == (rows[..., 2] - rows[..., 1]).tolist()
    assert copied[0].tolist() == (rows[:, alias >= 0, 2] > 0).sum(axis=1).tolist()
