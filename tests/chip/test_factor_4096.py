"""The family of 12-bit factors against the neuron that its authors published, and what it answers about itself."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lava_judge import SEEDS, TABLE, digest_states, draw_case, find_models, load_models, run_judge

from snnmap.chip import find_relay_cell, load_chip
from snnmap.chip.arithmetic import find_family
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import simulate_image

FAMILY = find_family("factor-4096")
RULES = FAMILY.integers


def run_ours(program: Program, raster: np.ndarray, engine: str = "batch") -> tuple[np.ndarray, ...]:
    run = simulate_image(pack(program), raster, counts_of=("hidden",), states_of=("hidden",), engine=engine)  # type: ignore[arg-type]
    return run.currents["hidden"][:, :, 0], run.potentials["hidden"], run.counts["hidden"]


def test_a_million_updates_equal_the_published_neuron() -> None:
    """Every current, potential and spike of random parameters and inputs, by the digests that the judge's own states gave."""
    expected = json.loads(TABLE.read_text())["cases"]
    n_updates = n_wrapped = n_at_end = n_spikes = 0
    for seed in SEEDS:
        program, raster, _ = draw_case(seed)
        currents, potentials, counts = run_ours(program, raster)
        assert digest_states((currents, potentials, counts)) == expected[str(seed)]
        n_updates += counts.size
        n_wrapped += int((np.abs(np.diff(currents, axis=1)) > 1 << 23).sum())
        n_at_end += int((np.abs(potentials) == (1 << 23) - 1).sum())
        n_spikes += int(counts.sum())
    assert n_updates >= 10**6
    assert min(n_wrapped, n_at_end, n_spikes) > 100


@pytest.mark.skipif(find_models() is None, reason="lava-nc is not installed; the table above was made by it")
def test_no_state_differs_from_the_installed_judge() -> None:
    path = find_models()
    assert path is not None
    models, expected = load_models(path), json.loads(TABLE.read_text())["cases"]
    for seed in SEEDS:
        program, raster, lava = draw_case(seed)
        judged = run_judge(models, program, raster, lava)
        assert digest_states(judged) == expected[str(seed)]
        assert sum(int((one != other).sum()) for one, other in zip(judged, run_ours(program, raster), strict=True)) == 0


def test_the_reference_engine_is_the_same() -> None:
    program, raster, _ = draw_case(SEEDS[0])
    for one, other in zip(run_ours(program, raster[:1, :20]), run_ours(program, raster[:1, :20], "reference"), strict=True):
        assert np.array_equal(one, other)


@given(st.integers(-(2**23) + 1, 2**23), st.integers(0, 4095))
def test_what_is_left_is_the_factor_cut_off_towards_zero(current: int, code: int) -> None:
    exact = current * (4095 - code) / 4096
    assert RULES.enter(current, code) == int(exact)


@given(st.integers(-(2**23) + 1, 2**23), st.lists(st.integers(-128, 127), max_size=6), st.integers(0, 7))
def test_the_order_of_spikes_plays_no_part(current: int, weights: list[int], shift: int) -> None:
    one = other = current
    for weight in weights:
        one = RULES.deliver(one, weight, shift, 1, 24)
    for weight in reversed(weights):
        other = RULES.deliver(other, weight, shift, 1, 24)
    assert one == other


def test_codes_are_the_nearest_and_only_what_never_decays_never_decays() -> None:
    codes = np.arange(4096)
    assert np.array_equal(FAMILY.code_synapses(FAMILY.synapse_factors(codes), 4095), codes)
    assert np.array_equal(FAMILY.code_membranes(FAMILY.membrane_factors(codes), 4095), codes)
    assert FAMILY.code_membranes([1.0, 1.0 - 1e-6, 0.0], 4095).tolist() == [0, 1, 4095]
    assert FAMILY.code_synapses([1.0, 0.0], 4095).tolist() == [0, 4095]


@pytest.mark.parametrize("code", [1, 7, 64, 2048, 4095])
def test_drift_is_the_mean_over_states(code: int) -> None:
    states = np.arange(1 << 14, 1 << 15)
    exact = states * FAMILY.membrane_factors(code)
    seen = np.array([RULES.integrate(int(state), code, 0, 0, 24) for state in states]) - exact
    expected = FAMILY.membrane_drift(states[:, np.newaxis].astype(np.float64), np.array([code]))[0]
    assert seen.mean() == pytest.approx(expected, abs=0.02)
    assert FAMILY.membrane_drift(-states[:, np.newaxis].astype(np.float64), np.array([code]))[0] == -expected


def test_relays_are_searched_as_on_any_chip() -> None:
    chip = load_chip("generic-1024-factor")
    for shift in range(8):
        cell = find_relay_cell(chip, unit_shift=shift)
        assert cell is not None
        assert (cell.weight, cell.self_weight) == (1, 0)
