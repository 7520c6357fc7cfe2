"""Scales are chosen for what a run of some steps makes of roundings."""

from itertools import pairwise

import numpy as np

from snnmap.chip import load_chip
from snnmap.chip.arithmetic.bit_shift import FAMILY
from snnmap.lif.quantise.decays import DecayCodes
from snnmap.lif.quantise.response import RowResponses
from snnmap.lif.quantise.scale import MemoryDemand, Scaling, choose_scaling

CHIP = load_chip("generic-4096")


def choose_for(n_steps: float) -> Scaling:
    """Choose for two neurons of the longest membranes, whose states have room for a scale that one's weights have not."""
    ones = np.ones(2)
    codes = DecayCodes(
        dash_syn=np.ones((1, 2), np.int64), dash_mem=np.full(2, 15), weight_factor=ones[np.newaxis], bias_factor=ones
    )
    return choose_scaling(
        [MemoryDemand(largest=np.array([0.05, 0.5]), power=4.0 * ones)],
        ones,
        np.zeros(2),
        8.0 * ones,
        codes.dash_mem,
        RowResponses(codes, FAMILY, n_steps).power(),
        n_steps,
        CHIP,
        [(shift,) for shift in range(CHIP.bits.shift_max + 1)],
        4.0,
    )


def test_a_short_run_drifts_little_and_so_weights_are_fine_at_a_smaller_scale() -> None:
    by_state, by_weight = 32767 / (1.25 * 8.0), (127 << 3) / 0.5
    short, long = choose_for(100.0), choose_for(np.inf)
    assert (short.shifts, long.shifts) == ((3,), (4,))
    assert short.scale.tolist() == [by_state, by_weight]
    assert long.scale.tolist() == [by_state, by_state]


def test_longer_runs_never_ask_for_finer_weights() -> None:
    shifts = [choose_for(n_steps).shifts for n_steps in (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, np.inf)]
    assert all(one <= other for one, other in pairwise(shifts))
