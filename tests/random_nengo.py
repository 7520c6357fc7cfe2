"""Random nengo networks: Nodes, networks in networks, slices, transforms, solvers, functions, synapses of every kind."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nengo_networks import AT_ZERO, draw_counts, make_lif, make_rectified, nengo
from scipy.sparse import coo_matrix

FUNCTIONS = (np.square, np.sin, lambda x: [np.sum(x)], lambda x: np.concatenate([x, x]) / 2)
STATES = ({}, {"initial_state": AT_ZERO}, {"initial_state": {"voltage": nengo.dists.Uniform(0, 0.5)}})


@dataclass
class Drawn:
    """A random network, and the spike counts of its inputs by label."""

    network: Any
    counts: dict[str, np.ndarray]


@dataclass
class Generator:
    """What has been made; things are in an order in which signals without a synapse may run."""

    rng: np.random.Generator
    is_rectified: bool
    networks: list[Any]
    things: list[Any] = field(default_factory=list)
    counts: dict[str, np.ndarray] = field(default_factory=dict)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def add_networks(self) -> None:
        for _ in range(int(self.rng.integers(0, 3))):
            with self.pick(self.networks):
                self.networks.append(nengo.Network(label=self.pick([None, "sub"])))

    def add_inputs(self) -> None:
        for number in range(int(self.rng.integers(1, 3))):
            counts = draw_counts(self.rng, int(self.rng.integers(1, 5)))
            with self.pick(self.networks):
                node = nengo.Node(
                    lambda t, counts=counts: counts[0, round(t / 0.001) - 1].astype(float),
                    size_out=counts.shape[2], label=f"in{number}",
                )  # fmt: skip
            self.counts[node.label] = counts
            self.things.append(node)

    def neuron_type(self) -> Any:
        state = self.pick(STATES)
        return make_rectified(self.rng, **state) if self.is_rectified else make_lif(self.rng, **state)

    def add_ensemble(self) -> None:
        rng, n, dimensions = self.rng, int(self.rng.integers(3, 14)), int(self.rng.integers(1, 4))
        options: dict[str, Any] = {"radius": float(rng.uniform(0.5, 2))} if self.chance(0.3) else {}
        if self.chance(0.5):
            bias = rng.uniform(0, 100, n) if self.is_rectified else rng.uniform(-0.2, 1.7, n)
            options |= {"gain": rng.uniform(0.5, 1.5, n), "bias": bias}
        elif self.chance(0.5):
            options |= {"max_rates": nengo.dists.Uniform(50, 300), "intercepts": nengo.dists.Uniform(-1, 0.5)}
        if self.chance(0.3):
            options |= {"encoders": rng.normal(size=(n, dimensions)), "normalize_encoders": self.chance(0.5)}
        with self.pick(self.networks):
            label = f"ensemble{len(self.things)}"
            self.things.append(nengo.Ensemble(n, dimensions, neuron_type=self.neuron_type(), label=label, **options))

    def add_node(self) -> None:
        with self.pick(self.networks):
            passes = nengo.Node(size_in=int(self.rng.integers(1, 5)), label=self.pick([None, "middle"]))
            self.things.append(passes if self.chance(0.7) else nengo.Node(self.rng.normal(size=2)))

    def add_array(self) -> None:
        with self.pick(self.networks):
            array = nengo.networks.EnsembleArray(5, 2, neuron_type=self.neuron_type())
        for number, ensemble in enumerate(array.all_ensembles):
            ensemble.label = f"array{number}"
        self.things += [array.input, *array.all_ensembles, array.output]

    def part(self, thing: Any, size: int) -> Any:
        places = [slice(None, None, -1), slice(0, max(1, size // 2)), self.rng.permutation(size)[:3].tolist(), -1]
        return thing[self.pick(places)] if self.chance(0.3) else thing

    def weights(self, n_post: int, n_pre: int, level: float) -> np.ndarray:
        drawn = self.rng.normal(size=(n_post, n_pre)) + 0.5
        return level * (np.abs(drawn) if self.is_rectified else drawn) / n_pre

    def connect(self) -> None:
        sources = [thing for thing in self.things if isinstance(thing, nengo.Ensemble) or thing.size_in]
        pre, post = self.pick(self.things), self.pick(sources)
        comes_back = self.things.index(post) <= self.things.index(pre)
        if comes_back and isinstance(post, nengo.Node):
            return
        tau = float(self.rng.uniform(0.001, 0.03))
        synapse = self.pick([0.0, 0.005, tau, nengo.Lowpass(0.01)] + ([] if comes_back else [None, None]))
        direct, to_neurons = self.chance(0.5), isinstance(post, nengo.Ensemble) and self.chance(0.5)
        level = (0.6 * (1000 if self.is_rectified else 1)) if to_neurons else 0.8
        level *= 0.1 if comes_back and self.is_rectified else 1.0  # spikes that multiply without end
        target = post.neurons if to_neurons else post
        target = self.part(target, target.size_in)
        if isinstance(pre, nengo.Ensemble) and not direct:
            self.connect_decoded(pre, target, synapse, level)
            return
        source = pre.neurons if isinstance(pre, nengo.Ensemble) else pre
        source = self.part(source, source.size_out)
        level = level * 0.008 if isinstance(pre, nengo.Ensemble) else level
        nengo.Connection(source, target, transform=self.transform(source.size_out, target.size_in, level), synapse=synapse)

    def connect_decoded(self, pre: Any, target: Any, synapse: Any, level: float) -> None:
        source = self.part(pre, pre.size_out)
        function = self.pick(FUNCTIONS) if self.chance(0.5) else None
        n_middle = source.size_out if function is None else np.size(function(np.zeros(source.size_out)))
        options: dict[str, Any] = {"transform": self.weights(target.size_in, n_middle, level), "function": function}
        if self.chance(0.3):
            to_ensemble = isinstance(target, nengo.Ensemble)
            fixed = nengo.solvers.NoSolver(self.rng.normal(size=(pre.n_neurons, n_middle)) * 0.001)
            options["solver"] = self.pick([nengo.solvers.LstsqL2(weights=to_ensemble), nengo.solvers.Lstsq(), fixed])
        nengo.Connection(source, target, synapse=synapse, **options)

    def transform(self, n_pre: int, n_post: int, level: float) -> Any:
        weights = self.weights(n_post, n_pre, level)
        kinds = [weights, nengo.Sparse(weights.shape, init=coo_matrix(weights))]
        return self.pick(kinds + ([level, weights[:, 0]] if n_pre == n_post else []))

    def add_probes(self) -> None:
        for thing in self.things:
            if isinstance(thing, nengo.Ensemble):
                nengo.Probe(thing.neurons, label=f"{thing.label} spikes")
        for number in range(int(self.rng.integers(0, 4))):
            thing = self.pick(self.things)
            nengo.Probe(self.part(thing, thing.size_out), label=f"probe {number}", synapse=self.pick([None, 0.01, 0.0]))


def draw_network(seed: int) -> Drawn:
    """Draw a network; rectified neurons get weights that are not negative, where nengo and a linear membrane agree."""
    rng = np.random.default_rng(seed)
    with nengo.Network(seed=seed) as network:
        made = Generator(rng, bool(rng.random() < 0.35), [network])
        made.add_networks()
        made.add_inputs()
        for _ in range(int(rng.integers(1, 5))):
            made.add_ensemble()
        for _ in range(int(rng.integers(0, 3))):
            made.add_node()
        if made.chance(0.3):
            made.add_array()
        for _ in range(int(rng.integers(3, 9))):
            made.connect()
        made.add_probes()
    return Drawn(network, made.counts)
