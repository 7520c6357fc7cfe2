"""Random nengo networks beside nengo's own simulator: the same spikes and probed values, or a refusal with its reason."""

from collections import Counter

import numpy as np
import pytest
from nengo_networks import count_spikes, run_nengo
from random_nengo import Drawn, draw_network

from snnmap.core.errors import FrontendError
from snnmap.frontends.nengo import encode_inputs, load
from snnmap.network import Network, simulate_network

pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = 1e-7
REFUSED = (
    "a constant passes a filter",
    "nengo forgets a step's negative current",
    "two filters with memory follow each other",
)


def assert_same(drawn: Drawn, network: Network, seed: int) -> int:
    """Compare all that is recorded; return the number of spikes."""
    recorded = run_nengo(drawn.network)
    expected = count_spikes(drawn.network, recorded)
    names = [population.name for population in network.populations]
    run = simulate_network(network, encode_inputs(network, drawn.counts), counts_of=names, states_of=names)
    for name, counts in expected.items():
        assert np.array_equal(run.counts[name][0], counts), (seed, name)
    for port in network.outputs:
        if port.readout == "potential":
            wanted, found = recorded[port.name], run.potentials[port.populations[0]][0]
            assert np.abs(found - wanted).max() < CLOSE * max(1.0, np.abs(wanted).max()), (seed, port.name)
    return sum(int(counts.sum()) for counts in expected.values())


def judge(seed: int) -> str:
    drawn = draw_network(seed)
    refused: FrontendError | None = None
    try:
        network = load(drawn.network)
    except FrontendError as error:
        refused = error
    if refused is not None:
        assert refused.what.startswith(REFUSED), (seed, refused)
        return refused.what.split(":")[0]
    return "same" if assert_same(drawn, network, seed) else "silent"


def test_random_networks_spike_as_in_nengo() -> None:
    assert Counter(map(judge, range(16)))["same"] >= 6


@pytest.mark.nightly
def test_hundreds_of_random_networks_spike_as_in_nengo() -> None:
    assert Counter(map(judge, range(1000, 1400)))["same"] > 150
