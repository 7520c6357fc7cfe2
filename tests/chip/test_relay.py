import time
from dataclasses import replace

import numpy as np
import pytest

from snnmap.chip import RelayCell, find_relay_cell, find_relay_cells, list_chips, load_chip
from snnmap.chip.arithmetic.bit_shift import decay, decay_factors, deliver, fire, integrate, nearest_dashes


@pytest.mark.parametrize("name", [name for name in list_chips() if load_chip(name).arithmetic == "bit-shift"])
def test_every_chip_has_the_relay_cell_of_the_design(name: str) -> None:
    expected = RelayCell(weight=2, self_weight=-1, threshold=1, dash_syn=1, dash_mem=0)
    assert all(find_relay_cell(load_chip(name), unit_shift=shift) == expected for shift in range(8))


def test_a_chip_whose_states_are_too_narrow_has_none() -> None:
    toy = load_chip("toy-4")
    narrow = replace(toy, bits=replace(toy.bits, state=8, threshold=8, bias=8))
    assert find_relay_cell(narrow, unit_shift=3) is None


@pytest.mark.parametrize("most", [1, 2, 255])
def test_a_cell_is_proved_for_every_count_that_the_chips_neurons_send(most: int) -> None:
    chip = load_chip("xylo-audio-3")
    cells = find_relay_cells(replace(chip, hidden=replace(chip.hidden, max_count=most)))
    assert set(range(6)) <= set(cells)
    sent = np.random.default_rng(1).integers(0, most + 1, 300).tolist()
    for shift, cell in cells.items():
        state = (0, 0, 0)
        for count in sent:
            state = _step(cell, *state, count, shift=shift, most=most)
            assert state[2] == count


def test_the_search_is_quick_for_the_largest_counts_that_a_record_allows() -> None:
    chip = load_chip("generic-4096")
    start = time.perf_counter()
    find_relay_cells(replace(chip, hidden=replace(chip.hidden, max_count=254)))
    assert time.perf_counter() - start < 5.0


def test_a_chain_of_four_repeats_random_counts() -> None:
    chip, length = load_chip("xylo-audio-3"), 4
    cell = find_relay_cell(chip)
    assert cell is not None
    sent = np.random.default_rng(0).integers(0, 32, 4000)
    state = [(0, 0, 0)] * length
    seen = []
    for count in sent.tolist():
        arriving = [count, *(own for _, _, own in state[:-1])]
        state = [_step(cell, *old, n) for old, n in zip(state, arriving, strict=True)]
        seen.append(state[-1][2])
    assert seen[length - 1 :] == sent[: 4000 - length + 1].tolist()


def _step(
    cell: RelayCell, current: int, potential: int, own: int, count: int, *, shift: int = 0, most: int = 31
) -> tuple[int, int, int]:
    current = deliver(deliver(current, cell.weight, shift, count, 16), cell.self_weight, shift, own, 16)
    current -= decay(current, cell.dash_syn)
    sent, potential = fire(integrate(potential, cell.dash_mem, current, 0, 16), cell.threshold << shift, 0, most, 16)
    return current, potential, sent


def test_codes_of_codable_decays_are_exact_and_others_nearest_in_time_constant() -> None:
    dashes = np.arange(16)
    assert np.array_equal(nearest_dashes(decay_factors(dashes), dash_min=0, dash_max=15), dashes)
    decays = np.linspace(0.0, 0.9999, 997)
    chosen = nearest_dashes(decays, dash_min=1, dash_max=15)
    distance = np.abs(np.log2(1.0 - decays)[:, None] + np.arange(1, 16))
    assert np.array_equal(chosen, 1 + distance.argmin(axis=1))
    assert nearest_dashes(1.0, dash_min=0, dash_max=15) == 15
