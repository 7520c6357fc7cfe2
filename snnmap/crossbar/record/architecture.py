"""What an accelerator with analog crossbars is: a frozen record that checks itself."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import gcd
from typing import Literal

from snnmap.core.errors import ChipError
from snnmap.core.record import list_counted, list_price_problems

__all__ = ["Architecture", "Converters", "Costs", "Elements", "Fsm", "Memories", "Noc", "Sources", "Switches", "WeightCells"]

_NOT_COUNTED = ("name", "description", "source", "costs", "sources")
MOST_CELLS = 2**24
"""Cells of one core, and elements of one chip: a record beyond is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """The small arrays of a core: cells of one, and how many there are in a grid.

    Attributes:
        rows: cells of an element that inputs drive.
        columns: cells of an element that are read.
        grid_rows: elements of a core below each other.
        grid_columns: elements of a core beside each other.
    """

    rows: int
    columns: int
    grid_rows: int
    grid_columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How many neighbouring elements switches join; 1 where there are none.

    Attributes:
        vertical: elements whose columns become one, which adds up the products of all their rows.
        horizontal: elements whose rows become one, which are driven together.
    """

    vertical: int
    horizontal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightCells:
    """How a weight is kept.

    Attributes:
        bits: of a weight, its sign included.
        cell_bits: of a cell; a weight takes as many cells beside each other as it has such digits.
        encoding: ``signed`` cells, or ``differential`` pairs of which one counts negative.
        bias: ``digital``, or ``row``: a row that is driven with the greatest input holds as much of each bias as a weight can.
    """

    bits: int
    cell_bits: int
    encoding: Literal["signed", "differential"]
    bias: Literal["digital", "row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converters:
    """What drives rows and reads columns.

    Attributes:
        dac_bits: of an input, unsigned.
        adc_bits: of what is read from a column.
        columns_per_adc: columns of cells that share one.
    """

    dac_bits: int
    adc_bits: int
    columns_per_adc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """Sizes of the memories.

    Attributes:
        activation_bytes: of the memory of all cores, in which values between layers are kept.
        accumulator_words: of 32 bits, of each core, in which partial sums are kept.
        program_bytes: of each core's instructions.
        constant_bytes: of biases, factors and tables, of all cores.
    """

    activation_bytes: int
    accumulator_words: int
    program_bytes: int
    constant_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noc:
    """The network of cores: a mesh, filled row by row, with the activation memory at core 0.

    Attributes:
        columns: cores of the mesh beside each other.
        bytes_per_cycle: of a link.
    """

    columns: int
    bytes_per_cycle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fsm:
    """Limits of the finite state machines.

    Attributes:
        loop_bits: of a loop's bound.
        address_bits: of an address.
    """

    loop_bits: int
    address_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Cycles and energy of each action: its prices, of which None is unknown.

    Attributes:
        program_cycles: of a row of cells that is written.
        program_pj: of a cell that is written.
        drive_cycles: of rows that are driven together.
        drive_pj: of a row that is driven.
        convert_cycles: of one reading of a column.
        convert_pj: of one reading of a column.
        digital_cycles: of one value that is scaled, rounded, added or compared.
        digital_pj: of the same.
        hop_cycles: of a transfer's first byte, over one link.
        hop_pj: of a byte over one link.
        memory_pj: of a byte that is read or written.
    """

    program_cycles: int | None = None
    program_pj: float | None = None
    drive_cycles: int | None = None
    drive_pj: float | None = None
    convert_cycles: int | None = None
    convert_pj: float | None = None
    digital_cycles: int | None = None
    digital_pj: float | None = None
    hop_cycles: int | None = None
    hop_pj: float | None = None
    memory_pj: float | None = None


_FIRST_COSTS = {
    "program_cycles": 100,
    "program_pj": 10.0,
    "drive_cycles": 1,
    "drive_pj": 0.1,
    "convert_cycles": 1,
    "convert_pj": 2.0,
    "digital_cycles": 1,
    "digital_pj": 0.5,
    "hop_cycles": 1,
    "hop_pj": 0.2,
    "memory_pj": 1.0,
}
"""What stands for the prices in a digest: those of the first records. No price changes what a program means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where each price comes from, in words: value, technology, paper. Empty where that is not told."""

    program_cycles: str = ""
    program_pj: str = ""
    drive_cycles: str = ""
    drive_pj: str = ""
    convert_cycles: str = ""
    convert_pj: str = ""
    digital_cycles: str = ""
    digital_pj: str = ""
    hop_cycles: str = ""
    hop_pj: str = ""
    memory_pj: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An accelerator of several cores with crossbars of elements.

    The record can grow. A field that is added to this class or to one of its parts has a default, which never changes, and counts
    in the digest only where it holds another value; fields of the first record have none. So no file that there is dies of a new
    field, nor of another price: ``costs`` and ``sources`` do not count.

    Attributes:
        name: the catalog name.
        description: one line for people.
        source: where the figures come from.
        cores: how many there are.
        clock_mhz: of all cores.

    Raises:
        ChipError: when fields contradict each other; the message names them all.
    """

    name: str
    description: str
    source: str
    cores: int
    clock_mhz: float
    elements: Elements
    switches: Switches
    weights: WeightCells
    converters: Converters
    memories: Memories
    noc: Noc
    fsm: Fsm
    costs: Costs = Costs()
    sources: Sources = Sources()

    def __post_init__(self) -> None:
        problems = list(self._list_problems()) or list(self._list_column_problems())
        if problems:
            raise ChipError("the architecture contradicts itself: " + "; ".join(problems), fix="correct these fields")

    @property
    def digest(self) -> bytes:
        """SHA-256 over all fields that change what a program means; no texts, no prices, no fields at their default."""
        counted = {key: value for key, value in list_counted(self).items() if key not in _NOT_COUNTED}
        return hashlib.sha256(json.dumps({**counted, "costs": _FIRST_COSTS}, sort_keys=True).encode()).digest()

    @property
    def cell_scales(self) -> tuple[int, ...]:
        """What each of a weight's cells counts, in the order of its columns.

        Example:
            >>> from snnmap.crossbar.record import load_architecture
            >>> load_architecture("grid-128").cell_scales
            (1,)
        """
        digits = tuple(1 << shift for shift in range(0, self.weights.bits, self.weights.cell_bits))
        return digits if self.weights.encoding == "signed" else (*digits, *(-digit for digit in digits))

    @property
    def unit(self) -> tuple[int, int]:
        """Filters that are placed together, and how many elements beside each other hold them.

        The fewest that fill all columns; where switches join fewer elements than that takes, those that leave the fewest idle.
        """
        cells, columns = len(self.cell_scales), self.elements.columns
        shared = gcd(cells, columns)
        if cells // shared <= self.widest_row:
            return columns // shared, cells // shared
        units = [(width * columns // cells, width) for width in range(1, self.widest_row + 1)]
        return max(units, key=lambda unit: (unit[0] / unit[1], -unit[1]))

    @property
    def chain_rows(self) -> int:
        """Rows of the longest chain of elements."""
        return self.longest_chain * self.elements.rows

    @property
    def largest_sum(self) -> int:
        """Greatest magnitude of what the longest chain adds up in a column: all rows driven fully, all cells at their most."""
        signed = self.weights.encoding == "signed" and len(self.cell_scales) == 1
        cell = 1 << (self.weights.cell_bits - 1) if signed else (1 << self.weights.cell_bits) - 1
        return self.chain_rows * ((1 << self.converters.dac_bits) - 1) * cell

    @property
    def longest_chain(self) -> int:
        """Elements of the longest vertical chain."""
        return min(self.switches.vertical, self.elements.grid_rows)

    @property
    def widest_row(self) -> int:
        """Elements that are driven together at most."""
        return min(self.switches.horizontal, self.elements.grid_columns)

    @property
    def elements_per_core(self) -> int:
        """Elements of one core."""
        return self.elements.grid_rows * self.elements.grid_columns

    def count_links(self, one: int, other: int) -> int:
        """Return how many links of the mesh are between two cores."""
        (row, column), (other_row, other_column) = divmod(one, self.noc.columns), divmod(other, self.noc.columns)
        return abs(row - other_row) + abs(column - other_column)

    def count_columns(self, n_filters: int) -> int:
        """Return how many elements beside each other hold this many filters."""
        return -(-n_filters * len(self.cell_scales) // self.elements.columns)

    def count_rows(self, n_rows: int) -> int:
        """Return how many elements below each other hold this many rows."""
        return -(-n_rows // self.elements.rows)

    def _list_problems(self) -> Iterator[str]:
        for part in (self.elements, self.switches, self.weights, self.converters, self.memories, self.noc, self.fsm):
            for key, value in asdict(part).items():
                if isinstance(value, int) and value < 1:
                    yield f"{key} = {value} is not positive"
        yield from list_price_problems(self.costs, self.sources, called="costs")
        if not 1 <= self.cores <= 4096:
            yield f"cores = {self.cores} is not from 1 to 4096"
        if not 0 < self.clock_mhz < float("inf"):
            yield f"clock_mhz = {self.clock_mhz} is not positive"
        yield from self._list_cell_problems()

    def _list_cell_problems(self) -> Iterator[str]:
        elements, cells = self.elements, self.weights
        if self.elements_per_core * elements.rows * elements.columns > MOST_CELLS:
            yield f"a core has more than {MOST_CELLS} cells"
        if max(elements.grid_rows, elements.grid_columns) > 255:
            yield "the grid has more than 255 elements on a side"
        if self.switches.vertical > elements.grid_rows or self.switches.horizontal > elements.grid_columns:
            yield "switches join more elements than the grid has on a side"
        if not (2 <= cells.bits <= 8 and 1 <= cells.cell_bits <= cells.bits):
            yield f"weights.bits = {cells.bits} is not from 2 to 8, or cell_bits = {cells.cell_bits} is beyond it"
        if self.converters.dac_bits > 8:
            yield f"converters.dac_bits = {self.converters.dac_bits} is beyond 8"
        if self.converters.adc_bits > 32 or self.fsm.loop_bits > 32 or self.fsm.address_bits > 32:
            yield "adc_bits, loop_bits or address_bits is beyond 32"
        if self.noc.columns > self.cores:
            yield f"noc.columns = {self.noc.columns} is beyond the {self.cores} cores"

    def _list_column_problems(self) -> Iterator[str]:
        """Yield what only fields within their ranges can contradict."""
        elements, cells = self.elements, len(self.cell_scales)
        if elements.grid_columns * elements.columns % self.converters.columns_per_adc:
            yield "the columns of a core are no multiple of converters.columns_per_adc"
        if self.widest_row * elements.columns < cells:
            yield (
                f"a weight's {cells} cells stand beside each other, and {self.widest_row} elements, as many as switches join"
                f" horizontally, have {self.widest_row * elements.columns} columns"
            )
