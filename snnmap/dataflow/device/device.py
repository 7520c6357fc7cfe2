"""What a device for pipelines is: a frozen record that checks itself."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf

from snnmap.core.errors import ChipError
from snnmap.core.record import list_counted, list_price_problems

__all__ = ["Bits", "Device", "Memory", "Prices", "Sources"]

_NOT_COUNTED = ("name", "description", "source", "prices", "sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory on the device, in blocks, and the link to memory beside it.

    Attributes:
        blocks: how many there are.
        block_bytes: of one.
        port_bytes: that a block gives in a cycle.
        external_bytes_per_cycle: that the link carries, inputs and outputs among them.
    """

    blocks: int
    block_bytes: int
    port_bytes: int
    external_bytes_per_cycle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """Widths of numbers.

    Attributes:
        weights: of a weight, its sign included.
        activations: of an activation, unsigned.
        accumulator: of a sum, its sign included.
    """

    weights: int
    activations: int
    accumulator: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Energy of each action in picojoules, of which None is unknown.

    Attributes:
        multiply_pj: of a multiply-accumulate.
        scale_pj: of a value that is scaled, added or compared.
        memory_pj: of a byte that is read or written on the device.
        external_pj: of a byte over the link.
    """

    multiply_pj: float | None = None
    scale_pj: float | None = None
    memory_pj: float | None = None
    external_pj: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where each price comes from, in words: value, technology, paper. Empty where that is not told."""

    multiply_pj: str = ""
    scale_pj: str = ""
    memory_pj: str = ""
    external_pj: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device on which every layer of a network gets hardware of its own.

    Attributes:
        name: the catalog name.
        description: one line for people.
        source: where the figures come from.
        clock_mhz: of everything.
        multipliers: of a weight by an activation each cycle.
        memory: on the device and beside it.
        bits: of numbers.
        prices: of actions.
        sources: of prices.

    Raises:
        ChipError: when fields contradict each other; the message names them all.
    """

    name: str
    description: str
    source: str
    clock_mhz: float
    multipliers: int
    memory: Memory
    bits: Bits
    prices: Prices = Prices()
    sources: Sources = Sources()

    def __post_init__(self) -> None:
        problems = list(self._list_problems())
        if problems:
            raise ChipError("the device contradicts itself: " + "; ".join(problems), fix="correct these fields")

    @property
    def digest(self) -> str:
        """SHA-256 over all fields that change what is built; no texts, no prices."""
        counted = {key: value for key, value in list_counted(self).items() if key not in _NOT_COUNTED}
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()

    @property
    def memory_bytes(self) -> int:
        """Bytes of all blocks."""
        return self.memory.blocks * self.memory.block_bytes

    def count_weight_blocks(self, word_bytes: int, n_words: int) -> int:
        """Return how many blocks give a word of weights each cycle: beside each other for its bytes, in a row for all words.

        A block has as many lines as its share of a word fits into it.

        Args:
            word_bytes: weights that are read together.
            n_words: of the layer.
        """
        beside = -(-word_bytes // self.memory.port_bytes)
        lines = self.memory.block_bytes // -(-word_bytes // beside)
        return beside * -(-n_words // lines)

    def count_blocks(self, n_bytes: int) -> int:
        """Return how many blocks hold this many bytes."""
        return -(-n_bytes // self.memory.block_bytes)

    def _list_problems(self) -> Iterator[str]:
        for part in (self.memory, self.bits):
            for key, value in asdict(part).items():
                if not 0 < value < inf:
                    yield f"{key} = {value} is not positive"
        if not 0 < self.clock_mhz < inf:
            yield f"clock_mhz = {self.clock_mhz} is not positive"
        if self.multipliers < 1:
            yield f"multipliers = {self.multipliers} is not positive"
        if self.memory.port_bytes > self.memory.block_bytes:
            yield f"memory.port_bytes = {self.memory.port_bytes} is beyond the block's {self.memory.block_bytes} bytes"
        if self.bits.weights > 8 or self.bits.activations != 8:
            yield f"bits.weights = {self.bits.weights} is beyond 8, or bits.activations = {self.bits.activations} is not 8"
        if not 16 <= self.bits.accumulator <= 32:
            yield f"bits.accumulator = {self.bits.accumulator} is not from 16 to 32"
        yield from list_price_problems(self.prices, self.sources, called="prices")
