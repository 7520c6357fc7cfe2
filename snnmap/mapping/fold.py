"""Folding: every hidden population in the chip's one recurrent population, relays where paths must wait."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnmap.chip import Chip
from snnmap.errors import NetworkError
from snnmap.ir import (
    CsrMatrix,
    InputPort,
    IntArray,
    MappedNetwork,
    Network,
    NeuronParameters,
    Population,
    Projection,
    SlotTable,
    describe_reset,
    resets_as,
)
from snnmap.mapping.lower import lower_network, stretch_network
from snnmap.mapping.place import place_neurons
from snnmap.mapping.retime import Retiming, retime_network, stretch_short_loops

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
    """Fold a network into the chip's one hidden population (design, section 5).

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
    """
    lowered = lower_network(network)
    _require_foldable(lowered, chip)
    stretched = stretch_short_loops(lowered, chip) if options is not None and options.stretch_loops else {}
    if stretched:
        lowered = stretch_network(lowered, stretched)
    return _Folding(lowered, chip, retime_network(lowered, chip), stretched).build()


def _require_foldable(network: Network, chip: Chip) -> None:
    outputs, inputs = set(network.output_populations), {port.name for port in network.inputs}
    for edge in network.projections:
        if edge.pre in outputs:
            raise NetworkError(
                "a population read by an output port projects on", where=edge.name, fix="see snnmap explain SNN109"
            )
        if edge.pre in inputs and edge.post in outputs:
            raise NetworkError("an input projects straight to an output", where=edge.name, fix="see snnmap explain SNN108")
    for population in network.populations:
        if not resets_as(population, chip.family):
            raise NetworkError(
                f"the chip resets {describe_reset(chip.family)}",
                where=f"population '{population.name}'",
                fix="see snnmap explain SNN403",
            )


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
        input_weights, recurrent_weights, output_weights = self._collect_weights()
        network = self.network
        return MappedNetwork(
            name=network.name,
            chip=self.chip,
            inputs=network.inputs,
            output_ports=network.outputs,
            table=self._build_table(),
            input_weights=input_weights,
            recurrent_weights=recurrent_weights,
            output_weights=output_weights,
            hidden=self._hidden_parameters(),
            outputs=_join_parameters(self.outputs, self.n_output_synapses),
            lags=self.retiming.lags,
            stretched=self.stretched,
            dt_s=network.dt_s,
            modules={p.name: p.source for p in network.populations},
            integers=network.integers,
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
            key = (edge.pre, self.retiming.relay_steps[edge.name])
            if key not in position:
                takes_input[position[edge.post, 0][np.unique(edge.weights.indices)]] = True
            elif edge.post in self.output_slots:
                feeds_output[position[key][np.unique(edge.weights.rows)]] = True
        for port in self.network.inputs:
            if (port.name, 1) in position:
                takes_input[position[port.name, 1]] = True
        slots = place_neurons(self.chip, takes_input, feeds_output)
        return {key: slots[where] for key, where in position.items()}

    def _collect_weights(self) -> tuple[tuple[CsrMatrix, ...], tuple[CsrMatrix, ...], tuple[CsrMatrix, ...]]:
        n_inputs = sum(port.size for port in self.network.inputs)
        n_hidden, n_outputs = sum(size for _, _, size in self.rows), sum(p.size for p in self.outputs)
        into, between, out_of = _Synapses(), _Synapses(), _Synapses()
        for edge in self.network.projections:
            key = (edge.pre, self.retiming.relay_steps[edge.name])
            if key not in self.slots:
                into.add(edge, self.channels[edge.pre], self.slots[edge.post, 0])
            elif edge.post in self.output_slots:
                out_of.add(edge, self.slots[key], self.output_slots[edge.post])
            else:
                between.add(edge, self.slots[key], self.slots[edge.post, 0])
        for name, hop, _ in self.rows:
            if hop and (name, hop - 1) in self.slots:
                between.add_chain(self.slots[name, hop - 1], self.slots[name, hop])
            elif hop:
                into.add_chain(self.channels[name], self.slots[name, hop])
        return (
            into.build((n_inputs, n_hidden), self.n_synapses),
            between.build((n_hidden, n_hidden), self.n_synapses),
            out_of.build((n_hidden, n_outputs), self.n_output_synapses),
        )

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
        most = self.chip.hidden.max_count
        by_row = [
            self.network.population(name) if hop == 0 else Population.create(name, size, max_count=most)
            for name, hop, size in self.rows
        ]
        joined = _join_parameters(by_row, self.n_synapses)
        slots = np.concatenate([self.slots[name, hop] for name, hop, _ in self.rows] or [np.zeros(0, np.int64)])
        order = np.argsort(slots)
        return NeuronParameters(
            alpha=joined.alpha[:, order],
            beta=joined.beta[order],
            threshold=joined.threshold[order],
            bias=joined.bias[order],
            max_count=joined.max_count[order],
        )


class _Synapses:
    """Triplets of one kind of weight memory, by synapse."""

    def __init__(self) -> None:
        self._triplets: defaultdict[int, list[tuple[IntArray, IntArray, np.ndarray]]] = defaultdict(list)

    def add(self, edge: Projection, sources: IntArray, targets: IntArray) -> None:
        self._triplets[edge.synapse].append((sources[edge.weights.rows], targets[edge.weights.indices], edge.weights.data))

    def add_chain(self, sources: IntArray, targets: IntArray) -> None:
        self._triplets[0].append((sources, targets, np.ones(targets.size)))

    def build(self, shape: tuple[int, int], n_synapses: int) -> tuple[CsrMatrix, ...]:
        return tuple(self._build_one(shape, self._triplets[synapse]) for synapse in range(n_synapses))

    @staticmethod
    def _build_one(shape: tuple[int, int], triplets: list[tuple[IntArray, IntArray, np.ndarray]]) -> CsrMatrix:
        if not triplets:
            return CsrMatrix.empty(shape)
        sources, targets, data = (np.concatenate(column) for column in zip(*triplets, strict=True))
        return CsrMatrix.from_triplets(sources, targets, data, shape)


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
