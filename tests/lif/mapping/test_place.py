import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnmap.chip import load_chip
from snnmap.lif.mapping.place import place_neurons

XYLO = load_chip("xylo-audio-3")


@given(st.integers(0, 140), st.integers(0, 140), st.integers(0, 140), st.integers(0, 400), st.integers(0, 2**32 - 1))
def test_a_placement_is_found_whenever_there_is_one(n_in: int, n_out: int, n_both: int, n_free: int, seed: int) -> None:
    kinds = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2, 3], [n_in, n_out, n_both, n_free]))
    takes, feeds = (kinds == 0) | (kinds == 2), (kinds == 1) | (kinds == 2)
    slots = place_neurons(XYLO, takes, feeds)
    n = kinds.size
    assert sorted(slots) == list(range(n))
    first, last = XYLO.inputs.reach.slots(n), XYLO.outputs.reach.slots(n)
    shared = len(range(max(first.start, last.start), min(first.stop, last.stop)))
    possible = n_in + n_both <= len(first) and n_out + n_both <= len(last) and n_both <= shared
    fits = np.isin(slots[takes], first).all() and np.isin(slots[feeds], last).all()
    assert fits == possible


@pytest.mark.parametrize("name", ["xylo-audio-2", "generic-4096"])
def test_where_all_slots_are_alike_the_order_stays(name: str) -> None:
    flags = np.random.default_rng(0).random((2, 50)) < 0.5
    assert np.array_equal(place_neurons(load_chip(name), *flags), np.arange(50))
