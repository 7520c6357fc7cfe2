"""The quantised network before folding: the chip's integers in the source network's shape, populations and delays.

An independent reading of a quantised network: it knows slots only to put saturating additions in the chip's order, and
has neither relays nor blocks. What it counts, an image must count, each population's lag later.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import find_family
from snnmap.chip.arithmetic import compile_integer_rules
from snnmap.core import IntArray
from snnmap.lif.program import NeuronCodes, QuantisedNetwork, rebuild_projections, unfold_network
from snnmap.network import Projection, Recording, order_populations, read_rasters

__all__ = ["simulate_quantised"]


def simulate_quantised(
    quantised: QuantisedNetwork,
    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    counts_of: Collection[str] | None = None,
    states_of: Collection[str] = (),
    aligned: bool = True,
) -> Recording:
    """Run a quantised network as its source is wired, in the chip's integers.

    Args:
        quantised: integers by slot.
        inputs: spike counts by input port, ``(n_samples, n_steps, size)``; clamped to what a channel carries.
        counts_of: populations whose counts are kept; None keeps those that output ports read.
        states_of: populations whose potentials and currents are kept.
        aligned: start each population as many steps before its input as it lags behind, as on the chip; where that is left
            out, all start with their input. It plays a part where neurons have biases.

    Returns:
        Counts, potentials and currents in integers, by population, without lags.

    Raises:
        InputError: wrong raster.
    """
    mapped = quantised.mapped
    rasters = read_rasters(mapped.inputs, inputs)
    most = mapped.chip.inputs.max_count
    run = _UnfoldedRun(quantised, {name: np.minimum(raster, most) for name, raster in rasters.items()}, aligned=aligned)
    kept = unfold_network(mapped).output_populations if counts_of is None else tuple(counts_of)
    return run.run(kept, tuple(states_of))


class _Wire:
    """One projection with integer weights, and the chip's order of its sources."""

    def __init__(self, quantised: QuantisedNetwork, projection: Projection) -> None:
        mapped, route = quantised.mapped, quantised.mapped.route(projection.pre, projection.post, projection.delay_steps)
        shift = quantised.program.memory(route.memory).shift
        self.pre, self.synapse, self.delay_steps = projection.pre, projection.synapse, projection.delay_steps
        weigh = _compile_rules(mapped.chip.arithmetic)["count_weight"]
        self.weights = projection.weights.with_data(weigh(projection.weights.data, shift, mapped.chip.bits.state))
        rank = 0 if route.is_from_channels else 1
        self.order = [(rank, slot) for slot in mapped.source_slots(projection.pre, route).tolist()]
        self.signed = self.weights.to_scipy()
        self.magnitude = abs(self.signed)
        self.columns = self.weights.transpose()

    def synapses_onto(self, neuron: int) -> list[tuple[tuple[int, int], int, int]]:
        """List (place in the chip's order, source neuron, weight) of one target."""
        span = slice(int(self.columns.indptr[neuron]), int(self.columns.indptr[neuron + 1]))
        sources, weights = self.columns.indices[span].tolist(), self.columns.data[span].tolist()
        return [(self.order[source], source, weight) for source, weight in zip(sources, weights, strict=True)]


class _UnfoldedRun:
    """States of one run, all samples side by side."""

    def __init__(self, quantised: QuantisedNetwork, rasters: Mapping[str, IntArray], *, aligned: bool) -> None:
        mapped = quantised.mapped
        self.mapped, self.rasters, self.bits = mapped, rasters, mapped.chip.bits
        self.lead = dict(mapped.lags) if aligned else {}
        self.network = unfold_network(mapped)
        self.n_samples, self.n_steps = next(iter(rasters.values())).shape[:2]
        projections = list(rebuild_projections(mapped, quantised.program))
        self.depth = 1 + max((projection.delay_steps for projection in projections), default=0)
        self.wires = {
            p.name: [_Wire(quantised, projection) for projection in projections if projection.post == p.name]
            for p in self.network.populations
        }
        sizes = self.network.source_sizes
        self.history = {name: np.zeros((self.depth, self.n_samples, size), np.int64) for name, size in sizes.items()}
        self.codes = {p.name: _codes_of(quantised, p.name) for p in self.network.populations}
        self.v = {name: np.zeros((self.n_samples, codes.size), np.int64) for name, codes in self.codes.items()}
        self.i = {name: np.zeros((len(c.dash_syn), self.n_samples, c.size), np.int64) for name, c in self.codes.items()}

    def run(self, kept: tuple[str, ...], states: tuple[str, ...]) -> Recording:
        sizes, shape = self.network.source_sizes, (self.n_samples, self.n_steps)
        counts = {name: np.zeros((*shape, sizes[name]), np.int64) for name in kept}
        potentials = {name: np.zeros((*shape, sizes[name]), np.int64) for name in states}
        currents = {name: np.zeros((*shape, len(self.i[name]), sizes[name]), np.int64) for name in states}
        order = order_populations(self.network)
        for step in range(-max(self.lead.values(), default=0), self.n_steps):
            for port, raster in self.rasters.items():
                self.history[port][step % self.depth] = raster[:, step] if step >= 0 else 0
            for name in order:
                awake = step >= -self.lead.get(name, 0)
                self.history[name][step % self.depth] = self._step(name, step) if awake else 0
            if step >= 0:
                for name in kept:
                    counts[name][:, step] = self.history[name][step % self.depth]
                for name in states:
                    potentials[name][:, step] = self.v[name]
                    currents[name][:, step] = self.i[name].transpose(1, 0, 2)
        return Recording(counts=counts, potentials=potentials, currents=currents)

    def _step(self, name: str, step: int) -> IntArray:
        codes, current, rules = self.codes[name], self.i[name], _compile_rules(self.mapped.chip.arithmetic)
        arrived = [(wire, self.history[wire.pre][(step - wire.delay_steps) % self.depth]) for wire in self.wires[name]]
        for synapse in range(current.shape[0]):
            current[synapse] = rules["enter"](current[synapse], codes.dash_syn[synapse])
            self._deliver(current[synapse], [pair for pair in arrived if pair[0].synapse == synapse])
            current[synapse] = rules["settle"](current[synapse], codes.dash_syn[synapse])
        state = self.bits.state
        v = rules["integrate"](self.v[name], codes.dash_mem, current.sum(axis=0), codes.bias, state)
        chip = self.mapped.chip
        most = chip.outputs.max_count if name in self.network.output_populations else chip.hidden.max_count
        count = rules["count"](v, codes.threshold, most, state)
        self.v[name] = rules["reset"](v, codes.threshold, most, state)
        return np.asarray(count, np.int64)

    def _deliver(self, current: IntArray, arrived: list[tuple[_Wire, IntArray]]) -> None:
        """Add what arrived: in any order where no partial sum can leave the state's range, else one by one."""
        total, reach = np.zeros_like(current), np.abs(current)
        for wire, counts in arrived:
            total += counts @ wire.signed
            reach += counts @ wire.magnitude
        safe = reach <= self.bits.state_max
        exact = {(n, j): self._deliver_in_order(current, arrived, n, j) for n, j in np.argwhere(~safe).tolist()}
        current += np.where(safe, total, 0)
        for place, value in exact.items():
            current[place] = value

    def _deliver_in_order(self, current: IntArray, arrived: list[tuple[_Wire, IntArray]], sample: int, neuron: int) -> int:
        value, add = int(current[sample, neuron]), self.mapped.chip.family.integers.add
        events = [
            (place, weight, int(counts[sample, source]))
            for wire, counts in arrived
            for place, source, weight in wire.synapses_onto(neuron)
        ]
        for _, weight, count in sorted(events):
            value = add(value, count * weight, self.bits.state)
        return value


def _codes_of(quantised: QuantisedNetwork, name: str) -> NeuronCodes:
    """Return a population's codes in neuron order."""
    area, slots = quantised.mapped.table.locate(name)
    codes = quantised.program.outputs if area == "outputs" else quantised.program.hidden
    return NeuronCodes(
        dash_syn=codes.dash_syn[:, slots],
        dash_mem=codes.dash_mem[slots],
        threshold=codes.threshold[slots],
        bias=codes.bias[slots],
    )


@lru_cache(maxsize=16)
def _compile_rules(arithmetic: str) -> dict[str, Any]:
    """Compile the rules of a family for arrays."""
    import numba

    rules = compile_integer_rules(find_family(arithmetic))
    fire = rules.fire

    def count(potential: int, threshold: int, max_count: int, bits: int) -> int:
        return fire(potential, threshold, 0, max_count, bits)[0]

    def reset(potential: int, threshold: int, max_count: int, bits: int) -> int:
        return fire(potential, threshold, 0, max_count, bits)[1]

    compile_for_arrays: Any = numba.vectorize
    chosen = {name: getattr(rules, name) for name in ("enter", "settle", "integrate", "count_weight")}
    return {name: compile_for_arrays(function) for name, function in (chosen | {"count": count, "reset": reset}).items()}
