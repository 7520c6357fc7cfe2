"""What hidden neurons fired themselves, where aliases add to their counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import load_chip
from snnmap.lif.profile.aliases import needs_states, split_aliases
from snnmap.lif.program import pack
from snnmap.lif.simulator import reference, simulate_image


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

    def watch(neurons: Any, neuron: int, already: int, max_count: int, bits: int, *, is_counted: bool) -> int:
        count = evolve(neurons, neuron, already, max_count, bits, is_counted=is_counted)
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
