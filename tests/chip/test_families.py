"""What every family must answer, and a family that nothing but the table knows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from random_programs import random_program

from snnmap.chip import Family, find_family, find_relay_cell, list_chips, list_families, load_chip, read_chip, read_record
from snnmap.chip.arithmetic import bit_shift, table
from snnmap.core.errors import ChipError
from snnmap.lif.program import pack
from snnmap.lif.simulator import simulate_image
from snnmap.nn import ChipIntegrator, ChipLIF
from snnmap.nn.chip import dynamics
from snnmap.pipeline import compile_model
from snnmap.train import verify_model


@pytest.mark.parametrize("name", list_families())
def test_codes_and_factors_of_a_family_are_each_others_inverse(name: str) -> None:
    family = find_family(name)
    top = (1 << family.decay_bits[1]) - 1
    low, high = family.synapse_codes(top)
    codes = np.arange(low, high + 1)
    assert np.array_equal(family.code_synapses(family.synapse_factors(codes), top), codes)
    membranes = np.arange(top + 1)
    assert np.array_equal(family.code_membranes(family.membrane_factors(membranes), top), membranes)
    if family.decays_after_input:
        assert np.array_equal(family.weight_gain(codes), family.synapse_factors(codes))


@pytest.mark.parametrize("name", list_families())
def test_a_threshold_code_is_below_the_least_potential_that_fires_by_what_the_family_says(name: str) -> None:
    family = find_family(name)
    for threshold in (1, 7, 500):
        least = threshold + family.least_firing
        assert family.integers.fire(least, threshold, 0, 1, 16)[0] == 1
        assert family.integers.fire(least - 1, threshold, 0, 1, 16)[0] == 0


@pytest.mark.parametrize("name", list_families())
def test_a_weight_counts_its_shift(name: str) -> None:
    family = find_family(name)
    for weight, shift in ((1, 0), (-128, 1), (127, 2)):
        counted = family.integers.count_weight(weight, shift, 24)
        assert counted == weight << (shift + family.weight_shift)
        assert family.integers.deliver(5, weight, shift, 3, 24) == family.integers.add(5, 3 * counted, 24) == 5 + 3 * counted


def draw(rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    """Draw integers of all magnitudes, the ends among them."""
    drawn = rng.integers(low, high, 20_000, endpoint=True)
    return rng.permutation(np.concatenate([drawn, drawn >> rng.integers(0, 24, drawn.size), [low, high] * 50])).clip(low, high)


def apply_each(rule: Callable[..., object], *columns: npt.ArrayLike) -> np.ndarray:
    return np.array([rule(*map(int, row)) for row in np.broadcast(*columns)])


@pytest.mark.parametrize("name", list_families())
def test_float_rules_of_a_family_are_its_integer_rules(name: str) -> None:
    """One step, rule by rule, on integers in float32, as training holds them; at the width of each of the family's chips."""
    family = find_family(name)
    rules, floats = family.integers, family.build_float_rules(dynamics.OPS)
    widths = {chip.bits.state for chip in map(load_chip, list_chips()) if chip.arithmetic == name}
    assert widths, f"no chip of the catalog has arithmetic = '{name}'"
    for bits in widths:
        rng, high, top = np.random.default_rng(bits), (1 << (bits - 1)) - 1, (1 << family.decay_bits[1]) - 1
        low = min(-high, rules.add(-high, -1, bits))
        before, amount, potential, bias = (draw(rng, low, high) for _ in range(4))
        syn, mem, threshold = draw(rng, *family.synapse_codes(top)), draw(rng, 0, top), draw(rng, 1, high - 1)
        entered = apply_each(rules.enter, before, syn)
        added = apply_each(rules.add, entered, amount, bits)
        settled = apply_each(rules.settle, added, syn)
        reached = apply_each(rules.integrate, potential, mem, settled, bias, bits)
        counts, left = apply_each(rules.fire, reached, threshold, 0, family.most_spikes, bits).T

        held = [
            torch.tensor(one, dtype=torch.float32) for one in (before, amount, potential, bias, entered, added, settled, reached)
        ]
        given = [1.0 - factors for factors in (family.synapse_factors(syn), family.membrane_factors(mem))]
        share_syn, share_mem, least = (
            torch.tensor(one, dtype=torch.float32) for one in (*given, threshold + family.least_firing)
        )
        limits = (0.0, 1.0, float(family.most_spikes), -high - 1.0, float(high))
        sent = floats.spikes(held[7], least, limits)
        for what, found, wanted in (
            ("enter", floats.enter(held[0], share_syn, limits), entered),
            ("add", floats.add(held[4], held[1], limits), added),
            ("settle", floats.settle(held[5], share_syn, limits), settled),
            ("integrate", floats.integrate(held[2], share_mem, held[6], held[3], limits), reached),
            ("spikes", sent, counts),
            ("reset", floats.reset(held[7], sent, least), left),
        ):
            wrong = np.flatnonzero(found.double().numpy() != wanted)
            assert not wrong.size, f"{what} in {bits} bits differs in {wrong.size} of {wanted.size}, such as case {wrong[0]}"


def test_records_without_a_family_have_the_first_and_an_unknown_one_is_refused() -> None:
    assert {load_chip(name).arithmetic for name in ("toy-4", "xylo-audio-3")} == {"bit-shift"}
    text = read_record("toy-4").replace("chip_id = 1\n", 'chip_id = 900\narithmetic = "abacus"\n')
    with pytest.raises(ChipError, match=f"arithmetic = 'abacus' is not one of {', '.join(list_families())}"):
        read_chip(text, where="mine.toml")
    with pytest.raises(ChipError, match="no arithmetic is called 'abacus'"):
        find_family("abacus")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("max_count = 1\nbias", "max_count = 2\nbias", "hidden.max_count = 2 is outside 1..1"),
        ("decay = 12", "decay = 4", "bits.decay = 4 is outside 12..12"),
        (
            "synapses = 1\nmax_count = 1\nbias = true\nalias",
            "synapses = 2\nmax_count = 1\nbias = true\nalias",
            "words of 36 bits",
        ),
    ],
)
def test_a_record_must_suit_its_family(before: str, after: str, expected: str) -> None:
    text = read_record("generic-1024-factor")
    assert before in text
    with pytest.raises(ChipError, match=expected):
        read_chip(text.replace(before, after, 1).replace("chip_id = 18", "chip_id = 900"), where="mine.toml")


def fire_halving(potential: int, threshold: int, count: int, max_count: int, bits: int) -> tuple[int, int]:
    """Spike once and keep half."""
    if potential >= threshold and count < max_count:
        return count + 1, potential >> 1
    return count, potential


@pytest.fixture
def halving(monkeypatch: pytest.MonkeyPatch) -> Family:
    """A third family: bit shifts, and a spike that leaves half of the potential."""
    first = find_family("bit-shift")

    def build(ops):
        floor, select = ops.floor, ops.select

        def spikes(potential, threshold, limits):
            return select(potential >= threshold, limits[1], limits[0])

        def reset(potential, count, threshold):
            return select(count > 0.5, floor(potential / 2.0), potential)

        return bit_shift.build_float_rules(ops)._replace(spikes=spikes, reset=reset)

    integers = first.integers._replace(fire=fire_halving)
    family = replace(first, name="halving", integers=integers, build_float_rules=build, most_spikes=1)
    families = {name: find_family(name) for name in list_families()} | {"halving": family}
    monkeypatch.setattr(table, "_read_families", lambda: families)
    return family


def test_a_family_that_nothing_names_is_run_trained_and_searched(halving: Family) -> None:
    generic = load_chip("generic-4096-single")
    chip = replace(generic, name="halving", chip_id=901, arithmetic=halving.name)
    program = random_program(chip, np.random.default_rng(0), n_inputs=8, n_hidden=30, n_outputs=4)
    raster = np.random.default_rng(1).integers(0, 8, (2, 40, 8))
    kept = {"counts_of": ("hidden", "outputs"), "states_of": ("hidden",)}
    run = simulate_image(pack(program), raster, **kept)
    assert run == simulate_image(pack(program), raster, engine="reference", **kept)
    first = simulate_image(pack(replace(program, chip=generic)), raster, **kept)
    assert not np.array_equal(run.counts["hidden"], first.counts["hidden"])
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        ChipLIF(5, 12, dash_syn=2, dash_mem=3, arithmetic="halving", recurrent=True), ChipIntegrator(12, 3, arithmetic="halving")
    )
    counts = np.random.default_rng(2).poisson(2.0, (3, 50, 5)).clip(0, 15)
    seen = verify_model(model, compile_model(model, chip), counts)
    assert (seen.n_mismatches, seen.silent) == (0, ())
    assert find_relay_cell(chip) is not None
