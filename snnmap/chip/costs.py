"""What a step of a chip costs: figures beside its record, each with its source, which no bitstream depends on."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

__all__ = ["AverageCycles", "Costs", "Prices", "WalkerCycles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageCycles:
    """Cycles a step from average activity: products of shares of neurons that spike, as the Xylo chips' vendor models them.

    Multiple spikes of a neuron in a step cost what one does.

    Attributes:
        source: where the figures come from.
        targets: whether all neurons have inputs or are read by outputs, or those with weights.
        input_word: cycles of a hidden neuron that takes inputs, for a channel that spikes.
        input_channel: of a channel.
        recurrent_word: of a recurrent weight of a neuron that spikes.
        recurrent_row: of a hidden neuron.
        output_word: of an output, for a hidden neuron that spikes.
        output_row: of a hidden neuron that spikes and is read.
        hidden_neuron: of a hidden neuron, whatever it does.
        spike_write: of a hidden neuron that spikes or is an alias.
        alias_write: of an alias, where it spikes or is an alias's source.
        spike: of a hidden neuron that spikes.
        alias_read: of an alias's source, where it spikes or is an alias.
        output_neuron: of an output neuron.
    """

    source: str
    targets: Literal["all", "with-weights"]
    input_word: float
    input_channel: float
    recurrent_word: float
    recurrent_row: float
    output_word: float
    output_row: float
    hidden_neuron: float
    spike_write: float
    alias_write: float
    spike: float
    alias_read: float
    output_neuron: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkerCycles:
    """Cycles of every step of snnmap's open core (:mod:`snnmap.lif.rtl`), which walks its weight memories, synapses side by side.

    Attributes:
        source: where the figures come from.
        step: cycles of a step, whatever happens.
        phase: of the start of a walk.
        walk: of its end.
        group: of a group of sources (or of targets, where weights are stored by target).
        sources: of a group.
        row: of a source that spikes (or of a target).
        word: of a weight word of it.
        drain: cycles that the last word's result is on its way, less those of the groups and rows behind it.
        evolve: of the start of a row of neurons, and its end but for the stages.
        neuron: of a neuron.
        stage: of each of the stages that take spikes, one for each bit of the largest count; a row of neurons goes through all.
        spike: of each spike but the first of a neuron with a threshold below 0.
        aliased: of a hidden neuron with an alias, beside all stages; the last slot's costs nothing.
        alias: of such a neuron that spikes, the last slot's too.
        enter: of the start of a pass over all neurons before the walks, where currents decay before their input.
    """

    source: str
    step: int
    phase: int
    walk: int
    group: int
    sources: int
    row: int
    word: int
    drain: int
    evolve: int
    neuron: int
    stage: int
    spike: int
    aliased: int
    alias: int
    enter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What actions cost; a price that is left out is unknown, not nothing.

    Attributes:
        source: where the figures come from.
        technology: that they hold for.
        weight_bit_read_pj: picojoules a bit read of a weight memory of any size, where ``weight_reads`` tells none.
        state_bit_read_pj: of a state memory.
        state_bit_write_pj: written to a state memory.
        add_pj: of an addition of states.
        idle_w: watts at rest.
        weight_reads: bytes of a weight memory and picojoules a bit read of it, one pair for each size that the source tells.
    """

    source: str
    technology: str
    weight_bit_read_pj: float | None = None
    state_bit_read_pj: float | None = None
    state_bit_write_pj: float | None = None
    add_pj: float | None = None
    idle_w: float | None = None
    weight_reads: tuple[tuple[float, float], ...] = ()

    def price_weight_read(self, n_bytes: float) -> float | None:
        """Return picojoules a bit read of a weight memory: between two sizes of the source on the power law through both.

        Below the smallest it is that one's price, and above the largest that one's, of which larger memories are banks.

        Example:
            >>> prices = Prices(source="", technology="", weight_reads=((8192.0, 0.1), (32768.0, 0.2)))
            >>> [round(prices.price_weight_read(n_bytes), 3) for n_bytes in (1, 8192, 16384, 32768, 10**6)]
            [0.1, 0.1, 0.141, 0.2, 0.2]
        """
        if not self.weight_reads:
            return self.weight_bit_read_pj
        points = sorted(self.weight_reads)
        size = min(max(n_bytes, points[0][0]), points[-1][0])
        for (low, cheap), (high, dear) in pairwise(points):
            if size <= high:
                share = math.log(size / low) / math.log(high / low)
                return float(cheap ** (1 - share) * dear**share)
        return points[0][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cycles, prices and the clock of a chip, as far as they are known.

    Attributes:
        average: cycles from average activity.
        walker: cycles of every step.
        prices: of actions.
        clock_hz: of the chip, as it is usually run.
        clock_source: where that comes from.
    """

    average: AverageCycles | None = None
    walker: WalkerCycles | None = None
    prices: Prices | None = None
    clock_hz: float | None = None
    clock_source: str = ""
