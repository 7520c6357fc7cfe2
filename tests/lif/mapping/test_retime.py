"""The lags of a network in which nothing waits are those of the solver."""

import pytest
from random_networks import random_network
from rule_cases import chain

from snnmap.chip import load_chip
from snnmap.lif.mapping import lower_network, retime
from snnmap.network import Network


def find_both(network: Network, chip: str) -> tuple[list[int], list[int]]:
    problem = retime._Problem(lower_network(network), load_chip(chip))
    return problem.find_lags_without_relays(), problem.find_lags()


@pytest.mark.parametrize("chip", ["xylo-audio-3", "generic-4096"])
@pytest.mark.parametrize("seed", range(60))
def test_random_networks_get_the_same_lags(seed: int, chip: str) -> None:
    plain, solved = find_both(random_network(seed), chip)
    assert plain in ([], solved)


def test_a_chain_needs_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    network = chain(3, 5, 4, 2)
    plain, solved = find_both(network, "xylo-audio-3")
    assert plain == solved
    monkeypatch.delattr(retime, "_solve")
    lags = retime.retime_network(lower_network(network), load_chip("xylo-audio-3")).lags
    assert list(lags.values()) == list(range(len(lags)))
