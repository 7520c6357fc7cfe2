"""A stream gives piece by piece what a run gives as a whole."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import list_chips, load_chip
from snnmap.core.errors import InputError
from snnmap.lif.program import pack
from snnmap.lif.simulator import Stream, simulate_image

AREAS = ("hidden", "outputs")


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("name", list_chips())
def test_pieces_give_the_whole(name: str, delay: int) -> None:
    found, rng = load_chip(name), np.random.default_rng(delay)
    chip = replace(found, input_weights=replace(found.input_weights, delay_steps=delay))
    n_inputs, n_hidden, n_outputs = min(6, chip.inputs.count), min(30, chip.hidden.count), min(4, chip.outputs.count)
    program = random_program(
        chip, rng, n_inputs=n_inputs, n_hidden=n_hidden, n_outputs=n_outputs, with_alias=chip.hidden.alias
    )  # fmt: skip
    image = pack(program)
    raster = rng.integers(0, chip.inputs.max_count + 1, (5, 24, n_inputs)) * (rng.random((5, 24, n_inputs)) < 0.4)
    whole = simulate_image(image, raster, counts_of=AREAS, states_of=AREAS)
    for n_samples in (1, 5):
        stream = Stream(image, n_samples)
        edges = [0, 1, 2, 9, 9, 24]
        pieces = [stream.run(raster[:n_samples, a:b], counts_of=AREAS, states_of=AREAS) for a, b in pairwise(edges)]
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                joined = np.concatenate([getattr(piece, kind)[area] for piece in pieces], axis=1)
                assert np.array_equal(joined, getattr(whole, kind)[area][:n_samples])
        if n_samples == 5:
            totals = [piece.profile for piece in pieces if piece.profile is not None]
            assert whole.profile is not None
            assert sum(p.synaptic_operations for p in totals) == whole.profile.synaptic_operations
            assert sum(p.input_spikes for p in totals) == whole.profile.input_spikes


def test_steps_one_by_one_and_back_to_rest() -> None:
    rng = np.random.default_rng(0)
    image = pack(random_program(load_chip("xylo-audio-3"), rng, n_inputs=4, n_hidden=20, n_outputs=3, threshold=(5, 60)))
    raster = rng.integers(0, 4, (30, 4))
    whole = simulate_image(image, raster).counts["outputs"][0]
    stream = Stream(image)
    for _ in range(2):
        assert np.array_equal([stream.step(counts) for counts in raster], whole)
        stream.reset()
    assert whole.any()
    beside = Stream(image, 2)
    assert beside.step(raster[:2]).shape == (2, 3)


def test_what_a_stream_refuses() -> None:
    stream = Stream(pack(random_program(load_chip("toy-4"), np.random.default_rng(0), n_inputs=2, n_hidden=4, n_outputs=2)))
    with pytest.raises(InputError, match="more than a channel carries"):
        stream.step([16, 0])
    with pytest.raises(InputError, match="wrong shape"):
        stream.step([1, 0, 0])
    with pytest.raises(InputError, match="2 samples arrive"):
        stream.run(np.zeros((2, 3, 2), int))
