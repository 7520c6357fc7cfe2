"""Any network in the chip's integers as one torch module: models from elsewhere are trained on with the chip's own spikes."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Self, cast

import torch
from torch import Tensor, nn

from snnmap.chip import find_family
from snnmap.core.errors import InputError
from snnmap.lif.program import QuantisedNetwork
from snnmap.network import OutputPort
from snnmap.nn.chip.delivery import Delivery, DeliveryPlan
from snnmap.nn.chip.parts import ChipPopulation, ChipProjection, NeuronTensors, read_populations
from snnmap.nn.chip.sparse_product import multiply_sparse
from snnmap.nn.chip.wired_dynamics import WiredNeurons, Wiring, run_wired_integrator, run_wired_lif
from snnmap.nn.neurons import Surrogate, SurrogateName

__all__ = ["ChipNetwork", "ChipRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipRun:
    """What the populations did; every population's lag is taken away.

    Attributes:
        counts: ``(batch, time, size)`` spike counts by population, but of those that are read by potentials alone.
        potentials: ``(batch, time, size)`` by population that a port reads so, in state units.
    """

    counts: dict[str, Tensor]
    potentials: dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Populations that wait for each other's spikes and run together, or one that does not; in the chip's time."""

    members: tuple[ChipPopulation, ...]
    inner: tuple[ChipProjection, ...]
    wiring: Wiring
    plan: DeliveryPlan
    outside: tuple[str, ...]
    first_lag: int
    last_lag: int


class ChipNetwork(nn.Module):
    """A folded and quantised network as a module to train: integer for integer what its bitstream does.

    For models that are not made of :class:`snnmap.nn.ChipLIF` layers: networks read from snnTorch, Rockpool, NIR and others,
    with skips, delays, loops, second synapses and several ports. :func:`snnmap.train.to_chip_exact` makes it; it compiles
    (:func:`snnmap.compile_model`) without rounding. Weights are those that the chip stores, one parameter a projection: weights
    behind a residual sum are separate ones for each summand, those of a convolution one for each place, and what is not
    stored is not trained. Thresholds, biases and decays are frozen; ``requires_grad_()`` on such a parameter trains it.

    The forward pass is the chip's arithmetic, its start included: all neurons run from the chip's first step on, each
    population its lag behind, so that biases need nothing else. On CPUs sums saturate as on the chip too, after each spike in the
    order of its slots where that matters (as placed when the module was made); elsewhere once a step.

    Args:
        quantised: integers, such as ``compile_model(...).quantised``.
        surrogate: name or :class:`Surrogate` for the backward pass.

    Attributes:
        populations: a :class:`ChipPopulation` each, in the network's order.
        inputs: input ports.
        outputs: output ports.
        lags: steps by which each population runs behind its input on the chip.

    Raises:
        InputError: an output port that reads currents.
    """

    def __init__(self, quantised: QuantisedNetwork, *, surrogate: SurrogateName | Surrogate = "relu") -> None:
        super().__init__()
        mapped = quantised.mapped
        _require_readouts(mapped.output_ports)
        self.name, self.dt_s, self.chip_name, self.bits = mapped.name, mapped.dt_s, mapped.chip.name, mapped.chip.bits
        self.arithmetic = mapped.chip.arithmetic
        self.inputs, self.outputs, self.max_input = mapped.inputs, mapped.output_ports, mapped.chip.inputs.max_count
        self.surrogate = Surrogate(name=surrogate) if isinstance(surrogate, str) else surrogate
        self.populations = nn.ModuleList(read_populations(quantised))
        self.lags: dict[str, int] = {population.name: mapped.lags[population.name] for population in self.list_populations()}
        self._wirings = self._make_wirings()

    def forward(self, *inputs: Tensor | Mapping[str, Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Run all steps from the chip's start.

        Args:
            *inputs: ``(batch, time, n_channels)`` spike counts of all input ports side by side, or one such tensor a port, or
                tensors by port name.

        Returns:
            ``(batch, time, n)`` of the output port, or one tensor a port: spike counts, or potentials in the model's units.

        Raises:
            InputError: a wrong shape, or values that are not counts of an input channel.
        """
        run = self.run(*inputs)
        ports = tuple(torch.cat([self._read(run, port, name) for name in port.populations], dim=2) for port in self.outputs)
        return ports[0] if len(ports) == 1 else ports

    def run(self, *inputs: Tensor | Mapping[str, Tensor]) -> ChipRun:
        """Run all steps, and give what every population did; arguments as for the call."""
        rasters = self._split(inputs)
        n_steps = next(iter(rasters.values())).shape[1]
        sources, found = {name: (0, raster) for name, raster in rasters.items()}, ChipRun(counts={}, potentials={})
        is_biased = any((part.bias != 0).any() or part.bias.requires_grad for part in self.list_populations())
        for group in self._list_groups():
            start, stop = 0 if is_biased else group.first_lag, group.last_lag + n_steps
            for name, (counts, potentials) in self._run_group(group, sources, start, stop).items():
                seen = slice(self.lags[name] - start, self.lags[name] - start + n_steps)
                if counts is not None:
                    sources[name] = (start, counts)
                    found.counts[name] = self._population(name)(counts[:, seen])
                if potentials is not None:
                    found.potentials[name] = potentials[:, seen]
        return found

    def with_lags(self, lags: Mapping[str, int]) -> Self:
        """Return the same network, parameters shared, as a folding with other lags starts it."""
        other = copy.copy(self)
        other.lags = {name: lags[name] for name in self.lags}
        other._wirings = other._make_wirings()
        return other

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        ports = ", ".join(port.name for port in self.outputs)
        return f"{self.name!r} on {self.chip_name}, outputs {ports}, surrogate={self.surrogate}"

    def list_populations(self) -> list[ChipPopulation]:
        """Return the populations, typed."""
        return [cast(ChipPopulation, population) for population in self.populations]

    def _population(self, name: str) -> ChipPopulation:
        return {population.name: population for population in self.list_populations()}[name]

    def _steps(self, projection: ChipProjection, post: str) -> int:
        """Return the steps from a spike to its effect on the chip."""
        return projection.delay_steps + self.lags[post] - self.lags.get(projection.pre, 0)

    def _read(self, run: ChipRun, port: OutputPort, name: str) -> Tensor:
        if port.readout == "spikes":
            return run.counts[name]
        return run.potentials[name] / self._population(name).unit

    def _split(self, inputs: tuple[Tensor | Mapping[str, Tensor], ...]) -> dict[str, Tensor]:
        """Return the raster of each input port."""
        names, sizes = [port.name for port in self.inputs], [port.size for port in self.inputs]
        first = inputs[0] if inputs else None
        if len(inputs) == 1 and isinstance(first, Mapping):
            given = dict(first)
        elif len(inputs) == 1 and isinstance(first, Tensor) and first.ndim == 3 and first.shape[2] == sum(sizes):
            given = dict(zip(names, torch.split(first, sizes, dim=2), strict=True))
        else:
            given = dict(zip(names, cast("tuple[Tensor, ...]", inputs), strict=False)) if len(inputs) == len(names) else {}
        shapes = {tuple(raster.shape[:2]) for raster in given.values()}
        fits = given.keys() == set(names) and all(given[port.name].shape[2:] == (port.size,) for port in self.inputs)
        if not fits or len(shapes) != 1:
            raise InputError(
                "the input does not suit the network's ports",
                where=f"ChipNetwork '{self.name}'",
                measured=", ".join(str(tuple(part.shape)) if isinstance(part, Tensor) else ", ".join(part) for part in inputs),
                limit=f"(batch, time, {sum(sizes)}): " + ", ".join(f"'{port.name}' {port.size}" for port in self.inputs),
                fix="give one tensor of all channels, one a port, or a mapping by port name",
            )
        return {name: self._to_counts(given[name], name) for name in names}

    def _to_counts(self, raster: Tensor, name: str) -> Tensor:
        kind = self.list_populations()[0].threshold.dtype if len(self.populations) else raster.dtype
        counts = raster.to(kind)
        seen = counts.detach()
        if seen.numel() and not ((seen >= 0) & (seen <= self.max_input) & (seen == seen.round())).all():
            raise InputError(
                "inputs are not spike counts of the chip's channels",
                where=f"input port '{name}'",
                measured=f"{seen.min():g}..{seen.max():g}",
                limit=f"integers 0..{self.max_input}",
                fix="encode the signal as counts, clamped to what a channel carries (torch.clamp)",
            )
        return counts

    def _list_groups(self) -> list[_Group]:
        """Return the groups in an order in which each has its inputs; modules are looked up anew, since they may be copies."""
        return [
            _Group(
                members=tuple(self._population(name) for name in names),
                inner=tuple(part for part, _ in self._list_wires(names) if part.pre in names),
                wiring=wiring,
                plan=plan,
                outside=outside,
                first_lag=min(self.lags[name] for name in names),
                last_lag=max(self.lags[name] for name in names),
            )
            for names, wiring, plan, outside in self._wirings
        ]

    def _list_wires(self, names: tuple[str, ...]) -> list[tuple[ChipProjection, str]]:
        """Return the projections onto populations, but those too short for the lags: they had lost all weights, and stay so."""
        wires = [(part, name) for name in names for part in self._population(name).list_incoming()]
        ports = {port.name for port in self.inputs}
        return [(part, post) for part, post in wires if self._steps(part, post) >= (0 if part.pre in ports else 1)]

    def _make_wirings(self) -> list[tuple[tuple[str, ...], Wiring, DeliveryPlan, tuple[str, ...]]]:
        return [(names, *self._wire(names)) for names in _order_groups(self.list_populations())]

    def _wire(self, names: tuple[str, ...]) -> tuple[Wiring, DeliveryPlan, tuple[str, ...]]:
        """Join the projections of a group: those among its members, all in the chip's order, and what comes from outside."""
        members = [self._population(name) for name in names]
        start = dict(zip(names, accumulate([0, *(member.size for member in members)]), strict=False))
        n_neurons, n_synapses = sum(member.size for member in members), max(member.n_synapses for member in members)
        wires = self._list_wires(names)
        outside = {part.pre: len(part.starts) - 1 for part, _ in wires if part.pre not in start}
        n_outside = sum(outside.values())
        column = dict(zip(outside, accumulate([0, *outside.values()]), strict=False))
        column |= {name: n_outside + start[name] for name in names}
        rows = torch.zeros(5, 0, dtype=torch.int64)
        for part, post in wires:
            delays = torch.full_like(part.targets, self._steps(part, post))
            targets = part.targets + start[post] + part.synapse * n_neurons
            is_inner = torch.full_like(part.targets, int(part.pre in start))
            sources = part.sources
            found = torch.stack([delays, sources + column[part.pre], targets, part.ranks[sources], is_inner])
            rows = torch.cat([rows, found.cpu()], dim=1)
        delays, sources, targets, ranks, is_inner = rows
        inner = is_inner.bool()
        wiring = Wiring.create(delays[inner], sources[inner] - n_outside, targets[inner], n_neurons)
        plan = DeliveryPlan.create(targets, ranks, sources, delays, n_synapses * n_neurons, n_outside)
        return wiring, plan, tuple(outside)

    def _run_group(
        self, group: _Group, sources: Mapping[str, tuple[int, Tensor]], start: int, stop: int
    ) -> dict[str, tuple[Tensor | None, Tensor | None]]:
        """Run a group from one step of the chip to before another; give counts and potentials by population."""
        n_synapses = max(member.n_synapses for member in group.members)
        wires = self._list_wires(tuple(member.name for member in group.members))
        codes = {part: part.codes(self._population(post).scale) for part, post in wires}
        x = torch.cat([self._arrive(member, codes, group, sources, (start, stop)) for member in group.members], dim=3)
        neurons = _join_codes([member.codes() for member in group.members], n_synapses)
        wired = WiredNeurons(
            dash_syn=neurons.dash_syn,
            dash_mem=neurons.dash_mem,
            bias=neurons.bias,
            threshold=neurons.threshold,
            max_count=group.members[0].max_count,
            surrogate=self.surrogate,
            state_max=self.bits.state_max,
            family=find_family(self.arithmetic),
        )
        delivery = _deliver(group, x, list(codes.values()), sources, (start, stop))
        weights = torch.cat([x.new_zeros(0), *(codes[part] for part in group.inner)])
        first = group.members[0]
        potentials = run_wired_integrator(x, wired, group.wiring, delivery) if "potential" in first.readouts else None
        if first.readouts == {"potential"}:
            return {first.name: (None, potentials)}
        counts = run_wired_lif(x, wired, weights, group.wiring, delivery)
        parts = torch.split(counts, [member.size for member in group.members], dim=2)
        return {member.name: (part, potentials) for member, part in zip(group.members, parts, strict=True)}

    def _arrive(
        self,
        member: ChipPopulation,
        codes: Mapping[ChipProjection, Tensor],
        group: _Group,
        sources: Mapping[str, tuple[int, Tensor]],
        window: tuple[int, int],
    ) -> Tensor:
        """Add up what comes from outside the group, ``(batch, stop - start, n_synapses, size)``."""
        start, stop = window
        n_samples = next(iter(sources.values()))[1].shape[0]
        silence = member.threshold.new_zeros(n_samples, stop - start, member.size)
        arriving = [silence] * max(other.n_synapses for other in group.members)
        for projection in member.list_incoming():
            if projection in group.inner or projection not in codes:
                continue
            began, counts = sources[projection.pre]
            product = multiply_sparse(counts, codes[projection], projection.starts, projection.targets, member.size)
            shifted = _cut(product, began + self._steps(projection, member.name), start, stop)
            arriving[projection.synapse] = arriving[projection.synapse] + shifted
        return torch.stack(arriving, dim=2)


def _cut(values: Tensor, began: int, start: int, stop: int) -> Tensor:
    """Return the steps from one to before another, ``(batch, stop - start, n)``, silence where there are none."""
    return nn.functional.pad(values, (0, 0, began - start, stop - began - values.shape[1]))


def _deliver(
    group: _Group, x: Tensor, codes: list[Tensor], sources: Mapping[str, tuple[int, Tensor]], window: tuple[int, int]
) -> Delivery:
    """Tell what arrives at a group in the chip's order."""
    start, stop = window
    heard = [sources[name] for name in group.outside]
    lead = int(group.plan.delays.max()) if group.plan.delays.numel() else 0
    most = [counts.detach().amax(dim=(0, 1)) if counts.numel() else counts.new_zeros(counts.shape[2]) for _, counts in heard]

    def give_history() -> Tensor:
        parts = [_cut(counts.detach(), began, start - lead, stop) for began, counts in heard]
        return torch.cat(parts, dim=2) if parts else x.new_zeros(x.shape[0], stop - start + lead, 0)

    given = torch.cat([x.detach().new_zeros(0), *(part.detach() for part in codes)])
    order = group.plan.order.to(given.device)
    return Delivery(
        plan=group.plan, weights=given[order], most=torch.cat([x.detach().new_zeros(0), *most]), give_history=give_history
    )


def _order_groups(populations: list[ChipPopulation]) -> list[tuple[str, ...]]:
    """Return populations, those in a loop together, in an order in which each group comes after what it hears."""
    import networkx as nx

    position = {population.name: number for number, population in enumerate(populations)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(position)
    for population in populations:
        graph.add_edges_from((part.pre, population.name) for part in population.list_incoming() if part.pre in position)
    condensed = nx.condensation(graph)
    names = {node: tuple(sorted(condensed.nodes[node]["members"], key=position.__getitem__)) for node in condensed}
    ordered = nx.lexicographical_topological_sort(condensed, key=lambda node: position[names[node][0]])
    return [names[node] for node in ordered]


def _join_codes(codes: list[NeuronTensors], n_synapses: int) -> NeuronTensors:
    """Put neurons side by side; synapses that some do not have hold nothing."""

    def fill(dashes: Tensor) -> Tensor:
        return nn.functional.pad(dashes, (0, 0, 0, n_synapses - dashes.shape[0]), value=1.0)

    return NeuronTensors(
        dash_syn=torch.cat([fill(part.dash_syn) for part in codes], dim=1),
        dash_mem=torch.cat([part.dash_mem for part in codes]),
        threshold=torch.cat([part.threshold for part in codes]),
        bias=torch.cat([part.bias for part in codes]),
    )


def _require_readouts(ports: tuple[OutputPort, ...]) -> None:
    for port in ports:
        if port.readout == "current":
            raise InputError(
                "a port that reads synaptic currents cannot be trained on",
                where=f"output port '{port.name}'",
                measured="current",
                limit="spikes, potential",
                fix="read potentials: dataclasses.replace(port, readout='potential')",
            )
