"""The core in Verilator and the simulator agree in every count, potential and current, and in every cycle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rtl_programs import draw_counts, draw_program, predict_cycles

from snnmap.chip import Chip, list_chips, load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import InputError
from snnmap.lif.program import Program, pack
from snnmap.lif.rtl import VerilatedChip
from snnmap.lif.simulator import Stream, run_cores, simulate_image

AREAS = ("hidden", "outputs")
MIXED = str(Path(__file__).with_name("mixed.toml"))
CHIPS = [*list_chips(), MIXED]
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(8, 50))]


@pytest.fixture(params=CHIPS)
def chip(request: pytest.FixtureRequest) -> Chip:
    return load_chip(request.param)


def compare(program: Program, raster: np.ndarray) -> int:
    """Run core and simulator, and give how many values are the same; every one must be."""
    kept = {"counts_of": AREAS, "states_of": AREAS, "clamp": True, "count_saturation": True}
    expected = simulate_image(pack(program), raster, **kept)
    found = simulate_image(pack(program), raster, engine=run_cores, **kept)
    assert found == expected
    return sum(values.size for kept in (found.counts, found.potentials, found.currents) for values in kept.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs_do_the_same_in_every_state(chip: Chip, seed: int) -> None:
    program = draw_program(chip, seed)
    raster = np.stack([draw_counts(program, seed + k, 40) for k in range(2)])
    assert compare(program, raster) >= 2 * 40 * 3 * program.hidden.size


@pytest.mark.parametrize("seed", SEEDS)
def test_cycles_are_those_of_the_profilers_model(chip: Chip, seed: int) -> None:
    program = draw_program(chip, seed)
    raster = draw_counts(program, seed, 60)
    run = simulate_image(pack(program), raster, counts_of=AREAS, states_of=("hidden",), clamp=True)
    steps = VerilatedChip(program).run(raster)  # which clamps what simulate_image refuses
    assert steps.cycles.tolist() == predict_cycles(program, raster, run).tolist()
    assert np.array_equal(steps.counts, np.concatenate([run.counts[area][0] for area in AREAS], axis=1))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_full_chips_do_the_same_in_every_state(chip: Chip, seed: int) -> None:
    program = draw_program(chip, 3 * seed + 1, n_hidden=chip.hidden.count)
    assert program.hidden.size == chip.hidden.count
    compare(program, np.stack([draw_counts(program, seed, 120)]))


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("name", ["toy-4", "generic-1024-factor", MIXED])
def test_a_stream_runs_on(name: str, seed: int) -> None:
    program = draw_program(load_chip(name), seed)
    most = program.chip.inputs.max_count
    raster = np.minimum(np.stack([draw_counts(program, seed + k, 12) for k in range(2)]), most)
    whole = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS)
    stream = Stream(pack(program), 2, engine="rtl")
    for _ in range(2):
        pieces = [stream.run(raster[:, a:b], counts_of=AREAS, states_of=AREAS) for a, b in ((0, 1), (1, 5), (5, 12))]
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                joined = np.concatenate([getattr(piece, kind)[area] for piece in pieces], axis=1)
                assert np.array_equal(joined, getattr(whole, kind)[area])
        profiles = [piece.profile for piece in pieces if piece.profile is not None]
        assert whole.profile is not None
        assert sum(profile.synaptic_operations for profile in profiles) == whole.profile.synaptic_operations
        stream.reset()


def test_rasters_beyond_the_load_port_are_refused() -> None:
    core = VerilatedChip(draw_program(load_chip("toy-4"), 1))
    raster = np.zeros((3, core.program.n_inputs), np.int64)
    for wrong in (256, -1):
        raster[2, 1] = wrong
        with pytest.raises(InputError, match="step 2, channel 1"):
            core.run(raster)
    with pytest.raises(InputError, match="other channels"):
        core.run(raster[:, :1])


def fill_xylo() -> Program:
    """Fill all memories of a XyloAudio 3, with neurons that send all they can in every step."""
    chip = load_chip("xylo-audio-3")
    program = draw_program(chip, 2, n_hidden=992, n_outputs=32)
    n_words = chip.recurrent_weights.max_words // 992
    targets = (np.arange(992)[:, np.newaxis] + np.arange(n_words)) % 992
    full = CsrMatrix.from_triplets(
        np.repeat(np.arange(992), n_words), targets.ravel(), np.ones(targets.size, np.int64), (992, 992)
    )
    entered = CsrMatrix.from_dense(np.pad(np.ones((16, 128), np.int64), ((0, 0), (0, 992 - 128))))
    hidden = replace(program.hidden, threshold=np.zeros(992, np.int64), bias=np.ones(992, np.int64))
    return replace(program, input_weights=(entered, entered), recurrent_weights=(full, full), hidden=hidden)


def test_a_silent_step_of_a_full_xylo_audio_3_skips_what_is_silent() -> None:
    program = fill_xylo()
    silent = replace(program, hidden=replace(program.hidden, threshold=np.full(992, 30_000), bias=np.zeros(992, np.int64)))
    assert VerilatedChip(silent).run(np.zeros((3, 16), np.int64)).cycles.max() <= 1200


def test_the_worst_step_of_a_full_xylo_audio_3_is_bounded() -> None:
    program, raster = fill_xylo(), np.full((3, 16), 15)
    cycles = VerilatedChip(program).run(raster).cycles
    run = simulate_image(pack(program), raster, counts_of=AREAS, states_of=("hidden",), clamp=True)
    assert (run.counts["hidden"] == 31).all()
    assert cycles.tolist() == predict_cycles(program, raster, run).tolist()
    assert cycles.max() <= 42_000
