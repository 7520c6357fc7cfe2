"""The float64 meaning of a network: the equations of docs/architecture.md, step by step."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.core.record import FloatArray, IntArray
from snnmap.network.graph import expand_terms, order_populations
from snnmap.network.network import Network, Population, Projection
from snnmap.network.raster import Recording, read_rasters
from snnmap.network.structure import require_structure

__all__ = ["simulate_network"]


def simulate_network(
    network: Network,
    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    counts_of: Collection[str] | None = None,
    states_of: Collection[str] = (),
    warmup_steps: Mapping[str, int] | None = None,
) -> Recording:
    """Run a network in float64, from zero states.

    Args:
        network: to run.
        inputs: spike counts by input port, ``(n_samples, n_steps, size)``; one array for a network with one port.
        counts_of: populations whose spike counts are kept; None keeps those that output ports read.
        states_of: populations whose potentials and currents are kept.
        warmup_steps: silent steps that a population runs before step 0, by name; others wait. A folded population of
            lag L has run L steps when its first input arrives, which shows when it has a bias.

    Returns:
        Counts and states, all ``(n_samples, n_steps, ...)``.

    Raises:
        InputError: wrong raster or unknown population name.
        DesignRuleError: the network's structure has no meaning (unknown names, shapes, loops within a step).

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> recording = simulate_network(network, [[1, 3], [0, 0], [0, 0]], counts_of=["h", "out"])
        >>> recording.counts["h"][0].tolist()
        [[1, 3], [0, 1], [0, 1]]
        >>> recording.counts["out"][0].tolist()
        [[1, 1], [0, 1], [0, 1]]
    """
    require_structure(network)
    rasters = read_rasters(network.inputs, inputs)
    kept = network.output_populations if counts_of is None else tuple(counts_of)
    _require_populations(network, (*kept, *states_of))
    return _Simulation(network, rasters, warmup_steps or {}).run(kept, tuple(states_of))


def _require_populations(network: Network, names: Iterable[str]) -> None:
    known = [population.name for population in network.populations]
    for name in names:
        if name not in known:
            raise InputError(f"no population is called '{name}'", limit=", ".join(known), fix="record one of these")


class _Simulation:
    """States of one run, all samples side by side."""

    def __init__(self, network: Network, rasters: Mapping[str, IntArray], warmup: Mapping[str, int]) -> None:
        self.network, self.rasters, self.warmup = network, rasters, warmup
        self.n_samples, self.n_steps = self._shape()
        self.order = [network.population(name) for name in order_populations(network)]
        self.incoming = {p.name: [q for q in network.projections if q.post == p.name] for p in self.order}
        self.products = {q.name: q.weights.build_product(self.n_samples) for q in network.projections}
        self.terms = {q.pre: expand_terms(network, q.pre) for q in network.projections}
        self.depth = 1 + max((q.delay_steps for q in network.projections), default=0)
        sizes = network.source_sizes
        leaves = [*(port.name for port in network.inputs), *(p.name for p in network.populations)]
        self.history = {name: np.zeros((self.depth, self.n_samples, sizes[name])) for name in leaves}
        self.v = {p.name: np.zeros((self.n_samples, p.size)) for p in self.order}
        self.i = {p.name: np.zeros((p.n_synapses, self.n_samples, p.size)) for p in self.order}

    def _shape(self) -> tuple[int, int]:
        shapes = [raster.shape[:2] for raster in self.rasters.values()]
        return shapes[0] if shapes else (1, 0)

    def run(self, kept: tuple[str, ...], states: tuple[str, ...]) -> Recording:
        sizes = self.network.source_sizes
        n, t = self.n_samples, self.n_steps
        counts = {name: np.zeros((n, t, sizes[name]), np.int64) for name in kept}
        potentials = {name: np.zeros((n, t, sizes[name])) for name in states}
        currents = {name: np.zeros((n, t, *np.shape(self.i[name])[::2])) for name in states}
        for step in range(-max(self.warmup.values(), default=0), t):
            self._advance(step)
            if step >= 0:
                for name in kept:
                    counts[name][:, step] = self.history[name][step % self.depth]
                for name in states:
                    potentials[name][:, step] = self.v[name]
                    currents[name][:, step] = self.i[name].transpose(1, 0, 2)
        return Recording(counts=counts, potentials=potentials, currents=currents)

    def _advance(self, step: int) -> None:
        now = step % self.depth
        for port in self.network.inputs:
            self.history[port.name][now] = self.rasters[port.name][:, step] if step >= 0 else 0.0
        for population in self.order:
            awake = step >= -self.warmup.get(population.name, 0)
            self.history[population.name][now] = self._step_population(population, step) if awake else 0.0

    def _step_population(self, population: Population, step: int) -> FloatArray:
        arriving = np.zeros_like(self.i[population.name])
        for projection in self.incoming[population.name]:
            arriving[projection.synapse] += self.products[projection.name](self._arriving_counts(projection, step))
        current = population.alpha[:, np.newaxis, :] * self.i[population.name] + arriving
        u = population.beta * self.v[population.name] + current.sum(axis=0) + population.bias
        with np.errstate(divide="ignore", invalid="ignore"):
            count = np.where(u < population.threshold, 0.0, np.minimum(np.floor(u / population.threshold), population.max_count))
        self.i[population.name] = current
        if population.reset == "subtract":
            self.v[population.name] = u - np.multiply(count, population.threshold, out=np.zeros_like(u), where=count != 0)
        else:
            self.v[population.name] = np.where(count > 0, population.v_reset, u)
        return np.asarray(count, np.float64)

    def _arriving_counts(self, projection: Projection, step: int) -> FloatArray:
        then = (step - projection.delay_steps) % self.depth
        first, *others = self.terms[projection.pre]
        total: FloatArray = self.history[first][then]
        for name in others:
            total = total + self.history[name][then]
        return total
