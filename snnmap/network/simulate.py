"""The float64 meaning of a network: the equations of docs/architecture.md, step by step."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from snnmap.core.allowance import Allowance
from snnmap.core.errors import InputError
from snnmap.core.record import FloatArray, IntArray, record
from snnmap.network.graph import expand_terms, order_populations
from snnmap.network.network import Network, Population, Projection
from snnmap.network.raster import Recording, read_rasters
from snnmap.network.structure import require_structure

__all__ = ["Step", "simulate_network", "walk_network"]

_arrays_suffice = Allowance(2_000_000)
"""Updates of a neuron in numpy, as many as take the time in which compiled code is loaded."""


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
    return _record(network, rasters, walk_network(network, rasters, warmup_steps=warmup_steps), kept, tuple(states_of))


def _record(
    network: Network, rasters: Mapping[str, IntArray], steps: Iterator["Step"], kept: tuple[str, ...], states: tuple[str, ...]
) -> Recording:
    n, t = next((raster.shape[:2] for raster in rasters.values()), (1, 0))
    sizes = network.source_sizes
    counts = {name: np.zeros((n, t, sizes[name]), np.int64) for name in kept}
    potentials = {name: np.zeros((n, t, sizes[name])) for name in states}
    currents = {name: np.zeros((n, t, network.population(name).n_synapses, sizes[name])) for name in states}
    for now in steps:
        for name in kept:
            counts[name][:, now.step] = now.counts[name]
        for name in states:
            potentials[name][:, now.step] = now.potentials[name]
            currents[name][:, now.step] = now.currents[name].transpose(1, 0, 2)
    return Recording(counts=counts, potentials=potentials, currents=currents)


def _require_populations(network: Network, names: Iterable[str]) -> None:
    known = [population.name for population in network.populations]
    for name in names:
        if name not in known:
            raise InputError(f"no population is called '{name}'", limit=", ".join(known), fix="record one of these")


@record
class Step:
    """States after a step, by population; they hold until the next step.

    Attributes:
        step: its number.
        counts: ``(n_samples, size)`` spike counts, of input ports too.
        potentials: ``(n_samples, size)``, after the reset.
        currents: ``(n_synapses, n_samples, size)``.
    """

    step: int
    counts: Mapping[str, FloatArray]
    potentials: Mapping[str, FloatArray]
    currents: Mapping[str, FloatArray]


def walk_network(
    network: Network, rasters: Mapping[str, IntArray], *, warmup_steps: Mapping[str, int] | None = None
) -> Iterator[Step]:
    """Run a network as :func:`simulate_network` does, and give step after step from 0 on: nothing is kept.

    Args:
        network: well-formed.
        rasters: as :func:`read_rasters` gives them.
        warmup_steps: silent steps before, by population.
    """
    return _Simulation(network, rasters, warmup_steps or {}).walk()


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
        n_updates = self.n_samples * self.n_steps * sum(p.size for p in self.order)
        self.advance = _advance_arrays if _arrays_suffice.take(n_updates) else _advance_compiled

    def _shape(self) -> tuple[int, int]:
        shapes = [raster.shape[:2] for raster in self.rasters.values()]
        return shapes[0] if shapes else (1, 0)

    def walk(self) -> Iterator[Step]:
        for step in range(-max(self.warmup.values(), default=0), self.n_steps):
            self._advance(step)
            if step >= 0:
                counts = {name: ring[step % self.depth] for name, ring in self.history.items()}
                yield Step(step=step, counts=counts, potentials=self.v, currents=self.i)

    def _advance(self, step: int) -> None:
        now = step % self.depth
        for port in self.network.inputs:
            self.history[port.name][now] = self.rasters[port.name][:, step] if step >= 0 else 0.0
        for population in self.order:
            if step >= -self.warmup.get(population.name, 0):
                name = population.name
                self.advance(population, self._arriving(population, step), self.i[name], self.v[name], self.history[name][now])

    def _arriving(self, population: Population, step: int) -> FloatArray:
        arriving = np.zeros_like(self.i[population.name])
        for projection in self.incoming[population.name]:
            arriving[projection.synapse] += self.products[projection.name](self._arriving_counts(projection, step))
        return arriving

    def _arriving_counts(self, projection: Projection, step: int) -> FloatArray:
        then = (step - projection.delay_steps) % self.depth
        first, *others = self.terms[projection.pre]
        total: FloatArray = self.history[first][then]
        for name in others:
            total = total + self.history[name][then]
        return total


def _advance_arrays(
    population: Population, arriving: FloatArray, currents: FloatArray, potentials: FloatArray, counts: FloatArray
) -> None:
    """Advance a population in place: currents ``(n_synapses, n_samples, n)``, potentials and counts ``(n_samples, n)``."""
    threshold = population.threshold
    currents[:] = population.alpha[:, np.newaxis, :] * currents + arriving
    u = population.beta * potentials + currents.sum(axis=0) + population.bias
    with np.errstate(divide="ignore", invalid="ignore"):
        counts[:] = np.where(u < threshold, 0.0, np.minimum(np.floor(u / threshold), population.max_count))
    if population.reset == "subtract":
        potentials[:] = u - np.multiply(counts, threshold, out=np.zeros_like(u), where=counts != 0)
    else:
        potentials[:] = np.where(counts > 0, population.v_reset, u)


def _advance_compiled(
    population: Population, arriving: FloatArray, currents: FloatArray, potentials: FloatArray, counts: FloatArray
) -> None:
    """Do the same, in the same order of operations, compiled."""
    from snnmap.network.kernel import advance_neurons

    p = population
    parameters = (p.alpha, p.beta, p.threshold, p.bias, p.v_reset, p.max_count)
    advance_neurons(parameters, p.reset == "subtract", arriving, currents, potentials, counts)
