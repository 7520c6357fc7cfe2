"""The parts of a network in the chip's integers as modules: weights onto a population, and its neurons."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from snnmap.chip import Bits, find_family
from snnmap.core import FloatArray, IntArray
from snnmap.lif.program import QuantisedNetwork, Route, rebuild_projections
from snnmap.network import Projection
from snnmap.nn.chip.neurons import round_product, round_through

__all__ = ["ChipPopulation", "ChipProjection", "NeuronTensors", "read_populations"]

_TYPICAL_WEIGHT = 0.125
"""Root mean square of a projection's weights in trained units, to a factor of the square root of 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuronTensors:
    """The integers of neurons, as tensors that carry gradients to what is trained; see :class:`snnmap.nn.ChipCodes`.

    Attributes:
        dash_syn: ``(n_synapses, size)``.
        dash_mem: ``(size,)``.
        threshold: ``(size,)`` in state units.
        bias: ``(size,)`` in state units.
    """

    dash_syn: Tensor
    dash_mem: Tensor
    threshold: Tensor
    bias: Tensor


class ChipProjection(nn.Module):
    """The weights that the chip stores from one source to one synapse of a population; there are no others to train.

    Weights are held in units in which those of all projections are about as large, a power of two of the target's own, so that
    one learning rate moves all by the same share, whatever decays and fan-ins make of them.

    Attributes:
        name: of the projection.
        pre: input port or population.
        synapse: of the target.
        delay_steps: of the network, before folding.
        shift: bits by which the chip shifts them.
        weight: ``(n_weights,)`` in trained units, source by source.
        unit: a trained unit in those of the target.
        starts: ``(n_pre + 1,) int64``, where the weights of each source start.
        targets: ``(n_weights,) int64``, target of each.
        ranks: ``(n_pre,) int64``, place of each source in the order in which the chip adds up.
    """

    unit: Tensor
    starts: Tensor
    targets: Tensor
    ranks: Tensor

    def __init__(
        self, projection: Projection, words: IntArray, shift: int, ranks: IntArray, scale: FloatArray, bits: Bits
    ) -> None:
        super().__init__()
        self.name, self.pre, self.synapse = projection.name, projection.pre, projection.synapse
        self.delay_steps, self.shift, self.bits = projection.delay_steps, shift, bits
        self.n_targets = projection.weights.shape[1]
        self.register_buffer("starts", torch.tensor(projection.weights.indptr))
        self.register_buffer("targets", torch.tensor(projection.weights.indices))
        self.register_buffer("ranks", torch.tensor(ranks))
        values = (words << shift) / scale[projection.weights.indices]
        size = float(np.sqrt(np.mean(values**2))) if values.any() else _TYPICAL_WEIGHT
        unit = 2.0 ** round(np.log2(size / _TYPICAL_WEIGHT))
        self.register_buffer("unit", torch.tensor(unit, dtype=torch.get_default_dtype()))
        self.weight = nn.Parameter(torch.tensor(values / unit, dtype=torch.get_default_dtype()))

    @property
    def sources(self) -> Tensor:
        """Source of each weight, ``(n_weights,) int64``."""
        return torch.repeat_interleave(torch.arange(len(self.starts) - 1, device=self.starts.device), self.starts.diff())

    def codes(self, scale: Tensor) -> Tensor:
        """Return the weights as the chip counts them, ``(n_weights,)`` in state units, of the target's scale ``(size,)``."""
        (low, high), step = self.bits.weight_range, float(1 << self.shift)
        return round_product(self.weight, scale[self.targets] * self.unit, step).clamp(low, high) * step

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        return f"{self.name!r}, {self.weight.numel()} weights, shift={self.shift}"


class ChipPopulation(nn.Module):
    """Neurons of a network in the chip's integers, and the weights onto them.

    Parameters are held in trained units and rounded on their way, as in :class:`snnmap.nn.ChipLIF`. A unit is the neuron's
    threshold or, for neurons that are read by their potentials, the largest weight onto them, whatever units the model came in;
    weights have their projection's. Called with the population's counts it gives them back: a place for hooks.

    Attributes:
        name: of the population.
        path: of the user's module that it stands for.
        size: neurons.
        n_synapses: currents a neuron.
        max_count: the most spikes a step.
        readouts: what output ports read of it: ``spikes``, ``potential``.
        incoming: projections onto it.
        scale: ``(size,)``, state units for one trained unit.
        unit: ``(size,)``, state units for one unit of the model's potentials.
        never_fires: ``(size,) bool``, integrators, which fire on the chip only where the potential leaves its range.
    """

    scale: Tensor
    unit: Tensor
    never_fires: Tensor

    def __init__(self, read: "_Reading", name: str) -> None:
        super().__init__()
        self.name, self.path, self.bits = name, read.mapped.modules.get(name, ""), read.mapped.chip.bits
        kind, self.arithmetic = read.kind(name), read.mapped.chip.arithmetic
        self.size, self.max_count, self.has_bias = kind.slots.size, kind.max_count, kind.has_bias
        self.readouts = frozenset(port.readout for port in read.mapped.output_ports if name in port.populations)
        words = [(projection, *read.words(projection)) for projection in read.projections if projection.post == name]
        self.n_synapses = 1 + max((projection.synapse for projection, _, _ in words), default=0)
        scale = self._choose_scale(kind, words)
        self.register_buffer("scale", _float(scale))
        self.register_buffer("unit", _float(kind.unit))
        self.register_buffer("never_fires", torch.tensor(kind.never_fires))
        self.incoming = nn.ModuleList(
            ChipProjection(projection, data, shift, read.ranks(projection), scale, self.bits) for projection, data, shift in words
        )
        self.threshold = _frozen(kind.threshold / scale)
        self.bias = _frozen(kind.bias / scale)
        self.dash_syn = _frozen(kind.dash_syn[: self.n_synapses])
        self.dash_mem = _frozen(kind.dash_mem)

    def _choose_scale(self, kind: "_Kind", words: list[tuple[Projection, IntArray, int]]) -> FloatArray:
        if not kind.never_fires.any() and "potential" not in self.readouts:
            return np.asarray(kind.threshold, np.float64)
        largest = max((float(np.abs(data << shift).max(initial=0)) for _, data, shift in words), default=0.0)
        return np.where(kind.never_fires, max(largest, 1.0), kind.threshold).astype(np.float64)

    def list_incoming(self) -> list[ChipProjection]:
        """Return the projections onto the population, typed."""
        return [cast(ChipProjection, projection) for projection in self.incoming]

    def codes(self) -> NeuronTensors:
        """Return the integers that the neurons compute with."""
        family = find_family(self.arithmetic)
        low, high = self.bits.bias_range if self.has_bias else (0, 0)
        return NeuronTensors(
            dash_syn=round_through(self.dash_syn).clamp(*map(float, family.synapse_codes(self.bits.dash_max))),
            dash_mem=round_through(self.dash_mem).clamp(0.0, float(self.bits.dash_max)),
            threshold=round_product(self.threshold, self.scale).clamp(1.0, float(self.bits.threshold_max + family.least_firing)),
            bias=round_product(self.bias, self.scale).clamp(float(low), float(high)),
        )

    def forward(self, counts: Tensor) -> Tensor:
        """Return the counts, ``(batch, time, size)``, as they are."""
        return counts

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        return f"{self.name!r}, {self.size}, n_synapses={self.n_synapses}, max_count={self.max_count}"


def read_populations(quantised: QuantisedNetwork) -> list[ChipPopulation]:
    """Make the populations of a quantised network, in their order, as it was wired before folding."""
    read, table = _Reading(quantised), quantised.mapped.table
    ports = {port.name for port in quantised.mapped.inputs}
    placed = [table.sources[number] for number in {*table.hidden_source.tolist(), *table.output_source.tolist()}]
    return [ChipPopulation(read, name) for name in sorted(placed, key=table.sources.index) if name not in ports]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The integers of a population's neurons."""

    slots: IntArray
    max_count: int
    has_bias: bool
    unit: FloatArray
    threshold: IntArray
    never_fires: np.ndarray
    bias: IntArray
    dash_syn: IntArray
    dash_mem: IntArray


class _Reading:
    """Integers of a quantised network by population and projection."""

    def __init__(self, quantised: QuantisedNetwork) -> None:
        self.mapped, self.program, self.quantised = quantised.mapped, quantised.program, quantised
        self.projections = list(rebuild_projections(self.mapped))
        self._stored = {projection.name: projection.weights for projection in rebuild_projections(self.mapped, self.program)}

    def kind(self, name: str) -> _Kind:
        mapped, chip = self.mapped, self.mapped.chip
        area, slots = mapped.table.locate(name)
        is_output = area == "outputs"
        codes = self.program.outputs if is_output else self.program.hidden
        neurons = chip.outputs if is_output else chip.hidden
        return _Kind(
            slots=slots,
            max_count=neurons.max_count,
            has_bias=neurons.bias,
            unit=(self.quantised.output_scale if is_output else self.quantised.hidden_scale)[slots],
            threshold=codes.threshold[slots] + chip.family.least_firing,
            never_fires=np.isposinf((mapped.outputs if is_output else mapped.hidden).threshold[slots]),
            bias=codes.bias[slots],
            dash_syn=codes.dash_syn[:, slots],
            dash_mem=codes.dash_mem[slots],
        )

    def words(self, projection: Projection) -> tuple[IntArray, int]:
        """Return the stored words of a projection's weights, 0 for those that rounding lost, and by how much they are shifted."""
        weights = projection.weights
        stored = self._stored.get(projection.name)
        words = np.zeros(weights.nnz, np.int64)
        if stored is not None:
            words[:] = np.asarray(stored.to_scipy()[weights.rows, weights.indices]).reshape(-1)
        shift = self.program.memory(self._route(projection).memory).shift
        return words, shift + self.mapped.chip.family.weight_shift

    def ranks(self, projection: Projection) -> IntArray:
        """Return the place of each source in the chip's order: input channels, then hidden slots, or its relays'."""
        mapped, route = self.mapped, self._route(projection)
        first = 0 if route.is_from_channels else mapped.table.channel_source.size
        return np.asarray(first + mapped.source_slots(projection.pre, route), np.int64)

    def _route(self, projection: Projection) -> Route:
        return self.mapped.route(projection.pre, projection.post, projection.delay_steps)


def _frozen(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(_float(values), requires_grad=False)


def _float(values: np.ndarray) -> Tensor:
    return torch.tensor(np.asarray(values, np.float64), dtype=torch.get_default_dtype())
