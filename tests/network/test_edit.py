"""Networks made of others do what those did, as far as they say."""

import numpy as np
import pytest
from random_networks import random_network

from snnmap.network import draw_inputs, expand_terms, select_neurons, separate_sources, simulate_network


def count(network, rasters):  # type: ignore[no-untyped-def]
    return simulate_network(network, rasters, counts_of=[part.name for part in network.populations]).counts


@pytest.mark.parametrize("seed", range(8))
def test_separate_sources_do_the_same(seed: int) -> None:
    network = random_network(seed)
    posts = {part.name for part in network.populations}
    separate = separate_sources(network, posts)
    keys = [(part.pre, part.post, part.synapse, part.delay_steps) for part in separate.projections]
    assert len(keys) == len(set(keys))
    assert not {part.pre for part in separate.projections} & {part.name for part in network.sums}
    rasters = draw_inputs(network.inputs, max_count=3)
    before, after = count(network, rasters), count(separate, rasters)
    assert all(np.array_equal(before[name], after[name]) for name in posts)


def test_projections_onto_others_stay_as_they_are() -> None:
    network = next(found for found in map(random_network, range(20)) if found.sums)
    post = next(part.post for part in network.projections if part.pre in {found.name for found in network.sums})
    others = [part for part in network.projections if part.post != post]
    assert [part for part in separate_sources(network, {post}).projections if part.post != post] == others


@pytest.mark.parametrize("seed", range(8))
def test_dropping_silent_neurons_changes_nothing_else(seed: int) -> None:
    network = random_network(seed, biases=False)
    rasters = draw_inputs(network.inputs, max_count=3)
    before = count(network, rasters)
    kept = {
        part.name: np.flatnonzero(before[part.name].any(axis=(0, 1)))
        for part in network.populations
        if part.name not in network.output_populations
    }
    selected = select_neurons(network, kept)
    after = count(selected, rasters)
    assert {part.name for part in selected.populations} == {
        p.name for p in network.populations if kept.get(p.name, np.ones(1)).size
    }
    assert all(np.array_equal(before[name][..., kept.get(name, slice(None))], after[name]) for name in after)


def test_sums_of_populations_that_lose_neurons_are_gone() -> None:
    network = next(found for found in map(random_network, range(20)) if found.sums)
    summand = next(name for name in expand_terms(network, network.sums[0].name) if name in {p.name for p in network.populations})
    selected = select_neurons(network, {summand: np.array([0])})
    assert network.sums[0].name not in {part.name for part in selected.sums}
    assert network.sums[0].name not in {part.pre for part in selected.projections}
