"""What a chip is: a frozen record that checks itself."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from snnmap.chip.arithmetic import DEFAULT_FAMILY, Family, find_family, list_families
from snnmap.errors import ChipError

__all__ = ["Bits", "Chip", "HiddenNeurons", "InputChannels", "Layout", "OutputNeurons", "Readout", "SlotReach", "WeightMemory"]

Layout = Literal["dense", "rows_by_source", "columns_by_target"]
_MAX_WORD_BITS = 32
"""Of a word in a bitstream; decay codes of all synapses and the membrane share one."""
Readout = Literal["spikes", "potential", "current"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReach:
    """Which hidden slots a memory block can address: the first or the last ``count`` of those in use."""

    anchor: Literal["first", "last"]
    count: int

    def slots(self, n_hidden: int) -> range:
        """Give the addressable slots when ``n_hidden`` hidden slots are in use."""
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
class WeightMemory:
    """One kind of weight memory, of which the chip has one for each synapse.

    Attributes:
        layout: ``dense`` (every address holds a weight), ``rows_by_source`` or ``columns_by_target`` (non-zero weights
            with the other neuron's id, and a table of lengths).
        max_words: weight words in one memory.
        max_fan_in: most weights stored for one target in one memory, 0 for no such limit.
        max_fan_out: most weights stored for one source over the memories of all synapses, 0 for no such limit.
        delay_steps: steps from a spike of the source to its effect on the target.
    """

    layout: Layout
    max_words: int
    max_fan_in: int
    max_fan_out: int
    delay_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """Widths of the chip's words, in bits; all but ``decay`` and ``weight_shift`` are signed."""

    weight: int
    threshold: int
    bias: int
    decay: int
    weight_shift: int
    state: int

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A fixed LIF chip as data: shape, widths, memories and delays (design, section 4).

    Attributes:
        name: the catalog name.
        chip_id: number written to each bitstream, 1..65535.
        description: one line for people.
        source: where the figures come from.
        arithmetic: name of the family of neurons, see :mod:`snnmap.chip.arithmetic`.

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

    def __post_init__(self) -> None:
        problems = _find_contradictions(self)
        if problems:
            raise ChipError(
                f"chip '{self.name}' contradicts itself: " + "; ".join(problems),
                where=f"chip record '{self.name}'",
                fix="correct the named fields of the chip's TOML file",
            )

    @property
    def family(self) -> Family:
        """The chip's arithmetic."""
        return find_family(self.arithmetic)

    @property
    def digest(self) -> bytes:
        """SHA-256 over all fields that change what a bitstream means; name, texts and fields at their default do not count."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("name", "description", "source")}
        if self.arithmetic == DEFAULT_FAMILY:
            del fields["arithmetic"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def _find_contradictions(chip: Chip) -> list[str]:
    if chip.arithmetic not in list_families():
        return [f"arithmetic = '{chip.arithmetic}' is not one of {', '.join(list_families())}"]
    checks = [*_range_checks(chip), *_memory_checks(chip)]
    return [problem for holds, problem in checks if not holds]


def _range_checks(chip: Chip) -> list[tuple[bool, str]]:
    bits, inputs, hidden, outputs, family = chip.bits, chip.inputs, chip.hidden, chip.outputs, chip.family
    ranges = [
        ("chip_id", chip.chip_id, 1, 65535),
        ("inputs.count", inputs.count, 1, 65535),
        ("inputs.max_count", inputs.max_count, 1, 255),
        ("inputs.reach.count", inputs.reach.count, 1, hidden.count),
        ("hidden.count", hidden.count, 1, 65535),
        ("hidden.synapses", hidden.synapses, 1, 2),
        ("hidden.max_count", hidden.max_count, 1, family.most_spikes),
        ("outputs.count", outputs.count, 1, 65535),
        ("outputs.synapses", outputs.synapses, 1, hidden.synapses),
        ("outputs.max_count", outputs.max_count, 1, family.most_spikes),
        ("outputs.reach.count", outputs.reach.count, 1, hidden.count),
        ("bits.weight", bits.weight, 2, 16),
        ("bits.threshold", bits.threshold, 2, bits.state),
        ("bits.bias", bits.bias, 2, bits.state),
        ("bits.decay", bits.decay, *family.decay_bits),
        ("bits.weight_shift", bits.weight_shift, 0, 3),
        ("bits.state", bits.state, max(8, bits.weight), 24),
        ("input_weights.delay_steps", chip.input_weights.delay_steps, 0, 1),
        ("recurrent_weights.delay_steps", chip.recurrent_weights.delay_steps, 1, 1),
        ("output_weights.delay_steps", chip.output_weights.delay_steps, 0, 1),
    ]
    return [
        *((low <= value <= high, f"{name} = {value} is outside {low}..{high}") for name, value, low, high in ranges),
        (
            bits.decay * (1 + hidden.synapses) <= _MAX_WORD_BITS,
            f"bits.decay = {bits.decay} makes words of {bits.decay * (1 + hidden.synapses)} bits, more than {_MAX_WORD_BITS}",
        ),
        (bool(outputs.readouts), "outputs.readouts is empty"),
        (len(set(outputs.readouts)) == len(outputs.readouts), "outputs.readouts names a readout twice"),
    ]


def _memory_checks(chip: Chip) -> list[tuple[bool, str]]:
    shapes = {
        "input_weights": (chip.input_weights, chip.inputs.count, chip.inputs.reach.count),
        "recurrent_weights": (chip.recurrent_weights, chip.hidden.count, chip.hidden.count),
        "output_weights": (chip.output_weights, chip.outputs.reach.count, chip.outputs.count),
    }
    checks: list[tuple[bool, str]] = []
    for name, (memory, n_sources, n_targets) in shapes.items():
        dense_words = n_sources * n_targets
        checks += [
            (memory.max_words >= 1, f"{name}.max_words = {memory.max_words} is below 1"),
            (memory.max_fan_in >= 0, f"{name}.max_fan_in = {memory.max_fan_in} is negative"),
            (memory.max_fan_out >= 0, f"{name}.max_fan_out = {memory.max_fan_out} is negative"),
            (
                memory.layout != "dense" or memory.max_words >= dense_words,
                f"{name} is dense but max_words = {memory.max_words} is below {n_sources} x {n_targets} = {dense_words}",
            ),
            (
                memory.layout != "columns_by_target" or memory.max_fan_in > 0,
                f"{name} is stored by target but max_fan_in is 0",
            ),
        ]
    return checks
