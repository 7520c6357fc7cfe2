"""A network folded into the chip's one hidden population, still with float weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core.csr import CsrMatrix
from snnmap.core.record import FloatArray, IntArray, freeze_float, freeze_int, freeze_mapping, record, replace_array
from snnmap.lif.program.route import Route, delay_on_chip, find_route
from snnmap.network.network import InputPort, OutputPort

__all__ = ["MappedNetwork", "NeuronParameters", "SlotTable"]


@record
class NeuronParameters:
    """Parameters of a row of chip neurons, in slot order, with the meaning of :class:`~snnmap.network.network.Population`.

    Attributes:
        alpha: ``(n_synapses, n) float64``, synaptic decay factors (the synapse decays before its input arrives).
        beta: ``(n,) float64``.
        threshold: ``(n,) float64``.
        bias: ``(n,) float64``.
        max_count: ``(n,) int64``.
    """

    alpha: FloatArray
    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    max_count: IntArray

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "threshold", "bias"):
            replace_array(self, name, freeze_float(getattr(self, name)))
        replace_array(self, "max_count", freeze_int(self.max_count))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.threshold.size)


@record
class SlotTable:
    """Which chip neuron is which model neuron.

    Attributes:
        sources: names of the input ports and populations that the index arrays refer to.
        channel_source: ``(n_inputs,) int64``, input port of each input channel, as an index into ``sources``.
        channel_neuron: ``(n_inputs,) int64``, channel within the port.
        hidden_source: ``(n_hidden,) int64``, population (or, for a relay, what it repeats) of each hidden slot.
        hidden_neuron: ``(n_hidden,) int64``, neuron within it.
        hidden_hop: ``(n_hidden,) int64``, 0 for the neuron itself, k for its k-th relay.
        output_source: ``(n_outputs,) int64``, population of each output neuron.
        output_neuron: ``(n_outputs,) int64``, neuron within it.
    """

    sources: tuple[str, ...]
    channel_source: IntArray
    channel_neuron: IntArray
    hidden_source: IntArray
    hidden_neuron: IntArray
    hidden_hop: IntArray
    output_source: IntArray
    output_neuron: IntArray

    def __post_init__(self) -> None:
        for name in (
            "channel_source",
            "channel_neuron",
            "hidden_source",
            "hidden_neuron",
            "hidden_hop",
            "output_source",
            "output_neuron",
        ):
            replace_array(self, name, freeze_int(getattr(self, name)))

    def hidden_slots(self, name: str, *, hop: int = 0) -> IntArray:
        """Return the hidden slots of a population (or of its relays at one hop), in neuron order."""
        chosen = np.flatnonzero((self.hidden_source == self._index(name)) & (self.hidden_hop == hop))
        return chosen[np.argsort(self.hidden_neuron[chosen], kind="stable")]

    def output_slots(self, name: str) -> IntArray:
        """Return the output neurons of a population, in neuron order."""
        chosen = np.flatnonzero(self.output_source == self._index(name))
        return chosen[np.argsort(self.output_neuron[chosen], kind="stable")]

    def locate(self, name: str) -> tuple[Literal["hidden", "outputs"], IntArray]:
        """Return the row of chip neurons that a population stands in, and its slots there, in neuron order."""
        outputs = self.output_slots(name)
        return ("outputs", outputs) if outputs.size else ("hidden", self.hidden_slots(name))

    def channels(self, name: str) -> IntArray:
        """Return the input channels of a port, in order."""
        return np.flatnonzero(self.channel_source == self._index(name))

    def list_places(self, lags: Mapping[str, int]) -> list[tuple[str, str, int, int, int, str]]:
        """Return where each source went: name, row, neurons, relays behind them, lag in steps, slots."""
        return [self._place_of(index, name, lags) for index, name in enumerate(self.sources)]

    def _place_of(self, index: int, name: str, lags: Mapping[str, int]) -> tuple[str, str, int, int, int, str]:
        relays = int(((self.hidden_source == index) & (self.hidden_hop > 0)).sum())
        hidden, outputs = self.hidden_slots(name), self.output_slots(name)
        row = "output" if outputs.size else "hidden" if hidden.size else "input"
        slots = outputs if outputs.size else hidden if hidden.size else self.channels(name)
        span = f"{slots.min()}..{slots.max()}" if slots.size else "-"
        return name, row, slots.size, relays, lags.get(name, 0), span

    def _index(self, name: str) -> int:
        return self.sources.index(name) if name in self.sources else -1


@record
class MappedNetwork:
    """A folded network: every hidden population in one, relays where paths must be aligned (docs/architecture.md).

    ``n_folded(P)[t + lags[P]] == n_source(P)[t]`` for every population P, neuron and input.

    Attributes:
        name: of the model.
        chip: what it was folded for.
        inputs: the source network's input ports, in channel order.
        output_ports: the source network's output ports.
        table: slot of each neuron.
        input_weights: one ``(n_inputs, n_hidden)`` matrix a synapse.
        recurrent_weights: one ``(n_hidden, n_hidden)`` matrix a synapse.
        output_weights: one ``(n_hidden, n_outputs)`` matrix a synapse.
        hidden: parameters by hidden slot; a relay repeats counts (weight 1, threshold 1, no memory).
        outputs: parameters by output neuron.
        lags: steps by which each population runs behind the source.
        stretched: extra delay given to projections at the user's request, by name, in steps.
        dt_s: length of a step in seconds, 0 where unknown.
        modules: path of the user's module behind each population, by name.
        integers: whether the source network holds the chip's own integers.
        advice: what the frontend says to do where an input waits for a population that it made beside a module's own; empty
            where it made none.
    """

    name: str
    chip: Chip
    inputs: tuple[InputPort, ...]
    output_ports: tuple[OutputPort, ...]
    table: SlotTable
    input_weights: tuple[CsrMatrix, ...]
    recurrent_weights: tuple[CsrMatrix, ...]
    output_weights: tuple[CsrMatrix, ...]
    hidden: NeuronParameters
    outputs: NeuronParameters
    lags: Mapping[str, int]
    stretched: Mapping[str, int]
    dt_s: float
    modules: Mapping[str, str]
    integers: bool = False
    advice: str = ""

    def __post_init__(self) -> None:
        for name in ("lags", "stretched", "modules"):
            replace_array(self, name, freeze_mapping(getattr(self, name)))

    @property
    def output_populations(self) -> tuple[str, ...]:
        """Names of the populations that ports read, each once, in port order."""
        return tuple(dict.fromkeys(name for port in self.output_ports for name in port.populations))

    def weights(self, kind: MemoryKind) -> tuple[CsrMatrix, ...]:
        """Return the weights of one kind of memory, one matrix a synapse."""
        matrices: tuple[CsrMatrix, ...] = getattr(self, kind.weights_name)
        return matrices

    def with_weights(self, weights: Mapping[MemoryKind, tuple[CsrMatrix, ...]]) -> Self:
        """Return the network with other weights in some kinds of memory."""
        changes: dict[str, Any] = {kind.weights_name: matrices for kind, matrices in weights.items()}
        return replace(self, **changes)

    def route(self, pre: str, post: str, delay_steps: int) -> Route:
        """Return the way of a projection of the source network: which memory stores its weights, and for which relay.

        Args:
            pre: input port or population.
            post: population.
            delay_steps: of the projection, before folding.
        """
        steps = delay_steps + self.lags[post] - self.lags.get(pre, 0)
        return find_route(self, pre, post, steps - delay_on_chip(self, self.chip, pre, post))

    def delay_of(self, pre: str, post: str, hop: int) -> int:
        """Return the delay in the source network of a projection that leaves ``pre`` at a relay; :meth:`route` back to front."""
        return hop + delay_on_chip(self, self.chip, pre, post) - self.lags[post] + self.lags.get(pre, 0)

    def source_slots(self, pre: str, route: Route) -> IntArray:
        """Return the rows of a route's memory that stand for a source, in neuron order: input channels or hidden slots."""
        return self.table.channels(pre) if route.is_from_channels else self.table.hidden_slots(pre, hop=route.hop)

    def relay_lag(self, name: str, hop: int) -> int:
        """Return the steps by which a source's k-th relay runs behind the source network; hop 0 is the source itself."""
        is_input = any(port.name == name for port in self.inputs)
        # the first relay of an input port answers in the step in which its input arrives, each later one a step after
        steps = self.chip.memory(MemoryKind.INPUT).delay_steps + hop - 1 if is_input and hop else hop
        return self.lags.get(name, 0) + steps

    def list_places(self) -> list[tuple[str, str, int, int, int, str]]:
        """Return where each source went, as :meth:`SlotTable.list_places`."""
        return self.table.list_places(self.lags)

    def _repr_html_(self) -> str:
        from snnmap.core.html import to_html
        from snnmap.lif.program.floor_plan import show_mapped

        return to_html(*show_mapped(self))

    @property
    def n_relays(self) -> int:
        """Hidden slots that are relays."""
        return int((self.table.hidden_hop > 0).sum())

    @property
    def waiting_inputs(self) -> tuple[str, ...]:
        """Input ports some of whose spikes wait in relays."""
        relayed = set(self.table.hidden_source[self.table.hidden_hop > 0].tolist())
        return tuple(port.name for port in self.inputs if self.table.sources.index(port.name) in relayed)

    @property
    def max_input_count(self) -> int:
        """The most spikes a step of an input channel that all arrive, relays included."""
        inputs, hidden = self.chip.inputs.max_count, self.chip.hidden.max_count
        return min(inputs, hidden) if self.waiting_inputs else inputs

    @property
    def latency_steps(self) -> int:
        """Largest lag of an output port."""
        return max((self.lags[name] for port in self.output_ports for name in port.populations), default=0)
