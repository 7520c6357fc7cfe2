"""The comparison counts what differs between model and bitstream, by an independent count, and misses nothing."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import CLEAN, chain

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import InputError
from snnmap.lif.compare import SourceReference, choose_samples, compare_image, read_labels
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import QuantisedNetwork, pack, unpack
from snnmap.lif.quantise import quantise_network
from snnmap.lif.simulator import simulate_image
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network
from snnmap.pipeline import CompileOptions, compile_model

ALLOW = CompileOptions(allow=("SNN6",), verify=False)
XYLO = load_chip("xylo-audio-3")


def quantise(network: Network, raster: np.ndarray | None = None) -> QuantisedNetwork:
    return quantise_network(fold_network(network, XYLO), calibration=raster)


def one_neuron(weight: float, *, beta: float = 0.0, **parameters: object) -> Network:
    """Input -> hidden -> output, one neuron each."""
    return Network(
        name="one",
        inputs=(InputPort(name="x", size=1),),
        populations=(
            Population.create("h", 1, alpha=0.5, beta=beta, **parameters),
            Population.create("o", 1, alpha=0.5, beta=0.5, max_count=1),
        ),
        projections=(
            Projection(name="a", pre="x", post="h", weights=CsrMatrix.from_dense([[weight]])),
            Projection(name="b", pre="h", post="o", weights=CsrMatrix.from_dense([[0.4]])),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_two_runs(seed: int) -> None:
    network = random_network(seed, biases=False)
    rng = np.random.default_rng(seed)
    rasters = {port.name: rng.poisson(0.7, (5, 30, port.size)) for port in network.inputs}
    built = compile_model(network, "generic-4096", calibration=rasters, options=ALLOW)
    names = [population.name for population in network.populations]
    wanted = simulate_network(network, rasters, counts_of=names).counts
    table, lags = built.mapped.table, built.mapped.lags
    joined = np.concatenate([rasters[port.name] for port in network.inputs], axis=2)
    run = simulate_image(built.image, np.pad(joined, ((0, 0), (0, 40), (0, 0))), counts_of=("hidden", "outputs")).counts
    for seen in built.comparison.populations:
        slots, area = table.output_slots(seen.name), "outputs"
        if not slots.size:
            slots, area = table.hidden_slots(seen.name), "hidden"
        chip, model = run[area][:, lags[seen.name] : lags[seen.name] + 30, slots], wanted[seen.name]
        assert (seen.model_spikes, seen.chip_spikes) == (model.sum(), chip.sum())
        assert (seen.active, seen.differing) == (((model > 0) | (chip > 0)).sum(), (model != chip).sum())
        assert seen.excess == np.maximum(chip - seen.max_count, 0).sum()


def test_another_image_is_noticed() -> None:
    """The proof is of the bytes: a weight changed after quantisation shows."""
    raster = np.random.default_rng(0).poisson(1.0, (4, 30, 3))
    quantised = quantise(CLEAN, raster)
    program = quantised.program
    weights = program.recurrent_weights[0]
    harmed = pack(replace(program, recurrent_weights=(weights.with_data(-weights.data), *program.recurrent_weights[1:])))
    good, bad = (compare_image(CLEAN, quantised, image, raster) for image in (pack(program), harmed))
    assert [0.95 < p.rate < 1.05 for p in good.populations] == [True, True, True]
    assert bad.populations[1].chip_spikes == 0
    assert bad.populations[1].died == bad.populations[1].firing == 4


def test_neurons_of_one_spike_on_a_chip_of_many() -> None:
    network, raster = one_neuron(1.6, max_count=1), np.array([[[1], [0], [0], [0], [4], [0], [0], [0], [0], [0]]])
    quantised = quantise(network, raster)
    seen = compare_image(network, quantised, pack(quantised.program), raster).populations[0]
    assert seen.max_count == 1
    assert seen.excess > 0
    assert seen.beyond > 0
    quiet = compare_image(network, quantised, pack(quantised.program), raster * (raster == 1)).populations[0]
    assert (quiet.excess, quiet.beyond, quiet.differing) == (0, 0, 0)


def test_states_at_the_limit_are_seen() -> None:
    """Calibrated on little, driven by much: exactly the steps in which the reference's states stand at 16 bits."""
    network, little, much = one_neuron(-1.0, beta=0.96875), np.full((1, 4, 1), 1), np.full((1, 200, 1), 15)
    quantised = quantise(network, little)
    image = pack(quantised.program)
    seen = compare_image(network, quantised, image, much).populations[0]
    states = simulate_image(image, much, states_of=("hidden",), engine="reference")
    assert unpack(image) == quantised.program
    at_limit = states.potentials["hidden"][0, :, 0] <= -32767
    assert seen.saturated >= at_limit.sum() > 50
    assert compare_image(network, quantised, image, little).populations[0].saturated == 0


def test_readouts_that_never_fire_in_the_model() -> None:
    silent = Population.create("o", 1, alpha=0.5, beta=0.75, threshold=np.inf, max_count=1)
    network = one_neuron(0.7)
    outputs = (OutputPort(name="y", populations=("o",), readout="potential"),)
    network = replace(network, populations=(network.populations[0], silent), outputs=outputs)
    once = np.zeros((1, 8, 1), np.int64)
    once[0, 0] = 2
    quantised = quantise(network, once)
    image = pack(quantised.program)
    fine, lost = (compare_image(network, quantised, image, raster).ports[0] for raster in (once, np.full((1, 60, 1), 3)))
    assert (fine.spikes, fine.saturated) == (0, 0)
    assert fine.error < 0.05
    assert lost.spikes + lost.saturated > 0
    assert lost.error > 0.3


def test_accuracy_by_labels_and_by_every_way_of_reading() -> None:
    raster = np.random.default_rng(1).poisson(0.6, (20, 25, 3))
    output = simulate_network(CLEAN, raster).counts["out"].sum(axis=1)
    labels = output.argmax(axis=1)
    labels[:5] = 1 - labels[:5]
    (port,) = compile_model(CLEAN, XYLO, calibration=raster, labels=labels, options=ALLOW).comparison.ports
    (agreement,) = port.agreements
    assert (agreement.decision, agreement.model_correct) == ("count", 15)
    assert agreement.agreeing >= 18
    potential = replace(CLEAN, outputs=(OutputPort(name="port", populations=("out",), readout="potential"),))
    ways = compile_model(potential, XYLO, calibration=raster, options=ALLOW).comparison.ports[0].agreements
    assert [way.decision for way in ways] == ["last", "mean", "max"]
    chosen = compile_model(potential, XYLO, calibration=raster, options=replace(ALLOW, decision="max")).comparison
    assert [way.decision for way in chosen.ports[0].agreements] == ["max"]
    assert chosen.classifies


@pytest.mark.parametrize("labels", [np.zeros(3, np.int64), np.zeros((4, 1), np.int64), np.zeros(4), ["a"] * 4])
def test_labels_that_do_not_fit(labels: object) -> None:
    with pytest.raises(InputError, match="labels do not fit"):
        read_labels(labels, 4, 2)
    with pytest.raises(InputError, match="labels"):
        compile_model(CLEAN, XYLO, labels=[0, 1])


def test_the_work_is_bounded_and_said() -> None:
    assert choose_samples(CLEAN, np.arange(1000), 10).size == 1000
    some = choose_samples(chain(100, 900, 900, 10), np.arange(1000), 50)
    assert 1 <= some.size < 100
    assert (some[0], some[-1]) == (0, 999)
    assert choose_samples(CLEAN, np.arange(10), 10**9).size == 1


def test_a_converted_network_is_compared_with_its_source() -> None:
    network, raster = (
        replace(CLEAN, outputs=(OutputPort(name="port", populations=("out",), readout="potential"),)),
        np.ones((2, 9, 3), int),
    )
    quantised = quantise(network, raster)
    wanted = np.array([[1.0, 0.0], [0.0, 1.0]])
    same = SourceReference(what="torch", expected=wanted, read=lambda _: wanted)
    other = SourceReference(what="torch", expected=wanted, read=lambda _: 1.0 - wanted)
    found = [compare_image(network, quantised, pack(quantised.program), raster, converted=c).converted for c in (same, other)]
    assert [(c.error, c.agreeing) for c in found if c is not None] == [(0.0, 2), (2.0, 0)]
