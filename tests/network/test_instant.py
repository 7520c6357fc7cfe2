"""Synapses without memory, carried by those that have one."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from snnmap.network import Network, carry_instant_synapses, simulate_network, sketch_network
from snnmap.pipeline import check_model, compile_model
from snnmap.train import to_chip_exact, verify_model


def make_plain(seed: int) -> Network:
    """A random network with all weights on a grid, some or all of whose synapses have no memory."""
    network, rng = random_network(seed, biases=False), np.random.default_rng(seed)
    populations = tuple(
        replace(p, alpha=np.where(rng.random(p.alpha.shape) < (1.0 if seed % 2 else 0.5), 0.0, p.alpha))
        for p in network.populations
    )
    projections = tuple(
        replace(p, weights=p.weights.with_data(np.rint(p.weights.data * 1024) / 1024)) for p in network.projections
    )
    return replace(network, populations=populations, projections=projections)


@pytest.mark.parametrize("seed", range(8))
def test_every_spike_stays(seed: int) -> None:
    network = make_plain(seed)
    carried = carry_instant_synapses(network)
    rng = np.random.default_rng(seed)
    rasters = {port.name: rng.poisson(1.0, (4, 50, port.size)) for port in network.inputs}
    names = [population.name for population in network.populations]
    wanted = simulate_network(network, rasters, counts_of=names).counts
    found = simulate_network(carried, rasters, counts_of=names).counts
    assert all(np.array_equal(wanted[name], found[name]) for name in names)
    assert sum(counts.sum() for counts in wanted.values()) > 0


def test_the_chips_take_it_and_it_trains_on() -> None:
    network = make_plain(1)
    assert any(finding.rule == "SNN502" for finding in check_model(network, "generic-4096").report.errors)
    carried, rng = carry_instant_synapses(network), np.random.default_rng(1)
    rasters = {port.name: rng.poisson(0.5, (4, 50, port.size)) for port in network.inputs}
    exact = to_chip_exact(carried, "generic-4096", calibration=rasters)
    assert verify_model(exact, compile_model(exact, "generic-4096"), rasters).n_mismatches == 0


def test_networks_with_memory_stay_as_they_are() -> None:
    network = random_network(3)
    assert carry_instant_synapses(network) is network


def test_what_is_smoothed_keeps_its_sum_and_waits_in_no_relay() -> None:
    """Inputs that do not change reach neurons as they were; spikes of neurons are carried as ever."""
    network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": 0.0, "out": 0.0})
    smoothed = carry_instant_synapses(network, smoothed=["in"])
    assert {(part.pre, part.delay_steps) for part in smoothed.projections if part.pre == "in"} == {("in", 0)}
    held = replace(network, populations=tuple(replace(p, threshold=np.full(p.size, np.inf)) for p in network.populations))
    raster = np.full((1, 40, 2), 3)
    wanted, found = (
        simulate_network(one, raster, states_of=["h"]).currents["h"]
        for one in (held, carry_instant_synapses(held, smoothed=["in"]))
    )
    assert np.allclose(found[:, 0], wanted[:, 0] / 2)
    assert np.allclose(found[:, -1], wanted[:, -1])
