"""Random nengo networks, and their spikes as nengo's own simulator gives them."""

from typing import Any

import numpy as np

from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo import encode_inputs, load
from snnmap.network import Network, simulate_network

nengo = import_nengo()
nengo.rc.set("decoder_cache", "enabled", "False")  # which parallel runs would lock for each other
N_STEPS = 200
AT_ZERO = {"voltage": nengo.dists.Choice([0])}


def make_lif(rng: np.random.Generator, **fixed: Any) -> Any:
    options = {"tau_rc": float(rng.uniform(0.003, 0.03)), "amplitude": float(rng.uniform(0.3, 1.5)), **fixed}
    return nengo.LIF(tau_ref=0, min_voltage=-np.inf, **options)


def make_rectified(rng: np.random.Generator, **fixed: Any) -> Any:
    if rng.random() < 0.5:
        return nengo.SpikingRectifiedLinear(amplitude=float(rng.uniform(0.3, 1.5)), **fixed)
    base = nengo.RectifiedLinear(amplitude=float(rng.uniform(0.5, 1.5)))
    return nengo.RegularSpiking(base, amplitude=float(rng.uniform(0.3, 1.5)), **fixed)


def draw_counts(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.poisson(0.4, (1, N_STEPS, size))


def make_input(counts: np.ndarray, scale: float = 1.0) -> Any:
    return nengo.Node(lambda t: counts[0, round(t / 0.001) - 1] * scale, size_out=counts.shape[2], label="input")


def run_nengo(network: Any) -> dict[str, np.ndarray]:
    """Give what nengo's own simulator records, by probe label."""
    with np.errstate(divide="ignore", invalid="ignore"), nengo.Simulator(network, progress_bar=False) as simulator:
        simulator.run_steps(N_STEPS)
        return {probe.label: np.array(simulator.data[probe]) for probe in network.all_probes}


def probe_all(network: Any) -> None:
    with network:
        for ensemble in network.all_ensembles:
            nengo.Probe(ensemble.neurons, label=f"{ensemble.label} spikes")


def count_spikes(network: Any, recorded: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn nengo's output, amplitude over dt a spike, into counts, by ensemble."""
    counts = {}
    for ensemble in network.all_ensembles:
        exact = recorded[f"{ensemble.label} spikes"] * 0.001 / ensemble.neuron_type.amplitude
        counts[ensemble.label] = np.rint(exact).astype(int)
        assert np.allclose(exact, counts[ensemble.label], atol=1e-6)
    return counts


def compare(source: Any, counts: np.ndarray, **options: Any) -> tuple[int, int, Network]:
    """Give spikes that differ, spikes in all and the network."""
    expected = count_spikes(source, run_nengo(source))
    network = load(source, **options)
    found = simulate_network(network, encode_inputs(network, counts), counts_of=list(expected)).counts
    differing = sum(int(np.abs(found[name][0] - expected[name]).sum()) for name in expected)
    return differing, sum(int(one.sum()) for one in expected.values()), network


def build_direct(seed: int) -> tuple[Any, np.ndarray]:
    """Deep and recurrent, neuron to neuron, up to two synapses, some through Nodes, gains that are not 1."""
    rng = np.random.default_rng(seed)
    linear = seed % 3 == 0
    counts = draw_counts(rng, int(rng.integers(2, 6)))
    initial = {} if seed % 4 == 1 else {"initial_state": AT_ZERO}
    taus = [None, 0.0, float(rng.uniform(0.002, 0.01)), float(rng.uniform(0.01, 0.04))]
    unit = 1000.0 if linear else 1.0

    def draw(n_post: int, n_pre: int, level: float) -> np.ndarray:
        weights = rng.normal(0.0, 1.0, (n_post, n_pre)) + 0.5
        return level * (np.abs(weights) if linear else weights) / n_pre

    with nengo.Network(seed=seed) as network:
        pre = make_input(counts)
        level = 0.6 * unit if linear else 6.0
        for depth in range(int(rng.integers(2, 5))):
            n = int(rng.integers(4, 12))
            neuron_type = make_rectified(rng, **initial) if linear else make_lif(rng, **initial)
            bias = rng.uniform(0, 0.1, n) * unit if linear else rng.uniform(-0.2, 1.7, n)
            ensemble = nengo.Ensemble(
                n, 1, neuron_type=neuron_type, gain=rng.uniform(0.5, 1.5, n), bias=bias, label=f"layer{depth}"
            )
            size, sent = (pre.size_out, 1.0) if isinstance(pre, nengo.Node) else (pre.n_neurons, 0.001)
            where = pre if isinstance(pre, nengo.Node) else pre.neurons
            for _ in range(int(rng.integers(1, 3))):
                tau = taus[int(rng.integers(4))]
                nengo.Connection(where, ensemble.neurons, transform=draw(n, size, level * sent), synapse=tau)
            middle = nengo.Node(size_in=3)
            nengo.Connection(where, middle, transform=draw(3, size, level * sent), synapse=None)
            nengo.Connection(middle[[2, 0]], ensemble.neurons[1:3], synapse=taus[int(rng.integers(1, 4))])
            if rng.random() < 0.6:
                back = draw(n, n, 0.3 * level * 0.001)
                nengo.Connection(ensemble.neurons, ensemble.neurons, transform=back, synapse=taus[int(rng.integers(1, 4))])
            pre = ensemble
    probe_all(network)
    return network, counts


def build_decoded(seed: int) -> tuple[Any, np.ndarray]:
    """Ensembles of represented values: decoders times encoders, functions, weight solvers, recurrence."""
    rng = np.random.default_rng(1000 + seed)
    counts = draw_counts(rng, 2)
    with nengo.Network(seed=seed) as network:
        source = make_input(counts)
        initial = {"initial_state": AT_ZERO} if seed % 2 else {}
        ensembles = [
            nengo.Ensemble(
                int(rng.integers(15, 30)), 2, radius=float(rng.uniform(0.8, 1.5)),
                neuron_type=make_lif(rng, amplitude=1.0, **initial),
                max_rates=nengo.dists.Uniform(100, 300), label=f"ensemble{number}",
            )
            for number in range(3)
        ]  # fmt: skip
        nengo.Connection(source, ensembles[0], transform=0.8, synapse=float(rng.choice([0.005, 0.0])))
        nengo.Connection(ensembles[0], ensembles[1], function=np.square, synapse=0.005)
        nengo.Connection(ensembles[0], ensembles[1][0], function=lambda x: x[0] * x[1], synapse=0.02)
        solver = nengo.solvers.LstsqL2(weights=bool(seed % 3))
        nengo.Connection(ensembles[1], ensembles[2], transform=[[0, 1], [-1, 0]], solver=solver, synapse=0.01)
        nengo.Connection(ensembles[2], ensembles[2], transform=0.9, synapse=0.1)
        nengo.Connection(ensembles[0].neurons[:5], ensembles[2].neurons[3:8], transform=0.002, synapse=0.01)
    probe_all(network)
    return network, counts


def build_one(neuron_type: Any, weight: float = 1.0, **options: Any) -> Any:
    """Four neurons driven one to one."""
    with nengo.Network(seed=0, label="small") as network:
        source = nengo.Node(np.zeros(4), label="input")
        given = {"gain": np.ones(4), "bias": np.zeros(4), "label": "hidden", "neuron_type": neuron_type, **options}
        ensemble = nengo.Ensemble(4, 1, **given)
        if not isinstance(neuron_type, nengo.Direct):
            nengo.Connection(source, ensemble.neurons, transform=np.diag([1.0, 1.0, 1.0, weight]), synapse=0.01)
            nengo.Connection(source, ensemble.neurons, transform=np.full((4, 4), 0.5), synapse=0.01)
            nengo.Probe(ensemble.neurons, label="spikes")
    return network
