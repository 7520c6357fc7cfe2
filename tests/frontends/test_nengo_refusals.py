import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from nengo_networks import AT_ZERO, N_STEPS, build_one, compare, make_input, nengo, probe_all

from snnmap.core.errors import ConversionWarning, FrontendError
from snnmap.frontends.nengo import load
from snnmap.network import Network, draw_inputs, simulate_network

pytestmark = pytest.mark.filterwarnings("ignore:Non-finite values detected")


INEXACT = {
    "negative currents": (
        nengo.SpikingRectifiedLinear(initial_state=AT_ZERO),
        -1.0,
        "1 of 4 neurons; a spike takes up to 9.52e-05",
    ),
    "voltage floor": (nengo.LIF(tau_ref=0, initial_state=AT_ZERO), -1.0, "1 of 4 neurons; a spike takes up to 0.0046"),
    "refractory time": (nengo.LIF(min_voltage=-np.inf, initial_state=AT_ZERO), 1.0, "tau_ref=0.002 s, 2 steps"),
}


@pytest.mark.parametrize("kind", INEXACT)
def test_what_is_not_exact_is_loaded_only_when_asked(kind: Any) -> None:
    neuron_type, weight, measured = INEXACT[kind]
    network = build_one(neuron_type, weight)
    with pytest.raises(FrontendError) as caught:
        load(network)
    assert measured in caught.value.measured
    assert "ensembles[0] 'hidden'" in caught.value.where
    assert f"allow_approximate=('{kind}',)" in caught.value.fix
    loaded = load(network, allow_approximate=(kind,))
    assert kind in loaded.provenance["approximations"]
    assert "ensembles[0] 'hidden'" in loaded.provenance["approximations"]


def compare_driven(neuron_type: Any, unit: float, allowed: tuple[str, ...]) -> tuple[int, int, Network]:
    """Compare 30 neurons under fluctuating currents of both signs, weakly positive on average."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(1.0, (1, N_STEPS, 20))
    with nengo.Network(seed=0) as network:
        ensemble = nengo.Ensemble(30, 1, gain=np.ones(30), bias=np.zeros(30), neuron_type=neuron_type, label="layer")
        weights = rng.normal(0.0, 0.3, (30, 20))
        weights = (weights - weights.mean(axis=1, keepdims=True) + 0.02) * unit
        nengo.Connection(make_input(counts), ensemble.neurons, transform=weights, synapse=0.005)
    probe_all(network)
    return compare(network, counts, allow_approximate=allowed)


@pytest.mark.parametrize("kind", INEXACT)
def test_what_is_refused_does_differ(kind: Any) -> None:
    differing, total, _ = compare_driven(INEXACT[kind][0], 200.0 if kind == "negative currents" else 3.0, (kind,))
    print(f"{kind}: {differing} of {total} spikes differ")
    assert total > 100
    assert 0 < differing < 2 * total  # a spike that moves counts twice


def test_a_reset_to_zero_may_be_replaced() -> None:
    exact = nengo.LIF(tau_ref=0, min_voltage=-np.inf, initial_state=AT_ZERO)
    assert compare_driven(exact, 3.0, ())[0] == 0
    with pytest.warns(ConversionWarning, match=r"subtract their threshold: \d+ spikes, \d+ in nengo; [\d.]+% of the active"):
        differing, total, network = compare_driven(exact, 3.0, ("reset to zero",))
    assert 0 < differing < 2 * total
    assert network.populations[0].reset == "subtract"
    assert "reset to zero replaced" in network.provenance["approximations"]
    assert "on 10 drawn samples" in network.provenance["reset to zero"]


def test_spikes_that_are_told_of_nengo_are_those_of_the_network_without_the_approximation() -> None:
    source = build_one(nengo.LIF(tau_ref=0, min_voltage=-np.inf, initial_state=AT_ZERO), 30.0)
    exact = load(source)
    n_spikes = simulate_network(exact, draw_inputs(exact.inputs, max_count=15)).counts["hidden"].sum()
    with pytest.warns(ConversionWarning, match=f"{n_spikes} in nengo"):
        load(source, allow_approximate=["reset to zero"])


def test_a_chips_spike_limit_is_a_choice() -> None:
    """What is not sent in a step is sent in later ones: the totals agree within a spike where the input ends early."""
    counts = np.zeros((1, N_STEPS, 4), np.int64)
    counts[0, :20] = np.random.default_rng(0).poisson(1.0, (20, 4))
    neuron_type = nengo.SpikingRectifiedLinear(initial_state=AT_ZERO)
    with nengo.Network(seed=0) as network:
        ensemble = nengo.Ensemble(4, 1, gain=np.ones(4), bias=np.zeros(4), neuron_type=neuron_type, label="layer")
        nengo.Connection(make_input(counts), ensemble.neurons, transform=np.full((4, 4), 700.0), synapse=0.005)
    probe_all(network)
    assert compare(network, counts)[0] == 0
    for limit in (2, {ensemble: 2}):
        loaded = load(network, max_count=limit)
        found = simulate_network(loaded, counts).counts["layer"]
        assert found.max() == 2
        assert found.sum() == simulate_network(load(network), counts).counts["layer"].sum() > 100
        assert "at most 2 spikes a step" in loaded.provenance["approximations"]


class OtherLIF(nengo.LIF):
    pass


REFUSED = {
    "RectifiedLinear": (nengo.RectifiedLinear(), "a rate"),
    "LIFRate": (nengo.LIFRate(), "a rate"),
    "PoissonSpiking": (nengo.PoissonSpiking(nengo.RectifiedLinear()), "random draws"),
    "RegularSpiking": (nengo.RegularSpiking(nengo.LIFRate()), "not linear"),
    "AdaptiveLIF": (nengo.AdaptiveLIF(), "states"),
    "Izhikevich": (nengo.Izhikevich(), "states"),
    "Direct": (nengo.Direct(), "without neurons"),
    "OtherLIF": (OtherLIF(), "does not know its arithmetic"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_neurons_are_refused(name: str) -> None:
    neuron_type, why = REFUSED[name]
    with pytest.raises(FrontendError, match=f"{name} neurons have no counterpart on the chip") as caught:
        load(build_one(neuron_type))
    assert why in str(caught.value)
    assert "ensembles[0] 'hidden'" in caught.value.where
    assert caught.value.fix


@dataclass
class Small:
    network: Any
    source: Any
    ensemble: Any


def spoil(change: Callable[[Small], object]) -> Any:
    """Build a small network, and change it."""
    network = build_one(nengo.LIF(tau_ref=0, min_voltage=-np.inf, initial_state=AT_ZERO))
    with network:
        change(Small(network, network.nodes[0], network.ensembles[0]))
    return network


def connect_constant(small: Small) -> None:
    nengo.Connection(nengo.Node([1.0]), small.ensemble, synapse=0.01)


def connect_twice(small: Small) -> None:
    middle = nengo.Node(size_in=4)
    nengo.Connection(small.source, middle, synapse=0.01)
    nengo.Connection(middle, small.ensemble.neurons, synapse=0.02)


def connect_loop(small: Small) -> None:
    middle = nengo.Node(size_in=4, label="integrator")
    nengo.Connection(middle, middle, synapse=0.1)
    nengo.Connection(middle, small.ensemble.neurons, synapse=None)


def connect_python(small: Small) -> None:
    nengo.Connection(nengo.Node(lambda _, x: x, size_in=4), small.ensemble.neurons, synapse=None)


def learn(small: Small) -> None:
    learning = nengo.Connection(small.ensemble.neurons, small.ensemble.neurons, transform=np.eye(4), synapse=0.01)
    learning.learning_rule_type = nengo.BCM()


SPOILT = {
    "alpha synapse": (
        lambda small: nengo.Connection(small.source, small.ensemble.neurons, synapse=nengo.Alpha(0.01)),
        "synapse Alpha",
    ),
    "euler": (
        lambda small: nengo.Connection(small.source, small.ensemble.neurons, synapse=nengo.Lowpass(0.01, method="euler")),
        "zero-order hold",
    ),
    "two filters": (connect_twice, "two filters with memory"),
    "filtered constant": (connect_constant, "a constant passes a filter"),
    "loop of Nodes": (connect_loop, "'integrator' -> nodes[1] 'integrator'"),
    "python": (connect_python, "runs Python"),
    "function": (lambda small: nengo.Connection(small.source, small.ensemble.neurons, function=np.square), "Python function"),
    "learning": (learn, "learns"),
    "noise": (lambda small: setattr(small.ensemble, "noise", nengo.processes.WhiteNoise()), "noise"),
    "no probe": (lambda small: small.network.probes.clear(), "no probe"),
    "voltage": (lambda small: nengo.Probe(small.ensemble.neurons, "voltage"), "reads 'voltage' of Neurons"),
    "within a step": (
        lambda small: nengo.Connection(small.ensemble.neurons, small.ensemble.neurons, synapse=None),
        "nengo cannot build the network",
    ),
    "start": (
        lambda small: setattr(
            small.ensemble, "neuron_type", nengo.LIF(tau_ref=0, initial_state={"voltage": nengo.dists.Choice([2])})
        ),
        "initial voltage",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_has_no_counterpart_is_refused(kind: str) -> None:
    change, said = SPOILT[kind]
    with pytest.raises(FrontendError) as caught:
        load(spoil(change))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": ["input"]}, "an input is no Node"),
        ({"input_scale": 0.0}, "input_scale"),
        ({"initial_voltage": "one"}, "initial_voltage names a choice"),
        ({"dt_s": -1.0}, "dt_s"),
        ({"max_count": 0}, "max_count"),
        ({"max_count": 2.5}, "max_count is no number of spikes"),
        ({"max_count": {"hidden": 3}}, "a key of max_count is none of the network's ensembles"),
        ({"input_scale": {"input": 0.5}}, "a key of input_scale is none of the network's Nodes"),
        ({"input_scale": "1"}, "input_scale"),
        ({"dt_s": "1e-3"}, "dt_s"),
        ({"allow_approximate": ("noise",)}, "allow_approximate names a choice"),
        ({"allow_approximate": "voltage floor"}, "allow_approximate names a choice"),
    ],
)
def test_bad_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        load(build_one(nengo.LIF(tau_ref=0, initial_state=AT_ZERO)), **options)


def test_a_node_that_is_not_an_input_must_be_constant() -> None:
    with pytest.raises(FrontendError, match="not among the inputs"):
        load(spoil(lambda small: nengo.Connection(nengo.Node(np.sin), small.ensemble)), inputs=[])


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnmap.frontends import nengo_dl

    monkeypatch.setitem(sys.modules, "nengo_dl", None)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(FrontendError, match=r"pip install 'snnmap\[nengo-dl\]'"):
        nengo_dl.load(None)
    monkeypatch.setitem(sys.modules, "nengo", None)
    for load_one in (load, nengo_dl.load):
        with pytest.raises(FrontendError, match=r"pip install 'snnmap\[nengo\]'"):
            load_one(None)


def test_only_networks_and_simulators_are_read() -> None:
    with pytest.raises(FrontendError, match=r"nengo\.Network"):
        load("network")


@pytest.mark.parametrize("changed", ["step", "make_step"])
def test_a_method_replaced_on_an_object_is_refused(changed: str) -> None:
    synapse, neuron_type = nengo.Lowpass(0.005), nengo.LIF(tau_ref=0, min_voltage=-np.inf)
    owner: Any = neuron_type if changed == "step" else synapse
    old = getattr(owner, changed)
    vars(owner)[changed] = lambda *given, **options: old(*given, **options)
    with nengo.Network(seed=0) as network:
        ensemble = nengo.Ensemble(4, 2, neuron_type=neuron_type)
        nengo.Connection(nengo.Node(np.zeros(2)), ensemble, synapse=synapse)
        nengo.Probe(ensemble.neurons)
    with pytest.raises(FrontendError, match="no counterpart"):
        load(network, initial_voltage="zero")


def test_neurons_that_rest_at_first_are_refused() -> None:
    """A refractory time at the start delays neurons of tau_ref = 0 too."""
    resting = {"initial_state": {"refractory_time": nengo.dists.Choice([0.01])}}
    with pytest.raises(FrontendError, match="start within a refractory time") as caught:
        load(build_one(nengo.LIF(tau_ref=0, min_voltage=-np.inf, **resting)))
    assert "ensembles[0] 'hidden'" in caught.value.where
    assert caught.value.fix


def test_what_fails_while_nengo_builds_is_told() -> None:
    network = build_one(nengo.LIF(tau_ref=0, min_voltage=-np.inf))
    with network:
        read = nengo.Node(size_in=1)
        inverse = {"function": lambda x: [1.0 / float(1.0 - x[0])], "eval_points": np.array([[0.0], [1.0]])}
        nengo.Connection(network.ensembles[0], read, **inverse)
    with pytest.raises(FrontendError, match="nengo cannot build the network: ZeroDivisionError") as caught:
        load(network)
    assert caught.value.fix
