"""Folding: every hidden population in the chip's one recurrent population, relays where paths must wait."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import NetworkError
from snnmap.lif.drc import OnChip, neuron, topology
from snnmap.lif.mapping.lower import lower_network, stretch_network
from snnmap.lif.mapping.place import place_neurons
from snnmap.lif.mapping.retime import Retiming, retime_network, stretch_short_loops
from snnmap.lif.program import MappedNetwork, NeuronParameters, Route, SlotTable, find_route
from snnmap.network import MADE_BESIDE, InputPort, Network, Population, Projection

__all__ = ["FoldOptions", "fold_network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldOptions:
    """Choices of the mapping stage.

    Attributes:
        stretch_loops: lengthen the delays of loops that are too short to fold, instead of refusing them. The chip then
            does what the stretched network does, and the report says so.
    """

    stretch_loops: bool = False


def fold_network(network: Network, chip: Chip, *, options: FoldOptions | None = None) -> MappedNetwork:
    """Fold a network into the chip's one hidden population (docs/architecture.md).

    Capacities are not judged here: a network that is too large is folded all the same, so that the design rules can
    measure it with its relays.

    Args:
        network: any network; its populations that ports read become the chip's output neurons.
        chip: to fold for.
        options: choices.

    Returns:
        The folded network; ``n_folded(P)[t + lag(P)] == n_source(P)[t]`` for every population P.

    Raises:
        DesignRuleError: broken structure, or a loop too short to fold.
        NetworkError: the chip has no weights for a connection (input to output, or from an output), or resets differ.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.chip import load_chip
        >>> mapped = fold_network(network, load_chip("xylo-audio-3"))
        >>> dict(mapped.lags), mapped.n_relays, mapped.latency_steps
        ({'h': 0, 'out': 1}, 0, 1)
    """
    lowered = lower_network(network)
    _require_foldable(lowered, chip)
    stretched = stretch_short_loops(lowered, chip) if options is not None and options.stretch_loops else {}
    if stretched:
        lowered = stretch_network(lowered, stretched)
    return _Folding(lowered, chip, retime_network(lowered, chip), stretched).build()


def _require_foldable(network: Network, chip: Chip) -> None:
    for rule in (topology.check_output_feeds_back, topology.check_input_to_output, neuron.check_reset):
        for found in rule.judge(OnChip(of=network, chip=chip)):
            raise NetworkError(found.message, where=str(found.location), fix=f"{found.fix}; see snnmap explain {found.rule}")


class _Folding:
    """One folding under way: where each source's neurons, channels and relays are."""

    def __init__(self, network: Network, chip: Chip, retiming: Retiming, stretched: dict[str, int]) -> None:
        self.network, self.chip, self.retiming, self.stretched = network, chip, retiming, stretched
        self.sources = tuple(network.source_sizes)
        self.input_names = {port.name for port in network.inputs}
        self.hidden = [p for p in network.populations if p.name not in network.output_populations]
        self.outputs = [network.population(name) for name in network.output_populations]
        self.n_synapses = max([chip.hidden.synapses, *(p.n_synapses for p in self.hidden)])
        self.n_output_synapses = max([chip.outputs.synapses, *(p.n_synapses for p in self.outputs)])
        self.channels = _number(network.inputs)
        self.output_slots = _number(self.outputs)
        self.rows = self._list_hidden_rows()
        self.slots = self._place()

    def build(self) -> MappedNetwork:
        network, weights = self.network, self._collect_weights()
        return MappedNetwork(
            name=network.name,
            chip=self.chip,
            inputs=network.inputs,
            output_ports=network.outputs,
            table=self._build_table(),
            **{kind.weights_name: matrices for kind, matrices in weights.items()},
            hidden=self._hidden_parameters(),
            outputs=_join_parameters(self.outputs, self.n_output_synapses),
            lags=self.retiming.lags,
            stretched=self.stretched,
            dt_s=network.dt_s,
            modules={p.name: p.source for p in network.populations},
            integers=network.integers,
            advice=network.provenance.get(MADE_BESIDE, ""),
        )

    def _list_hidden_rows(self) -> list[tuple[str, int, int]]:
        """List (source, hop, size) of each row of neurons or relays, populations in order, relays behind their source."""
        sizes = self.network.source_sizes
        names = [port.name for port in self.network.inputs] + [p.name for p in self.hidden]
        first_hop = {name: 1 if name in self.input_names else 0 for name in names}
        return [(name, hop, sizes[name]) for name in names for hop in range(first_hop[name], self.retiming.hops[name] + 1)]

    def _place(self) -> dict[tuple[str, int], IntArray]:
        """Place all rows; give the slots of each (source, hop)."""
        starts = np.cumsum([0, *(size for _, _, size in self.rows)])
        position = {row[:2]: np.arange(start, start + row[2]) for row, start in zip(self.rows, starts[:-1], strict=True)}
        takes_input = np.zeros(int(starts[-1]), np.bool_)
        feeds_output = takes_input.copy()
        for edge in self.network.projections:
            route = self._route(edge)
            if route.is_from_channels:
                takes_input[position[edge.post, 0][np.unique(edge.weights.indices)]] = True
            elif route.memory is MemoryKind.OUTPUT:
                feeds_output[position[edge.pre, route.hop][np.unique(edge.weights.rows)]] = True
        for port in self.network.inputs:
            if (port.name, 1) in position:
                takes_input[position[port.name, 1]] = True
        slots = place_neurons(self.chip, takes_input, feeds_output)
        return {key: slots[where] for key, where in position.items()}

    def _collect_weights(self) -> dict[MemoryKind, tuple[CsrMatrix, ...]]:
        synapses = {kind: _Synapses() for kind in MemoryKind}
        for edge in self.network.projections:
            route = self._route(edge)
            targets = self.output_slots[edge.post] if edge.post in self.output_slots else self.slots[edge.post, 0]
            synapses[route.memory].add(edge, self._source_slots(edge.pre, route), targets)
        for name, hop, _ in self.rows:
            if hop:
                before = find_route(self.network, name, name, hop - 1)
                synapses[before.memory].add_chain(self._source_slots(name, before), self.slots[name, hop])
        n_hidden, n_outputs = sum(size for _, _, size in self.rows), sum(p.size for p in self.outputs)
        used = sum(port.size for port in self.network.inputs), n_hidden, n_outputs
        return {
            kind: found.build(kind.shape(*used), kind.target(hidden=self.n_synapses, outputs=self.n_output_synapses))
            for kind, found in synapses.items()
        }

    def _route(self, edge: Projection) -> Route:
        return find_route(self.network, edge.pre, edge.post, self.retiming.relay_steps[edge.name])

    def _source_slots(self, name: str, route: Route) -> IntArray:
        return self.channels[name] if route.is_from_channels else self.slots[name, route.hop]

    def _build_table(self) -> SlotTable:
        n_hidden = sum(size for _, _, size in self.rows)
        source, neuron, hops = (np.zeros(n_hidden, np.int64) for _ in range(3))
        for (name, hop), slots in self.slots.items():
            source[slots], neuron[slots], hops[slots] = self.sources.index(name), np.arange(slots.size), hop
        inputs, outputs = self.network.inputs, self.outputs
        return SlotTable(
            sources=self.sources,
            channel_source=np.repeat([self.sources.index(p.name) for p in inputs], [p.size for p in inputs]).astype(np.int64),
            channel_neuron=np.concatenate([np.arange(p.size) for p in inputs] or [np.zeros(0, np.int64)]),
            hidden_source=source,
            hidden_neuron=neuron,
            hidden_hop=hops,
            output_source=np.repeat([self.sources.index(p.name) for p in outputs], [p.size for p in outputs]).astype(np.int64),
            output_neuron=np.concatenate([np.arange(p.size) for p in outputs] or [np.zeros(0, np.int64)]),
        )

    def _hidden_parameters(self) -> NeuronParameters:
        relays = [(name, hop) for name, hop, _ in self.rows if hop]
        slots = [self.slots[row] for row in [*((p.name, 0) for p in self.hidden), *relays]]
        n_relays = sum(self.slots[row].size for row in relays)
        populations = [*self.hidden, Population.create("relays", n_relays, max_count=self.chip.hidden.max_count)]
        joined = _join_parameters(populations, self.n_synapses)
        order = np.argsort(np.concatenate(slots or [np.zeros(0, np.int64)]))
        return NeuronParameters(
            alpha=joined.alpha[:, order],
            beta=joined.beta[order],
            threshold=joined.threshold[order],
            bias=joined.bias[order],
            max_count=joined.max_count[order],
        )


class _Synapses:
    """Weights of one kind of memory and the slots of their sources and targets, by synapse."""

    def __init__(self) -> None:
        self._parts: defaultdict[int, list[tuple[CsrMatrix, IntArray, IntArray]]] = defaultdict(list)

    def add(self, edge: Projection, sources: IntArray, targets: IntArray) -> None:
        self._parts[edge.synapse].append((edge.weights, sources, targets))

    def add_chain(self, sources: IntArray, targets: IntArray) -> None:
        every = np.arange(targets.size)
        chain = CsrMatrix.from_triplets(every, every, np.ones(targets.size), (targets.size, targets.size))
        self._parts[0].append((chain, sources, targets))

    def build(self, shape: tuple[int, int], n_synapses: int) -> tuple[CsrMatrix, ...]:
        every = (self._parts[synapse] for synapse in range(n_synapses))
        return tuple(CsrMatrix.join(parts, shape) if parts else CsrMatrix.empty(shape) for parts in every)


def _number(parts: Sequence[InputPort | Population]) -> dict[str, IntArray]:
    """Number the neurons of several named parts one after the other."""
    numbered: dict[str, IntArray] = {}
    start = 0
    for part in parts:
        numbered[part.name] = np.arange(start, start + part.size)
        start += part.size
    return numbered


def _join_parameters(populations: Sequence[Population], n_synapses: int) -> NeuronParameters:
    def pad(alpha: np.ndarray) -> np.ndarray:
        return np.concatenate([alpha, np.zeros((n_synapses - alpha.shape[0], alpha.shape[1]))])

    return NeuronParameters(
        alpha=np.concatenate([pad(p.alpha) for p in populations] or [np.zeros((n_synapses, 0))], axis=1),
        beta=np.concatenate([p.beta for p in populations] or [np.zeros(0)]),
        threshold=np.concatenate([p.threshold for p in populations] or [np.zeros(0)]),
        bias=np.concatenate([p.bias for p in populations] or [np.zeros(0)]),
        max_count=np.concatenate([p.max_count for p in populations] or [np.zeros(0, np.int64)]),
    )
