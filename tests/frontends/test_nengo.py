import numpy as np
import pytest
from nengo_networks import (
    AT_ZERO,
    N_STEPS,
    build_decoded,
    build_direct,
    build_one,
    compare,
    count_spikes,
    draw_counts,
    make_input,
    make_lif,
    nengo,
    probe_all,
    run_nengo,
)

from snnmap.core.errors import ConversionWarning, FrontendError, InputError
from snnmap.frontends.nengo import START, encode_inputs, load
from snnmap.network import Network, format_network, parse_network, simulate_network
from snnmap.pipeline import check_model

pytestmark = pytest.mark.filterwarnings("ignore:Non-finite values detected")


@pytest.mark.parametrize("seed", range(45))
def test_direct_connections_give_the_same_spikes(seed: int) -> None:
    network, counts = build_direct(seed)
    differing, total, loaded = compare(network, counts)
    assert total > 100
    assert differing == 0
    assert (START in {port.name for port in loaded.inputs}) == (seed % 4 == 1)


@pytest.mark.parametrize("seed", range(15))
def test_decoded_connections_give_the_same_spikes(seed: int) -> None:
    network, counts = build_decoded(seed)
    differing, total, _ = compare(network, counts)
    assert total > 100
    assert differing == 0


def test_networks_are_deep_recurrent_and_of_two_synapses() -> None:
    networks = [load(build_direct(seed)[0]) for seed in range(10)] + [load(build_decoded(seed)[0]) for seed in range(3)]
    assert max(len(network.populations) for network in networks) >= 4
    assert sum(any(p.pre == p.post for p in network.projections) for network in networks) >= 5
    filtered = [max((p.alpha[:, 0] > 0).sum() for p in network.populations) for network in networks]
    assert sum(n >= 2 for n in filtered) >= 5


def test_a_simulator_gives_what_it_drew_and_dt() -> None:
    counts = draw_counts(np.random.default_rng(0), 3)
    with nengo.Network() as network:
        source = make_input(counts)
        ensemble = nengo.Ensemble(20, 3, neuron_type=nengo.LIF(tau_ref=0, min_voltage=-np.inf), label="layer")
        nengo.Connection(source, ensemble, synapse=0.01)
        probe = nengo.Probe(ensemble.neurons)
    with pytest.raises(FrontendError, match="drawn at random"):
        load(network)
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run_steps(N_STEPS)
        loaded = load(simulator)
        expected = np.rint(simulator.data[probe] * 0.001)
    found = simulate_network(loaded, encode_inputs(loaded, counts)).counts["layer"][0]
    assert expected.sum() > 100
    assert np.array_equal(found, expected)
    with pytest.raises(FrontendError, match="another length of step"):
        load(simulator, dt_s=2e-3)


def read_potentials(network: Network, counts: np.ndarray) -> dict[str, np.ndarray]:
    run = simulate_network(network, encode_inputs(network, counts), states_of=network.output_populations)
    return {port.name: run.potentials[port.populations[0]][0] for port in network.outputs}


def test_probes_that_filter_or_decode_read_the_same_values() -> None:
    rng = np.random.default_rng(3)
    counts = draw_counts(rng, 2)
    with nengo.Network(seed=3) as network:
        source, constant, out = make_input(counts), nengo.Node([0.5, -1.0]), nengo.Node(size_in=2, label="out")
        ensemble = nengo.Ensemble(20, 2, neuron_type=make_lif(rng), label="layer")
        nengo.Connection(source, ensemble, synapse=0.005)
        nengo.Connection(ensemble, out, function=np.square, synapse=0.02)
        nengo.Connection(constant, out, transform=2.0, synapse=None)
        nengo.Connection(source[1], out[0], synapse=0.0)
        nengo.Probe(ensemble, label="decoded", synapse=0.03)
        nengo.Probe(ensemble[1], label="decoded in part")
        nengo.Probe(ensemble.neurons, label="filtered", synapse=0.01)
        nengo.Probe(ensemble.neurons[3:7], label="four neurons")
        nengo.Probe(out, label="node")
        nengo.Probe(out[1:], label="part of node")
        middle = nengo.Node(size_in=2)
        nengo.Connection(ensemble, middle, synapse=0.02)
        nengo.Probe(middle, label="filtered twice", synapse=0.01)
    expected, found = run_nengo(network), read_potentials(load(network), counts)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert np.abs(values).max() > 0.1, name
        assert np.allclose(found[name], values, rtol=1e-9, atol=1e-9), name


def test_a_probe_that_samples_is_told_and_records_some_of_the_steps() -> None:
    counts = draw_counts(np.random.default_rng(0), 3)
    with nengo.Network(seed=0) as network:
        source = make_input(counts)
        ensemble = nengo.Ensemble(20, 3, neuron_type=make_lif(np.random.default_rng(0), initial_state=AT_ZERO))
        nengo.Connection(source, ensemble, synapse=0.01)
        probe = nengo.Probe(ensemble, synapse=0.01, sample_every=0.005, label="slow")
    with pytest.warns(ConversionWarning, match=r"probes\[0\]: nengo records one step in 5, 'slow' has every step"):
        loaded = load(network)
    assert "one step in 5" in loaded.provenance["samples"]
    with nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run_steps(counts.shape[1])
    assert np.allclose(read_potentials(loaded, counts)["slow"][4::5], simulator.data[probe], atol=1e-12)


def test_convolutions_sparse_and_diagonal_transforms_are_the_same() -> None:
    rng = np.random.default_rng(5)
    counts = draw_counts(rng, 30)
    convolution = nengo.Convolution(3, (5, 3, 2), kernel_size=(2, 2), padding="same")
    back = nengo.ConvolutionTranspose(2, (5, 3, 3), kernel_size=(2, 2), padding="same")
    with nengo.Network(seed=5) as network:
        source = make_input(counts)
        one = nengo.Ensemble(
            45, 1, gain=np.full(45, 9.0), bias=np.ones(45), neuron_type=make_lif(rng, amplitude=1.0), label="one"
        )
        two = nengo.Ensemble(
            30, 1, gain=np.full(30, 2.0), bias=np.full(30, 1.05), neuron_type=make_lif(rng, amplitude=1.0), label="two"
        )
        nengo.Connection(source, one.neurons, transform=convolution, synapse=0.005)
        middle = nengo.Node(size_in=30)
        nengo.Connection(one.neurons, middle, transform=back, synapse=0.005)
        nengo.Connection(middle, two.neurons, transform=rng.normal(size=30) * 0.01, synapse=None)
        sparse = nengo.Sparse((30, 45), indices=[[0, 1], [3, 40], [29, 44]], init=[0.01, 0.02, -0.01])
        nengo.Connection(one.neurons, two.neurons, transform=sparse, synapse=None)
    probe_all(network)
    differing, total, _ = compare(network, counts)
    assert total > 100
    assert differing == 0


def test_values_of_nodes_are_spikes_times_the_scale() -> None:
    counts = draw_counts(np.random.default_rng(0), 4)
    with nengo.Network(seed=0) as network:
        source = make_input(counts, scale=0.125)
        ensemble = nengo.Ensemble(10, 4, neuron_type=nengo.LIF(tau_ref=0, min_voltage=-np.inf), label="layer")
        nengo.Connection(source, ensemble, synapse=0.01)
    probe_all(network)
    expected = count_spikes(network, run_nengo(network))["layer"]
    loaded = load(network, input_scale={source: 0.125})
    encoded = encode_inputs(loaded, {"input": counts * 0.125}, input_scale={"input": 0.125})
    assert np.array_equal(encoded["input"], counts)
    assert np.array_equal(simulate_network(loaded, encoded).counts["layer"][0], expected)
    for values in (counts * 0.1, -1.0 * counts, counts[0], {"other": counts}, np.full(counts.shape, np.nan)):
        with pytest.raises(InputError):
            encode_inputs(loaded, values, input_scale=0.125)


def test_small_network_as_text() -> None:
    neuron_type = nengo.LIF(tau_rc=0.02, tau_ref=0, initial_state=AT_ZERO)
    network = load(build_one(neuron_type))
    assert (network.name, network.dt_s) == ("small", 1e-3)
    (population,) = network.populations
    assert (population.reset, population.source) == ("value", "ensembles[0] 'hidden', " + str(neuron_type))
    assert np.allclose(population.alpha, np.exp(-0.1))
    assert np.allclose(population.beta, np.exp(-0.05))
    assert {p.source for p in network.projections} == {
        "connections[0]: nodes[0] 'input' -> ensembles[0] 'hidden'",
        "connections[1]: nodes[0] 'input' -> ensembles[0] 'hidden'",
    }
    assert [p.delay_steps for p in network.projections] == [1, 1]
    assert np.allclose(network.projections[0].weights.data, (1 - np.exp(-0.1)) * (1 - np.exp(-0.05)))
    assert network.provenance["framework"] == f"nengo {nengo.__version__}"
    assert set(network.provenance) == {
        "framework", "dt", "synapse discretisation", "membrane discretisation", "reset", "input latency", "input scale",
        "initial voltage", "approximations",
    }  # fmt: skip
    assert network.provenance["approximations"] == "none"
    assert format_network(parse_network(format_network(network))) == format_network(network)


def test_currents_that_keep_their_sign_are_exact() -> None:
    """Neurons that only ever lose charge are silent in both, and need no permission."""
    counts = draw_counts(np.random.default_rng(0), 4)
    for neuron_type in (nengo.SpikingRectifiedLinear(), nengo.LIF(tau_ref=0)):
        with nengo.Network(seed=0) as network:
            source, bias = make_input(counts), np.array([0.0, 400.0, -1.0, 0.0])
            ensemble = nengo.Ensemble(4, 1, gain=np.ones(4), bias=bias, neuron_type=neuron_type, label="layer")
            nengo.Connection(source, ensemble.neurons, transform=np.diag([90.0, 80.0, -70.0, 60.0]), synapse=0.005)
        probe_all(network)
        differing, total, _ = compare(network, counts)
        assert total > 50
        assert differing == 0


class FastLIF(nengo.LIF):
    """The arithmetic of nengo_extras 0.5.0, neurons.py, in the interface of nengo 4."""

    def step(self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray, refractory_time: np.ndarray) -> None:  # noqa: N803
        change = -np.expm1(-dt / self.tau_rc) * (J - voltage)
        voltage += change
        voltage[voltage < self.min_voltage] = self.min_voltage
        refractory_time -= dt
        voltage *= (1 - refractory_time / dt).clip(0, 1)
        output[:] = (voltage > 1) / dt
        spiked = output > 0
        overshoot = (voltage[spiked] - 1) / change[spiked]
        voltage[spiked] = 0
        refractory_time[spiked] = self.tau_ref + dt * (1 - overshoot)


def test_the_fast_lif_of_nengo_extras_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, counts = build_direct(2)
    for ensemble in network.all_ensembles:
        ensemble.neuron_type = FastLIF(tau_ref=0, min_voltage=-np.inf)
    with pytest.raises(FrontendError, match="does not know its arithmetic"):
        load(network)
    monkeypatch.setattr(FastLIF, "__module__", "nengo_extras.neurons")
    differing, total, _ = compare(network, counts)
    assert total > 100
    assert differing == 0


def test_names_are_unique_and_say_where() -> None:
    with nengo.Network(seed=0) as network:
        for _ in range(2):
            with nengo.Network(label="part"):
                ensemble = nengo.Ensemble(3, 1, neuron_type=nengo.LIF(tau_ref=0, min_voltage=-np.inf), label="same")
                nengo.Connection(nengo.Node([0.0]), ensemble)
                nengo.Probe(ensemble.neurons)
    loaded = load(network)
    assert [p.name for p in loaded.populations] == ["same", "same.1"]
    assert [p.source.split(",")[0] for p in loaded.populations] == [
        "networks[0].ensembles[0] 'same'",
        "networks[1].ensembles[0] 'same'",
    ]
    assert [port.name for port in loaded.outputs] == ["probe0", "probe1"]


def test_nothing_of_the_users_is_changed() -> None:
    network, _ = build_decoded(3)
    before = [(one.transform, one.synapse, one.solver, one.seed) for one in network.all_connections], len(network.all_objects)
    texts = [format_network(load(network)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert before == (
        [(one.transform, one.synapse, one.solver, one.seed) for one in network.all_connections],
        len(network.all_objects),
    )


def test_filtered_probes_are_neurons_that_a_chip_with_currents_has() -> None:
    """The filter is the synapse's, not the membrane's, unless the synapses have memories of their own."""
    with nengo.Network(seed=0) as network:
        source = nengo.Node(np.zeros(3), label="input")
        hidden = nengo.Ensemble(6, 1, neuron_type=make_lif(np.random.default_rng(0), initial_state=AT_ZERO), label="hidden")
        nengo.Connection(source, hidden.neurons, transform=np.full((6, 3), 2.0), synapse=0.005)
        nengo.Probe(hidden, synapse=0.01, label="decoded")
        nengo.Probe(hidden.neurons, synapse=0.005, label="filtered")
    with pytest.warns(ConversionWarning, match="subtract their threshold"):
        read = load(network, allow_approximate=["reset to zero"])
    for name, tau in (("decoded", 0.01), ("filtered", 0.005)):
        population = read.population(name)
        assert np.allclose(population.alpha, np.exp(-0.001 / tau))
        assert not population.beta.any()
    found = check_model(read, "xylo-audio-3").report
    assert "SNN502" not in {one.rule for one in found.errors}
