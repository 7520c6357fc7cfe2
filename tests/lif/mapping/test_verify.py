"""What verification shows, and that it says where it showed nothing."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import Chip, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.mapping import (
    Verification,
    draw_rasters,
    drive_populations,
    fold_network,
    folded_currents,
    folded_potentials,
    lower_network,
    verify_fold,
)
from snnmap.lif.program import MappedNetwork, as_folded_network, pack
from snnmap.lif.quantise import quantise_network
from snnmap.lif.simulator import simulate_image
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, Recording, join_rasters, simulate_network

XYLO = load_chip("xylo-audio-3")


def wire(pre: str, post: str, weights: np.ndarray, **options: int) -> Projection:
    return Projection(name=f"{pre} to {post}", pre=pre, post=post, weights=CsrMatrix.from_dense(weights), **options)


def chain(*populations: Population, weights: Mapping[str, np.ndarray], n_inputs: int, readout: str = "spikes") -> Network:
    """Input port ``in``, then the populations in a row, the last of which is read."""
    names = ["in", *(population.name for population in populations)]
    return Network(
        name="chain",
        inputs=(InputPort(name="in", size=n_inputs),),
        populations=populations,
        projections=tuple(wire(pre, post, weights[post]) for pre, post in pairwise(names)),
        outputs=(OutputPort(name="y", populations=(names[-1],), readout=readout),),  # type: ignore[arg-type]
    )


def verify(network: Network, chip: Chip = XYLO) -> Verification:
    found = verify_fold(network, fold_network(network, chip))
    assert found.n_mismatches == 0
    return found


def scale_population(network: Network, name: str, factor: float) -> Network:
    """Give a population other units: weights onto it, threshold and bias times a factor; its spikes stay as they are."""
    populations = tuple(
        replace(p, threshold=p.threshold * factor, bias=p.bias * factor) if p.name == name else p for p in network.populations
    )
    projections = tuple(
        replace(p, weights=p.weights.with_data(p.weights.data * factor)) if p.post == name else p for p in network.projections
    )
    return replace(network, populations=populations, projections=projections)


@pytest.mark.parametrize("exponent", [-90, -30, 27, 90])
def test_units_of_a_population_change_nothing_that_is_seen(exponent: int) -> None:
    network = random_network(4)
    scaled = scale_population(network, "h1", 2.0**exponent)
    assert verify(scaled) == verify(network)
    assert verify(scaled).spikes["h1"] > 0


def test_small_weights_beside_large_ones_onto_other_neurons_keep_their_digits() -> None:
    units = 2.0 ** np.arange(-30, 31, 12)
    hidden = Population.create("h", units.size, alpha=0.5, beta=0.5, threshold=units)
    out = Population.create("o", 1, alpha=0.5, beta=0.5, max_count=1)
    weights = {"h": units * np.array([[0.75], [0.25]]), "o": np.full((units.size, 1), 0.01)}
    network = chain(hidden, out, weights=weights, n_inputs=2)
    rasters = draw_rasters(network)
    counts = simulate_network(network, rasters, counts_of=["h"]).counts["h"]
    assert (counts == counts[..., :1]).all()
    found = verify_fold(network, fold_network(network, XYLO), rasters)
    assert (found.n_mismatches, found.spikes["h"]) == (0, counts.sum())
    assert counts.sum() > 0


def test_a_skip_beside_huge_weights_builds() -> None:
    network = scale_population(random_network(8, biases=False, n_synapses=1), "h2", 2.0**60)
    assert fold_network(network, XYLO).n_relays > 0
    assert verify(network).spikes["h2"] > 0


def test_a_read_potential_is_compared_and_not_silent() -> None:
    hidden = Population.create("h", 2, alpha=0.5, beta=0.5)
    readout = Population.create("o", 1, alpha=0.75, beta=0.875, threshold=np.inf, max_count=1)
    weights = {"h": np.eye(2), "o": np.ones((2, 1))}
    network = chain(hidden, readout, weights=weights, n_inputs=2, readout="potential")
    found = verify(network)
    assert (found.silent, found.spikes["o"]) == ((), 0)
    assert found.moves["o"] > 0
    assert found.n_compared == 6 * 48 * (2 + 1 + 1)
    unwired = replace(network, projections=network.projections[:1])
    assert verify(unwired).silent == ("o",)


def coincidence(threshold: float) -> Network:
    """A neuron that all of 12 channels must drive in one step."""
    hidden = Population.create("h", 1, threshold=threshold)
    out = Population.create("o", 1, max_count=1)
    return chain(hidden, out, weights={"h": np.ones((12, 1)), "o": np.ones((1, 1))}, n_inputs=12)


def test_what_drawn_rasters_leave_silent_is_driven() -> None:
    network = coincidence(12 * 15)
    assert simulate_network(network, draw_rasters(network), counts_of=["h"]).counts["h"].sum() == 0
    assert verify(network).silent == ()


def test_what_no_input_can_wake_is_told() -> None:
    assert verify(coincidence(12 * 15 + 1)).silent == ("h", "o")
    few = replace(XYLO, inputs=replace(XYLO.inputs, max_count=14))
    assert verify(coincidence(12 * 15), few).silent == ("h", "o")


def test_given_rasters_are_run_as_they_are() -> None:
    network = coincidence(2)
    mapped = fold_network(network, XYLO)
    assert verify_fold(network, mapped, np.zeros((1, 9, 12), int)).silent == ("h", "o")
    assert verify_fold(network, mapped, np.ones((1, 9, 12), int)).silent == ()


def test_inhibited_neurons_are_driven_by_their_own_paths() -> None:
    """Of 20 channels one excites the neuron, by way of two inhibitions; all others silence it."""
    first = Population.create("h1", 20)
    second = Population.create("h2", 1, bias=0.25, threshold=2.0, beta=0.5, alpha=0.5)
    out = Population.create("o", 1, max_count=1)
    row = np.full((20, 1), -9.0)
    row[7] = 0.05
    network = chain(first, second, out, weights={"h1": np.eye(20), "h2": row, "o": np.ones((1, 1))}, n_inputs=20)
    driven = drive_populations(network, ["h2"])["in"]
    assert driven.shape == (1, 48, 20)
    assert np.flatnonzero(driven.any(axis=(0, 1))).tolist() == [7]
    assert driven.max() == 15
    assert not driven[:, -16:].any()


def test_drawn_rasters_span_scales_and_keep_to_the_channel() -> None:
    network = coincidence(1)
    drawn = draw_rasters(network, n_samples=8, n_steps=50)["in"]
    means = drawn.mean(axis=(1, 2))
    assert drawn.shape == (8, 50, 12)
    assert (drawn.min(), drawn.max()) == (0, 15)
    assert means[0] < 0.5
    assert means[-1] > 2.0
    assert drawn[-1].sum(axis=0).min() * 2 < drawn[-1].sum(axis=0).max()
    assert np.array_equal(drawn, draw_rasters(network, n_samples=8, n_steps=50)["in"])
    assert not np.array_equal(drawn, draw_rasters(network, n_samples=8, n_steps=50, seed=1)["in"])
    assert draw_rasters(network, max_count=1)["in"].max() == 1


def test_runs_add_up() -> None:
    one = Verification(n_compared=4, mismatches={"a": 1}, spikes={"a": 0, "b": 2}, moves={"a": 0})
    two = Verification(n_compared=6, mismatches={"a": 2}, spikes={"a": 0, "b": 0}, moves={"a": 3})
    both = one.merge(two)
    assert (both.n_compared, both.n_mismatches, both.silent) == (10, 3, ())
    assert (one.silent, two.silent) == (("a",), ("b",))


def run_folded(network: Network, mapped: MappedNetwork, rasters: dict[str, np.ndarray]) -> Recording:
    raster = join_rasters(network.inputs, rasters)
    padded = np.pad(raster, ((0, 0), (0, max(mapped.lags.values())), (0, 0)))
    return simulate_network(as_folded_network(mapped), padded, states_of=["outputs"])


def test_currents_of_the_folded_network_are_the_sources() -> None:
    """Over both synapses of an output, as no built-in chip has them."""
    network = lower_network(random_network(11, biases=False))
    two = replace(network, populations=tuple(_with_second_synapse(p) for p in network.populations))
    name = two.output_populations[0]
    wires = tuple(p for p in two.projections if p.post == name)
    two = replace(two, projections=(*two.projections, *(replace(p, name=f"{p.name} again", synapse=1) for p in wires)))
    mapped, rasters = fold_network(two, XYLO), draw_rasters(two)
    source = simulate_network(two, rasters, states_of=[name])
    folded = run_folded(two, mapped, rasters)
    n_steps = source.currents[name].shape[1]
    assert np.allclose(folded_currents(folded, mapped, name)[:, :n_steps], source.currents[name].sum(axis=2), atol=1e-9)
    assert np.allclose(folded_potentials(folded, mapped, name)[:, :n_steps], source.potentials[name], atol=1e-9)


def _with_second_synapse(population: Population) -> Population:
    return replace(population, alpha=np.concatenate([population.alpha[:1], np.full((1, population.size), 0.875)]))


@pytest.mark.parametrize(
    ("alpha", "beta", "tolerance"),
    [(0.75, 0.875, 0.04), (0.75, 0.9, 0.04), (0.75, 0.95, 0.04), (0.75, 1.0, 0.04), (0.8, 0.875, 0.1)],
)
def test_currents_of_the_chip_are_the_models_times_their_scale(alpha: float, beta: float, tolerance: float) -> None:
    """Whatever the membrane: it gets weights that keep its gain, which the current is read without; by the potential's scale 25%.

    Spikes that come a step early or late make up to 3% of the current.
    """
    generator = np.random.default_rng(0)
    hidden = Population.create("h", 6, alpha=0.5, beta=0.5)
    readout = Population.create("o", 2, alpha=alpha, beta=beta, threshold=np.inf, max_count=1)
    weights = {"h": generator.normal(0.3, 0.5, (4, 6)), "o": generator.normal(0.0, 0.5, (6, 2))}
    network = chain(hidden, readout, weights=weights, n_inputs=4, readout="current")
    raster = generator.poisson(0.4, (8, 40, 4))
    expected = simulate_network(network, raster, states_of=["o"]).currents["o"][:, :, 0]
    found = read_chip_currents(network, raster)
    assert np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()) < tolerance


def test_a_current_of_one_spike_is_known() -> None:
    """Through a weight of 0.5 onto a synapse that keeps three quarters: 0.5, 0.375, 0.28125, ..."""
    hidden = Population.create("h", 1, alpha=0.5, beta=0.0)
    readout = Population.create("o", 1, alpha=0.75, beta=0.875, threshold=np.inf, max_count=1)
    weights = {"h": np.ones((1, 1)), "o": np.full((1, 1), 0.5)}
    network = chain(hidden, readout, weights=weights, n_inputs=1, readout="current")
    raster = np.zeros((1, 8, 1), np.int64)
    raster[0, 0] = 1
    expected = 0.5 * 0.75 ** np.arange(8)
    assert np.allclose(simulate_network(network, raster, states_of=["o"]).currents["o"][0, :, 0, 0], expected)
    assert np.abs(read_chip_currents(network, raster)[0, :, 0] - expected).max() < 0.01


def read_chip_currents(network: Network, raster: np.ndarray) -> np.ndarray:
    """Give the currents of the chip's run of a network, in the model's units."""
    mapped = fold_network(network, XYLO)
    quantised = quantise_network(mapped, calibration=raster)
    padded = np.pad(raster, ((0, 0), (0, mapped.latency_steps), (0, 0)))
    run = simulate_image(pack(quantised.program), padded, states_of=["outputs"])
    slots = mapped.table.output_slots("o")
    return folded_currents(run, mapped, "o")[:, : raster.shape[1]] / quantised.output_current_scale[slots]
