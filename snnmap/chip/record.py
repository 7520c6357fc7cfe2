"""What a chip is: a frozen record that checks itself."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from snnmap.chip.arithmetic import DEFAULT_FAMILY, Family, find_family, list_families
from snnmap.chip.costs import Costs
from snnmap.chip.memory import LAYOUTS, MemoryKind, WeightMemory
from snnmap.core.brief import brief_repr
from snnmap.core.errors import ChipError
from snnmap.core.record import list_counted

__all__ = ["Bits", "Chip", "HiddenNeurons", "InputChannels", "OutputNeurons", "Readout", "SlotReach"]

_MOST_WORD_BITS = 32
_EDITED = " (edited: "
_SIZED = "weight_bit_read_pj"
"""The price that depends on a memory's size."""
_UNCOUNTED = ("name", "description", "source", "costs")
_LEAST_DELAY = {MemoryKind.RECURRENT: 1}
"""Steps that a memory takes at least; others may answer in the step of the spike."""
_SHOWN_BITS = ("weight", "threshold", "bias", "decay", "state")
Readout = Literal["spikes", "potential", "current"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReach:
    """Which hidden slots a memory block can address: the first or the last ``count`` of those in use."""

    anchor: Literal["first", "last"]
    count: int

    def slots(self, n_hidden: int) -> range:
        """Return the addressable slots when ``n_hidden`` hidden slots are in use."""
        width = min(self.count, n_hidden)
        return range(width) if self.anchor == "first" else range(n_hidden - width, n_hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChannels:
    """Input channels: how many, the largest spike count a step, and the hidden slots they reach."""

    count: int
    max_count: int
    reach: SlotReach


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenNeurons:
    """The one recurrent hidden population: size, synapses a neuron, largest count a step, optional features."""

    count: int
    synapses: int
    max_count: int
    bias: bool
    alias: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputNeurons:
    """Output neurons: size, synapses, largest count a step, bias, the hidden slots they read, and what can be read."""

    count: int
    synapses: int
    max_count: int
    bias: bool
    reach: SlotReach
    readouts: tuple[Readout, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """Widths of the chip's words, in bits; all but ``decay``, ``weight_shift`` and ``neuron_id`` are signed.

    ``neuron_id`` bounds how many channels and neurons there can be: ``2**neuron_id - 1``.
    """

    weight: int
    threshold: int
    bias: int
    decay: int
    weight_shift: int
    state: int
    neuron_id: int = 16

    @property
    def weight_range(self) -> tuple[int, int]:
        """Lowest and highest weight."""
        return -(1 << (self.weight - 1)), (1 << (self.weight - 1)) - 1

    @property
    def threshold_max(self) -> int:
        """Highest threshold."""
        return (1 << (self.threshold - 1)) - 1

    @property
    def bias_range(self) -> tuple[int, int]:
        """Lowest and highest bias."""
        return -(1 << (self.bias - 1)), (1 << (self.bias - 1)) - 1

    @property
    def state_max(self) -> int:
        """Highest synaptic current or membrane potential."""
        return (1 << (self.state - 1)) - 1

    @property
    def dash_max(self) -> int:
        """Highest decay code."""
        return (1 << self.decay) - 1

    @property
    def shift_max(self) -> int:
        """Largest weight shift of a block."""
        return (1 << self.weight_shift) - 1

    @property
    def neurons_max(self) -> int:
        """Most input channels, hidden or output neurons."""
        return (1 << self.neuron_id) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A fixed LIF chip as data: shape, widths, memories and delays (docs/architecture.md).

    The record can grow. Fields of the first record have no default and always count in the digest; a field that is added to
    this class or to one of its parts has one, which never changes, and counts only where it holds another value. So no
    bitstream that there is dies of a new field.

    Attributes:
        name: the catalog name.
        chip_id: number written to each bitstream, 1..65535.
        description: one line for people.
        source: where the figures come from.
        arithmetic: name of the family of neurons, see :mod:`snnmap.chip.arithmetic`.
        costs: cycles and prices, which no bitstream depends on.

    Raises:
        ChipError: when fields contradict each other; the message names them all.
    """

    name: str
    chip_id: int
    description: str
    source: str
    inputs: InputChannels
    hidden: HiddenNeurons
    outputs: OutputNeurons
    input_weights: WeightMemory
    recurrent_weights: WeightMemory
    output_weights: WeightMemory
    bits: Bits
    arithmetic: str = DEFAULT_FAMILY
    costs: Costs = field(default_factory=Costs)

    __repr__ = brief_repr

    def __post_init__(self) -> None:
        problems = _find_contradictions(self)
        if problems:
            raise ChipError(
                f"chip '{self.name}' contradicts itself: " + "; ".join(problems),
                where=f"chip record '{self.name}'",
                fix="correct the named fields of the chip's TOML file",
            )

    def _repr_html_(self) -> str:
        from snnmap.core.html import heading, make_table, paragraph, to_html

        neurons = (
            ("input channels", self.inputs.count, self.inputs.max_count),
            ("hidden neurons", self.hidden.count, self.hidden.max_count),
            ("output neurons", self.outputs.count, self.outputs.max_count),
        )
        words = [
            (kind.weights_name, self.synapses(kind), memory.layout, memory.max_words, memory.max_fan_in or "", memory.delay_steps)
            for kind, memory in ((kind, self.memory(kind)) for kind in MemoryKind)
        ]
        return to_html(
            heading(f"chip '{self.name}': {self.description}"),
            make_table(("row", "count#", "spikes a step#"), neurons),
            make_table(("memory", "synapses#", "layout", "words each#", "fan-in#", "delay (steps)#"), words),
            paragraph(f"{self.family.description}; {', '.join(f'{n} {getattr(self.bits, n)}' for n in _SHOWN_BITS)} bits"),
        )

    @property
    def family(self) -> Family:
        """The chip's arithmetic."""
        return find_family(self.arithmetic)

    @property
    def digest(self) -> bytes:
        """SHA-256 over all fields that change what a bitstream means: not name, texts and costs, nor fields at their default."""
        counted = {key: value for key, value in list_counted(self).items() if key not in _UNCOUNTED}
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).digest()

    @property
    def short_digest(self) -> str:
        """The digest as messages show it."""
        return self.digest.hex()[:16]

    @property
    def plain_name(self) -> str:
        """The name without what :meth:`rename_beside` adds."""
        return self.name.partition(_EDITED)[0]

    def rename_beside(self, built_in: "Chip") -> "Chip":
        """Return the chip a name that tells it from the built-in that it was edited from, and both digests."""
        return replace(self, name=f"{built_in.name}{_EDITED}{self.short_digest}, built-in: {built_in.short_digest})")

    def memory(self, kind: MemoryKind) -> WeightMemory:
        """Return the record of one kind of weight memory."""
        memory: WeightMemory = getattr(self, kind.weights_name)
        return memory

    def synapses(self, kind: MemoryKind) -> int:
        """Return how many memories of a kind there are: one for each synapse of its targets."""
        return kind.target(hidden=self.hidden.synapses, outputs=self.outputs.synapses)

    def ends(self, kind: MemoryKind) -> tuple[int, int]:
        """Return how many sources and how many targets a kind of memory connects, in reach or not."""
        return kind.shape(self.inputs.count, self.hidden.count, self.outputs.count)

    def addresses(self, kind: MemoryKind, n_inputs: int, n_hidden: int, n_outputs: int) -> tuple[range, range]:
        """Return the sources and the targets that a kind of memory can address when this many are in use."""
        if kind is MemoryKind.INPUT:
            return range(n_inputs), self.inputs.reach.slots(n_hidden)
        if kind is MemoryKind.OUTPUT:
            return self.outputs.reach.slots(n_hidden), range(n_outputs)
        return range(n_hidden), range(n_hidden)

    def weight_bytes(self, kind: MemoryKind) -> float:
        """Return the size of a weight memory."""
        return self.memory(kind).max_words * self.word_bits(kind) / 8

    def find_price(self, name: str, kind: MemoryKind = MemoryKind.RECURRENT) -> float | None:
        """Return a price of :class:`Prices`, that of reading weights for a memory's size; None where it is unknown."""
        prices = self.costs.prices
        if prices is None:
            return None
        price: float | None = prices.price_weight_read(self.weight_bytes(kind)) if name == _SIZED else getattr(prices, name)
        return price

    def word_bits(self, kind: MemoryKind) -> int:
        """Return the width of a word of a kind of weight memory: a weight, and the ids that its layout stores."""
        id_bits = {
            end: max(1, (count - 1).bit_length()) for end, count in zip(("source", "target"), self.ends(kind), strict=True)
        }
        return self.bits.weight + sum(id_bits[end] for end in LAYOUTS[self.memory(kind).layout].stored_ids)


def _find_contradictions(chip: Chip) -> list[str]:
    if chip.arithmetic not in list_families():
        return [f"arithmetic = '{chip.arithmetic}' is not one of {', '.join(list_families())}"]
    checks = [*_range_checks(chip), *_memory_checks(chip)]
    return [problem for holds, problem in checks if not holds]


def _range_checks(chip: Chip) -> list[tuple[bool, str]]:
    bits, inputs, hidden, outputs, family = chip.bits, chip.inputs, chip.hidden, chip.outputs, chip.family
    ranges = [
        ("chip_id", chip.chip_id, 1, 65535),
        ("inputs.count", inputs.count, 1, bits.neurons_max),
        ("inputs.max_count", inputs.max_count, 1, 255),
        ("inputs.reach.count", inputs.reach.count, 1, hidden.count),
        ("hidden.count", hidden.count, 1, bits.neurons_max),
        ("hidden.synapses", hidden.synapses, 1, 2),
        ("hidden.max_count", hidden.max_count, 1, family.most_spikes),
        ("outputs.count", outputs.count, 1, bits.neurons_max),
        ("outputs.synapses", outputs.synapses, 1, hidden.synapses),
        ("outputs.max_count", outputs.max_count, 1, family.most_spikes),
        ("outputs.reach.count", outputs.reach.count, 1, hidden.count),
        ("bits.weight", bits.weight, 2, 16),
        ("bits.threshold", bits.threshold, 2, bits.state),
        ("bits.bias", bits.bias, 2, bits.state),
        ("bits.decay", bits.decay, *family.decay_bits),
        ("bits.weight_shift", bits.weight_shift, 0, 3),
        ("bits.state", bits.state, max(8, bits.weight), 24),
        ("bits.neuron_id", bits.neuron_id, 16, 30),
        *(
            (f"{kind.weights_name}.delay_steps", chip.memory(kind).delay_steps, _LEAST_DELAY.get(kind, 0), 1)
            for kind in MemoryKind
        ),
    ]
    reads = () if chip.costs.prices is None else chip.costs.prices.weight_reads
    sized = all(len(read) == 2 and min(read) > 0 for read in reads) and len({read[0] for read in reads}) == len(reads)
    return [
        *((low <= value <= high, f"{name} = {value} is outside {low}..{high}") for name, value, low, high in ranges),
        (sized, "costs.prices.weight_reads is no list of [bytes, picojoules a bit] above 0, each size once"),
        (
            bits.decay * (1 + hidden.synapses) <= _MOST_WORD_BITS,
            f"bits.decay = {bits.decay} makes words of {bits.decay * (1 + hidden.synapses)} bits, more than {_MOST_WORD_BITS}",
        ),
        (bool(outputs.readouts), "outputs.readouts is empty"),
        (len(set(outputs.readouts)) == len(outputs.readouts), "outputs.readouts names a readout twice"),
    ]


def _memory_checks(chip: Chip) -> Iterator[tuple[bool, str]]:
    for kind in MemoryKind:
        name, memory = kind.weights_name, chip.memory(kind)
        yield memory.max_words >= 1, f"{name}.max_words = {memory.max_words} is below 1"
        yield memory.max_fan_in >= 0, f"{name}.max_fan_in = {memory.max_fan_in} is negative"
        yield memory.max_fan_out >= 0, f"{name}.max_fan_out = {memory.max_fan_out} is negative"
        yield memory.layout in LAYOUTS, f"{name}.layout = '{memory.layout}' is not one of {', '.join(LAYOUTS)}"
        if memory.layout in LAYOUTS:
            yield from _layout_checks(chip, kind)


def _layout_checks(chip: Chip, kind: MemoryKind) -> Iterator[tuple[bool, str]]:
    name, memory, facts = kind.weights_name, chip.memory(kind), LAYOUTS[chip.memory(kind).layout]
    sources, targets = chip.addresses(kind, chip.inputs.count, chip.hidden.count, chip.outputs.count)
    n_addresses = len(sources) * len(targets)
    yield (
        memory.is_sparse or memory.max_words >= n_addresses,
        f"{name} is {memory.layout} but max_words = {memory.max_words} is below {len(sources)} x {len(targets)} = {n_addresses}",
    )
    yield memory.max_fan_in > 0 or not facts.needs_fan_in, f"{name} is {memory.layout} but max_fan_in is 0"
    yield (
        chip.word_bits(kind) <= _MOST_WORD_BITS,
        f"a word of {name} takes {chip.word_bits(kind)} bits for weight and id, more than {_MOST_WORD_BITS}",
    )
