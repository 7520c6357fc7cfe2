"""nengo's spiking wrappers: run by nengo, counted as the chip counts, read where a deterministic chip can do what they do."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnmap.convert import convert_ann, read_ann, run_ann, split_ports
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.convert.nengo_neurons import NENGO_NEURONS, explain_neurons
from snnmap.convert.nengo_read import read_nengo
from snnmap.convert.nengo_run import run_nengo
from snnmap.core import CsrMatrix
from snnmap.core.errors import FrontendError, InputError
from snnmap.frontends.nengo.rates import RateReader
from snnmap.graph import format_graph, parse_graph, run_graph
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network

with warnings.catch_warnings():  # nengo 4.1 uses names that numpy 2 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import nengo

DT_S = 2.0**-10
"""With weights and scales that are short binary fractions, nengo's sums have no rounding error."""


def make_mlp(*sizes: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for n_pre, n_post in pairwise(sizes):
        layers += [nn.Linear(n_pre, n_post), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def make_ann(*maps: tuple[np.ndarray, np.ndarray]) -> Ann:
    """Give a chain of ReLU layers with ``(n_pre, n_post)`` weights and biases; the last map is the output."""
    from scipy.sparse import csr_array

    names = [INPUT, *(f"layer{number}" for number in range(len(maps) - 1))]
    affine = [
        Affine(terms={source: csr_array(weights)}, bias=bias, shape=bias.shape)
        for source, (weights, bias) in zip(names, maps, strict=True)
    ]
    layers = tuple(ReluLayer(name=name, incoming=one) for name, one in zip(names[1:], affine[:-1], strict=True))
    return Ann(name="chain", n_inputs=len(maps[0][0]), layers=layers, output=affine[-1], framework="none")


def draw_fractions(generator: np.random.Generator, low: float, *shape: int) -> np.ndarray:
    return generator.integers(int(low * 16), 17, shape) / 16.0


def draw_ann(seed: int, low: float) -> tuple[Ann, np.ndarray]:
    """Draw a chain whose first map has any sign and whose second has weights and biases from ``low`` to 1, and inputs."""
    generator = np.random.default_rng(seed)
    first = draw_fractions(generator, -1.0, 5, 6), draw_fractions(generator, -1.0, 6)
    second = draw_fractions(generator, low, 6, 4), draw_fractions(generator, low, 4)
    last = draw_fractions(generator, -1.0, 4, 3), draw_fractions(generator, -1.0, 3)
    return make_ann(first, second, last), draw_fractions(generator, -1.0, 7, 5)


def count_spikes(ann: Ann, inputs: np.ndarray, scale: float, n_steps: int) -> dict[str, np.ndarray]:
    """Count with snnmap's integrate-and-fire neurons: reset by subtraction, the current of a constant input as bias."""
    first, second = ann.layers
    rates = inputs @ first.incoming.terms[INPUT].toarray() + first.incoming.bias
    counts: dict[str, list[np.ndarray]] = {first.name: [], second.name: []}
    for rate in rates:
        options = {"alpha": 0.0, "beta": 1.0, "max_count": 10_000}
        network = Network(
            name="count",
            inputs=(InputPort(name="none", size=1),),
            populations=(
                Population.create(first.name, rate.size, bias=DT_S * scale * rate, **options),
                Population.create(second.name, second.incoming.size, bias=DT_S * scale * second.incoming.bias, **options),
            ),
            projections=(
                Projection(
                    name="forward",
                    pre=first.name,
                    post=second.name,
                    weights=CsrMatrix.from_dense(second.incoming.terms[first.name].toarray()),
                ),
            ),
            outputs=(OutputPort(name="output", populations=(second.name,)),),
        )
        run = simulate_network(network, np.zeros((1, n_steps, 1), np.int64), counts_of=list(counts))
        for name, found in counts.items():
            found.append(run.counts[name][0].sum(axis=0))
    return {name: np.array(found) for name, found in counts.items()}


def run_exactly(ann: Ann, inputs: np.ndarray, scale: float, n_steps: int) -> dict[str, np.ndarray]:
    run = run_nengo(ann, inputs, n_steps=n_steps, scale_firing_rates=scale, dt_s=DT_S, start=0.0)
    return dict(run.counts)


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from([64.0, 256.0, 4096.0]), st.integers(1, 40))
def test_regular_spiking_is_floor_integration(seed: int, scale: float, n_steps: int) -> None:
    ann, inputs = draw_ann(seed, -1.0)
    rates = run_ann(ann, inputs)["layer0"]
    assert np.array_equal(run_exactly(ann, inputs, scale, n_steps)["layer0"], np.floor(n_steps * DT_S * scale * rates))


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from([64.0, 256.0, 4096.0]), st.integers(1, 40))
def test_regular_spiking_counts_as_integrate_and_fire_does(seed: int, scale: float, n_steps: int) -> None:
    ann, inputs = draw_ann(seed, 0.0)
    found, wanted = run_exactly(ann, inputs, scale, n_steps), count_spikes(ann, inputs, scale, n_steps)
    assert np.array_equal(found["layer0"], wanted["layer0"])
    assert np.array_equal(found["layer1"], wanted["layer1"])


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_regular_spiking_forgets_negative_currents(seed: int, n_steps: int) -> None:
    ann, inputs = draw_ann(seed, -1.0)
    found, wanted = run_exactly(ann, inputs, 256.0, n_steps), count_spikes(ann, inputs, 256.0, n_steps)
    assert np.array_equal(found["layer0"], wanted["layer0"])
    assert (found["layer1"] >= wanted["layer1"]).all()


@pytest.mark.parametrize("labels", [("input", "input"), ("output", "output.1"), ("input.1", "input"), (None, "ensemble0")])
def test_ensembles_of_reserved_and_equal_labels_stay_apart(labels: tuple[str | None, ...]) -> None:
    """Layers are named by labels; a name made up for one must not be another's."""
    rng, values = np.random.default_rng(0), np.array([[0.5, 1.0, 2.0]])
    with nengo.Network(seed=0) as network:
        source, target = nengo.Node(values[0], label="input"), nengo.Node(size_in=2, label="output")
        for size, label in zip((4, 5), labels, strict=True):
            ensemble = nengo.Ensemble(
                size, 1, neuron_type=nengo.RectifiedLinear(), gain=np.ones(size), bias=np.zeros(size), label=label
            )
            nengo.Connection(source, ensemble.neurons, transform=rng.normal(size=(size, 3)), synapse=None)
            nengo.Connection(ensemble.neurons, target, transform=rng.normal(size=(2, size)), synapse=None)
        seen = nengo.Probe(target)
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run_steps(1)
        wanted = simulator.data[seen][-1]
    assert np.allclose(run_nengo(network, values, neurons="rate", n_steps=1, input_node=source).last, wanted)
    assert np.allclose(run_ann(read_nengo(network, input_node=source), values)["output"], wanted)


def test_a_conversion_finds_the_same_activations() -> None:
    model, inputs = make_mlp(6, 9, 8, 4), np.random.default_rng(0).uniform(0, 1, (50, 6))
    conversion = convert_ann(model, inputs)
    layer = read_ann(model, (6,)).layers[0].name
    network, counts = conversion.network, conversion.split(conversion.encode(inputs))
    converted = simulate_network(network, counts, counts_of=[layer]).counts[layer].sum(axis=1) * conversion.units[layer]
    run = run_nengo(model, inputs, n_steps=64, scale_firing_rates=1000.0, start=0.5)
    assert np.allclose(run.counts[layer] / 64, converted, atol=0.05)
    assert np.allclose(run_nengo(model, inputs, neurons="rate", n_steps=1).last, run_ann(read_ann(model, (6,)), inputs)["output"])


@pytest.mark.parametrize("neurons", ["regular", "poisson", "stochastic"])
def test_spikes_have_the_rates_mean(neurons: Any) -> None:
    ann = read_ann(make_mlp(6, 9, 4), (6,))
    inputs = np.random.default_rng(0).uniform(0, 1, (300, 6))
    run = run_nengo(ann, inputs, neurons=neurons, n_steps=50, scale_firing_rates=200.0)
    rates = run_ann(ann, inputs)
    layer = ann.layers[0].name
    error = run.counts[layer] / (50 * 0.2) - rates[layer]
    assert np.abs(error.mean()) < 0.01
    assert np.abs((run.mean - rates["output"]).mean()) < 0.02
    spread = {"regular": 0.03, "stochastic": 0.12, "poisson": 0.15}[neurons]
    assert 0.5 * spread < error.std() < spread


def test_draws_follow_the_seed() -> None:
    ann, inputs = read_ann(make_mlp(6, 9, 4), (6,)), np.random.default_rng(0).uniform(0, 1, (20, 6))
    runs = [
        run_nengo(ann, inputs, neurons="poisson", n_steps=9, scale_firing_rates=300.0, seed=seed).outputs for seed in (1, 1, 2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_samples_side_by_side_are_samples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, inputs = draw_ann(0, -1.0)
    together = run_nengo(ann, inputs, n_steps=20, scale_firing_rates=256.0, dt_s=DT_S, start=0.0, synapse_s=0.005)
    monkeypatch.setattr("snnmap.convert.nengo_run._MOST_VALUES", 1)
    alone = run_nengo(ann, inputs, n_steps=20, scale_firing_rates=256.0, dt_s=DT_S, start=0.0, synapse_s=0.005)
    assert together.outputs.shape == (7, 20, 3)
    assert np.allclose(together.outputs, alone.outputs, atol=1e-12)
    assert all(np.array_equal(together.counts[name], alone.counts[name]) for name in together.counts)


def test_equal_samples_draw_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, inputs = read_ann(make_mlp(6, 9, 4), (6,)), np.ones((2, 6))
    for most in (10_000, 1):
        monkeypatch.setattr("snnmap.convert.nengo_run._MOST_VALUES", most)
        one, other = run_nengo(ann, inputs, neurons="stochastic", n_steps=9, scale_firing_rates=300.0).outputs
        assert not np.array_equal(one, other)


def test_a_synapse_settles_on_the_activations() -> None:
    ann, inputs = read_ann(make_mlp(6, 9, 8, 4), (6,)), np.random.default_rng(0).uniform(0, 1, (5, 6))
    wanted = run_ann(ann, inputs)["output"]
    assert np.allclose(run_nengo(ann, inputs, neurons="rate", n_steps=200, synapse_s=0.005).last, wanted, atol=1e-9)
    early = run_nengo(ann, inputs, neurons="rate", n_steps=1, synapse_s=0.005)
    assert np.allclose(early.last, ann.output.bias)  # a filtered connection delivers a step later
    assert np.allclose(early.counts[ann.layers[0].name], 1e-3 * run_ann(ann, inputs)[ann.layers[0].name])  # inputs are not


def run_directly(network: Any, source: Any, output: Any, inputs: np.ndarray) -> np.ndarray:
    """Give nengo's own rates for inputs, one simulation after the other."""
    found = []
    with network:
        seen = nengo.Probe(output)
    for values in inputs:
        source.output = values
        with nengo.Simulator(network, model=nengo.builder.Model(), progress_bar=False) as simulator:
            simulator.run_steps(2)
            found.append(simulator.data[seen][-1])
    return np.array(found)


def build_dense(rate: Any) -> tuple[Any, Any, Any]:
    generator = np.random.default_rng(3)
    with nengo.Network(seed=3, label="dense") as network:
        source, output = nengo.Node(np.zeros(6), label="pixels"), nengo.Node(size_in=3)
        middle, bias = nengo.Node(size_in=8), nengo.Node(generator.normal(size=3), label="bias")
        one = nengo.Ensemble(8, 1, neuron_type=rate(amplitude=0.5), gain=generator.normal(size=8), bias=generator.normal(size=8))
        two = nengo.Ensemble(5, 1, neuron_type=rate(), label="output")
        indices = [[0, 1], [4, 0], [2, 7]]
        nengo.Connection(source[[4, 0, 2]], one.neurons[2:], transform=generator.normal(size=(6, 3)), synapse=None)
        nengo.Connection(source[:2], one.neurons[[7, 1]], transform=[2.0, -1.0], synapse=None)
        nengo.Connection(source[1], one.neurons[0], transform=3.0, synapse=None)
        nengo.Connection(one.neurons, middle, synapse=None)
        nengo.Connection(source[::-1], middle[1:7], synapse=None)
        nengo.Connection(
            middle, two.neurons, transform=nengo.Sparse((5, 8), indices=indices, init=[1.0, 0.5, -2.0]), synapse=None
        )
        nengo.Connection(two.neurons[::2], output, transform=0.01, synapse=None)
        nengo.Connection(middle[5], output[1], synapse=None)
        nengo.Connection(bias, output, synapse=None)
    return network, source, output


def build_convolution(size: tuple[int, ...], **options: Any) -> Callable[[Any], tuple[Any, Any, Any]]:
    def build(rate: Any) -> tuple[Any, Any, Any]:
        transform = nengo.Convolution(input_shape=size, **options)
        with nengo.Network(seed=5) as network:
            source = nengo.Node(np.zeros(transform.size_in))
            ensemble = nengo.Ensemble(
                transform.size_out,
                1,
                neuron_type=rate(),
                gain=np.ones(transform.size_out),
                bias=np.linspace(-0.5, 0.5, transform.size_out),
            )
            nengo.Connection(source, ensemble.neurons, transform=transform, synapse=None)
        return network, source, ensemble.neurons

    return build


BUILDERS = {
    "dense": build_dense,
    "conv valid": build_convolution((7, 6, 2), n_filters=4, kernel_size=(3, 2), strides=(2, 1)),
    "conv same": build_convolution((7, 6, 2), n_filters=4, kernel_size=(4, 3), strides=(2, 3), padding="same"),
    "conv channels first": build_convolution(
        (4, 7, 6), n_filters=6, kernel_size=(2, 3), padding="same", channels_last=False, groups=2
    ),
    "conv of one channel, one dimension": build_convolution((9, 1), n_filters=3, kernel_size=(4,), strides=(2,), padding="same"),
}


def wrap_regular(amplitude: float = 1.0) -> Any:
    return nengo.RegularSpiking(nengo.RectifiedLinear(amplitude=0.5), amplitude=2.0 * amplitude)


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_read_computes_as_nengo_does(name: str) -> None:
    network, source, output = BUILDERS[name](nengo.RectifiedLinear)
    arguments = {"input_node": source} if name == "dense" else {}
    ann = read_nengo(network, **arguments)
    inputs = np.random.default_rng(0).uniform(-1, 1, (4, source.size_out))
    wanted = run_directly(network, source, output, inputs)
    assert np.abs(wanted).max() > 0.1
    assert np.allclose(run_ann(ann, inputs)["output"], wanted, rtol=0, atol=1e-6)
    run = run_nengo(network, inputs, neurons="rate", n_steps=1, **arguments)
    assert np.allclose(run.last, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("spiking", [nengo.SpikingRectifiedLinear, wrap_regular])
def test_spiking_neurons_are_read_by_their_rates(spiking: Any) -> None:
    inputs = np.random.default_rng(0).uniform(-1, 1, (4, 6))
    found = []
    for neurons in (nengo.RectifiedLinear, spiking):
        network, source, _ = build_dense(neurons)
        ann = read_nengo(network, input_node=source)
        found.append(run_ann(ann, inputs)["output"])
    assert np.allclose(found[0], found[1], rtol=0, atol=1e-9)
    assert [layer.name for layer in ann.layers] == ["ensemble0", "output.1"]  # "output" is the readout's
    assert (ann.name, ann.n_inputs) == ("dense", 6)


def build_curve(neuron_type: Any) -> Any:
    generator = np.random.default_rng(0)
    with nengo.Network(seed=0) as network:
        source, output = nengo.Node(np.zeros(4)), nengo.Node(size_in=2)
        gain, bias = np.full(30, 2.0), generator.uniform(0.5, 2.0, 30)
        ensemble = nengo.Ensemble(30, 1, neuron_type=neuron_type, gain=gain, bias=bias, label="hidden")
        nengo.Connection(source, ensemble.neurons, transform=generator.normal(size=(30, 4)), synapse=None)
        nengo.Connection(ensemble.neurons, output, transform=generator.normal(size=(2, 30)) / 30, synapse=None)
    return network, source, output


CURVES = [
    nengo.LIFRate(amplitude=0.02), nengo.Sigmoid(tau_ref=0.5), nengo.Tanh(tau_ref=0.5), nengo.RectifiedLinear(amplitude=3),
    nengo.PoissonSpiking(nengo.Tanh(tau_ref=1.0), amplitude=2.0),
]  # fmt: skip


@pytest.mark.parametrize("neuron_type", CURVES, ids=str)
def test_other_curves_keep_their_shape_at_any_scale(neuron_type: Any) -> None:
    network, source, output = build_curve(neuron_type)
    inputs = np.random.default_rng(1).uniform(-1, 1, (5, 4))
    rates = run_nengo(network, inputs, neurons="rate", n_steps=2).last
    for scale in (50.0, 500.0):
        run = run_nengo(network, inputs, neurons="regular", n_steps=200, scale_firing_rates=scale)
        assert np.allclose(run.mean, rates, atol=0.1 * 50.0 / scale)
    if not hasattr(neuron_type, "base_type"):
        assert np.allclose(rates, run_directly(network, source, output, inputs), rtol=0, atol=1e-9)


@pytest.mark.parametrize("neuron_type", CURVES[:4], ids=str)
def test_the_layer_graph_computes_the_curves(neuron_type: Any) -> None:
    network, source, output = build_curve(neuron_type)
    graph, inputs = RateReader(network, None).read(), np.random.default_rng(1).uniform(-1, 1, (5, 4))
    found = run_graph(graph, inputs)[graph.outputs[0]]
    assert np.allclose(found, run_directly(network, source, output, inputs), rtol=0, atol=1e-9)
    assert parse_graph(format_graph(graph), graph.constants) == graph


REFUSED = {
    "PoissonSpiking": (nengo.PoissonSpiking(nengo.RectifiedLinear()), "random draws"),
    "StochasticSpiking": (nengo.StochasticSpiking(nengo.RectifiedLinear()), "the chip is deterministic"),
    "Sigmoid": (nengo.Sigmoid(), "bounded curve"),
    "Tanh": (nengo.RegularSpiking(nengo.Tanh()), "a spike has no sign"),
    "LIFRate": (nengo.LIFRate(), "no refractory time"),
    "LIF": (nengo.LIF(), "snnmap.nn.LIF"),
    "AdaptiveLIF": (nengo.AdaptiveLIF(), "adaptation"),
    "Izhikevich": (nengo.Izhikevich(), "quadratic"),
    "Direct": (nengo.Direct(), "without neurons"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_live_on_the_chip_says_so(name: str) -> None:
    neuron_type, why = REFUSED[name]
    with nengo.Network(seed=0) as network:
        source, ensemble = nengo.Node(np.zeros(3)), nengo.Ensemble(3, 1, neuron_type=neuron_type, label="hidden")
        if name != "Direct":
            nengo.Connection(source, ensemble.neurons, synapse=None)
    with pytest.raises(FrontendError) as caught:
        read_nengo(network)
    text = str(caught.value)
    assert f"{name} neurons cannot live on a deterministic LIF chip" in text
    assert why in text
    assert "ensemble 'hidden'" in text
    assert caught.value.fix


def test_every_neuron_type_is_explained() -> None:
    types = nengo.neurons.NeuronType, nengo.neurons.RatesToSpikesNeuronType
    known = {name for name, one in vars(nengo.neurons).items() if isinstance(one, type) and issubclass(one, types[0])}
    assert set(NENGO_NEURONS) == known - {one.__name__ for one in types}
    lines = explain_neurons().splitlines()
    assert [line.split()[:2] for line in lines] == [[row.name, "yes" if row.on_chip else "no"] for row in NENGO_NEURONS.values()]
    assert all(row.on_chip or row.instead for row in NENGO_NEURONS.values())


def spoil(kind: str) -> Any:
    """Build a small network with one thing that is refused."""
    with nengo.Network(seed=None if kind == "unseeded" else 0) as network:
        source, output = nengo.Node(np.zeros(3), label="pixels"), nengo.Node(size_in=3, label="scores")
        known = {} if kind == "unseeded" else {"gain": np.ones(3), "bias": np.zeros(3)}
        noise = nengo.processes.WhiteNoise() if kind == "noise" else None
        one = nengo.Ensemble(3, 1, neuron_type=nengo.RectifiedLinear(), label="hidden", noise=noise, **known)
        nengo.Connection(source, one.neurons, synapse=0.005 if kind == "filtered" else None)
        back = nengo.Connection(one.neurons, output, transform=np.ones((3, 3)), synapse=None)
        if kind == "recurrent":
            nengo.Connection(one.neurons, one.neurons, synapse=None)
        elif kind == "decoded":
            nengo.Connection(one, output[0], synapse=None)
        elif kind == "encoded":
            nengo.Connection(source[0], one, synapse=None)
        elif kind == "learns":
            back.learning_rule_type = nengo.PES()
        elif kind == "function":
            nengo.Connection(source, output, function=np.square, synapse=None)
        elif kind == "python":
            nengo.Connection(one.neurons, nengo.Node(lambda _, x: x, size_in=3, label="code"), synapse=None)
            nengo.Connection(network.all_nodes[-1], output, synapse=None)
        elif kind == "two inputs":
            nengo.Connection(nengo.Node(np.ones(3), label="bias"), output, synapse=None)
        elif kind == "two outputs":
            nengo.Connection(one.neurons, nengo.Node(size_in=3, label="more"), synapse=None)
        elif kind == "transposed":
            transform = nengo.ConvolutionTranspose(1, (3, 1), kernel_size=(1,), strides=(1,), output_shape=(3, 1))
            nengo.Connection(one.neurons, output, transform=transform, synapse=None)
    return network


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("unseeded", ["no seed", "ensemble 'hidden'"]),
        ("noise", ["without noise", "ensemble 'hidden'"]),
        ("filtered", ["synapses", "from Node 'pixels' to ensemble 'hidden'", "synapse=None"]),
        ("recurrent", ["SNN", "hidden -> hidden", "recurrent=True"]),
        ("decoded", ["SNN", "from ensemble 'hidden' to Node 'scores'"]),
        ("encoded", ["SNN", "from Node 'pixels' to ensemble 'hidden'"]),
        ("learns", ["learns", "ensemble 'hidden'"]),
        ("function", ["Python function"]),
        ("python", ["Python", "Node 'code'"]),
        ("two inputs", ["pixels, bias", "input_node"]),
        ("two outputs", ["scores, more"]),
        ("transposed", ["ConvolutionTranspose"]),
    ],
)
def test_other_networks_are_refused(kind: str, said: list[str]) -> None:
    with pytest.raises(FrontendError) as caught:
        read_nengo(spoil(kind))
    assert [words for words in said if words not in str(caught.value)] == []


def test_what_is_read_runs_again() -> None:
    network = spoil("nothing")
    inputs = np.random.default_rng(0).uniform(0, 1, (5, 3))
    runs = [run_nengo(one, inputs, n_steps=12, scale_firing_rates=200.0, seed=4) for one in (network, read_nengo(network))]
    assert np.array_equal(runs[0].outputs, runs[1].outputs)
    assert list(runs[0].counts) == ["hidden"]


def test_what_is_read_is_converted() -> None:
    inputs = np.random.default_rng(0).uniform(0, 1, (50, 3))
    conversion = convert_ann(read_nengo(spoil("nothing")), inputs)
    counts = simulate_network(conversion.network, split_ports(conversion.encode(inputs)), counts_of=["hidden"]).counts["hidden"]
    run = run_nengo(spoil("nothing"), inputs, n_steps=64, scale_firing_rates=1000.0, start=0.5)
    assert np.allclose(counts.sum(axis=1) * conversion.units["hidden"], run.counts["hidden"] / 64, atol=0.05)


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        (np.ones((4, 5)), {}),
        (np.ones((0, 3)), {}),
        (np.ones(3), {}),
        (np.ones((4, 3)), {"n_steps": 0}),
        (np.ones((4, 3)), {"scale_firing_rates": 0.0}),
        (np.ones((4, 3)), {"synapse_s": -0.1}),
        (np.ones((4, 3)), {"dt_s": np.nan}),
        (np.ones((4, 3)), {"start": 1.0}),
        (np.ones((4, 3)), {"neurons": "irregular"}),
    ],
)
def test_bad_arguments(inputs: np.ndarray, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_nengo(make_ann((np.ones((3, 2)), np.zeros(2))), inputs, **{"n_steps": 3, **options})


def test_a_quantised_layer_is_refused() -> None:
    ann, inputs = draw_ann(0, -1.0)
    layers = tuple(replace(layer, step=0.5) for layer in ann.layers)
    with pytest.raises(FrontendError, match="layer 'layer0'"):
        run_nengo(replace(ann, layers=layers), inputs, n_steps=3)


def test_without_nengo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nengo", None)
    with pytest.raises(FrontendError, match=r"pip install 'snnmap\[nengo\]'"):
        read_nengo(None)


def test_only_networks_are_read() -> None:
    with pytest.raises(FrontendError, match=r"nengo\.Network"):
        read_nengo(make_mlp(3, 2))
