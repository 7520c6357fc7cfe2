"""Random networks, each broken in one way that a fix mends, are fixed and clean, and exact fixes change no count."""

import numpy as np
import pytest
from broken_networks import BREAKS, break_network

from snnmap.lif.fixes import FixOptions, fix_network
from snnmap.network import draw_inputs, simulate_network

EXACT = {"dead", "without inputs", "unread", "many synapses", "no memory", "output feeds back"}
"""Ways to break a network that are always mended without changing a count."""


def require_fixed(way: str, seed: int) -> None:
    network, chip = break_network(way, seed)
    fixed = fix_network(network, chip, options=FixOptions(strict=True))
    assert fixed.applied
    assert fixed.report.errors == ()
    left = [found.location for found in fixed.report.diagnostics if found.rule == BREAKS[way][0]]
    assert {place.population for place in left} <= set(network.output_populations)  # whose neurons are read, dead or not
    assert all(step.difference.n_differing == 0 for step in fixed.applied if step.exact)
    if all(step.exact for step in fixed.applied):
        rasters = draw_inputs(network.inputs, max_count=4, seed=seed + 1)
        before, after = (simulate_network(each, rasters).counts for each in (network, fixed.network))
        assert all(np.array_equal(before[name], after[name]) for name in network.output_populations)
    assert way not in EXACT or all(step.exact for step in fixed.applied)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("way", BREAKS)
def test_a_broken_network_is_fixed(way: str, seed: int) -> None:
    require_fixed(way, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_broken_networks_are_fixed(seed: int) -> None:
    require_fixed(list(BREAKS)[seed % len(BREAKS)], seed)
