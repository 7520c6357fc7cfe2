"""The mapper: layer by layer, filters as columns and inputs as rows, as many as fit on the present core, the rest on the next.

Behind the last core comes the first again, in the next computation cycle. A layer of more rows than a chain of elements is split
by rows, and its partial sums are added up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from snnmap.core.errors import InputError
from snnmap.core.record import freeze_mapping
from snnmap.crossbar.lower import LayerProgram, MatrixLayer
from snnmap.crossbar.mapping.copies import plan_copies
from snnmap.crossbar.mapping.floor import Fill, Floor, Spot
from snnmap.crossbar.mapping.order import Order, order_cores
from snnmap.crossbar.mapping.tiles import Mapped, Strip, Tile
from snnmap.crossbar.record import Architecture

__all__ = ["MappingOptions", "place_layers", "split_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingOptions:
    """Choices of the mapper.

    Attributes:
        fill: where the next filters go: on the present core, as the rule says, or on the first core of the cycle with room.
        copies: most copies of a layer's weights; the slowest layers get them, in elements that are empty otherwise, and each copy
            computes a share of the windows. More are not always faster: compare latencies.
        order: which core of the mesh is which: as the rule fills them, or, with ``traffic``, moved in each computation cycle so
            that bytes go over fewer links.

    Raises:
        InputError: an option is out of its range.
    """

    fill: Fill = "present"
    copies: int = 1
    order: Order = "rule"

    def __post_init__(self) -> None:
        InputError.require_option(self, "copies", self.copies >= 1, "at least 1", of="the mapper")


class RowPart(NamedTuple):
    """Rows of a block that one chain of elements holds: first, how many, whether a bias row is below them, and elements."""

    first: int
    n_rows: int
    bias_row: int
    height: int


class _Units(NamedTuple):
    """What is placed next: units of filters of one block, or of whole blocks."""

    strip: Strip
    filters_each: int
    width: int
    n_units: int


def split_rows(layer: MatrixLayer, architecture: Architecture) -> list[RowPart]:
    """Return the parts of a layer's rows, each as long as a chain of elements but the last."""
    bias_rows = int(architecture.weights.bias == "row")
    parts = []
    for first in range(0, layer.n_rows + bias_rows, architecture.chain_rows):
        rows = min(architecture.chain_rows, layer.n_rows + bias_rows - first)
        is_last = first + rows == layer.n_rows + bias_rows
        count = rows - (bias_rows if is_last else 0)
        parts.append(RowPart(first, count, rows - count, architecture.count_rows(rows)))
    return parts


def place_layers(program: LayerProgram, architecture: Architecture, options: MappingOptions | None = None) -> Mapped:
    """Place all layers with weights.

    Args:
        program: every layer's narrowest strip fits (rules CIM201 to CIM203).
        architecture: to place it on.
        options: choices; the mission's rule where left out.
    """
    chosen = options or MappingOptions()
    mapped = _place_copies(program, architecture, chosen)
    return order_cores(mapped) if chosen.order == "traffic" else mapped


def _place_copies(program: LayerProgram, architecture: Architecture, chosen: MappingOptions) -> Mapped:
    once = _place(program, architecture, chosen.fill, dict.fromkeys((number for number, _ in program.matrices), 1))
    for share in (1.0, 0.5, 0.25) if chosen.copies > 1 else ():
        copies = plan_copies(program, architecture, chosen.copies, share=share, n_cycles=once.n_cycles)
        repeated = _place(program, architecture, chosen.fill, copies)
        if repeated.n_cycles == once.n_cycles:
            return repeated
    return once


def _place(program: LayerProgram, architecture: Architecture, fill: Fill, copies: dict[int, int]) -> Mapped:
    placer = _Placer(program=program, architecture=architecture, fill=fill)
    placed: dict[int, int] = {}
    for number, layer in program.matrices:
        n_windows = layer.windows.n_windows
        each = -(-n_windows // copies[number])
        placed[number] = -(-n_windows // each)
        for copy in range(placed[number]):
            if copy:
                placer.floor.leave_core()
            placer.place_layer(number, copy * each, min(each, n_windows - copy * each))
    return Mapped(
        program=program,
        architecture=architecture,
        strips=tuple(placer.strips),
        tiles=tuple(placer.tiles),
        n_cycles=1 + max((tile.cycle for tile in placer.tiles), default=0),
        copies=freeze_mapping(placed),
    )


@dataclass(kw_only=True)
class _Placer:
    program: LayerProgram
    architecture: Architecture
    fill: Fill
    floor: Floor = field(init=False)
    strips: list[Strip] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.floor = Floor(architecture=self.architecture, fill=self.fill)

    def place_layer(self, number: int, first_window: int, n_windows: int) -> None:
        """Place a copy of a layer's weights, which computes some windows."""
        layer = self.program.layers[number]
        if not isinstance(layer, MatrixLayer):
            return
        parts = split_rows(layer, self.architecture)
        for units in self._list_units(number, layer, first_window, n_windows):
            first = 0
            while first < units.n_units:
                first += self._place_strip(units, first, parts)

    def _list_units(self, number: int, layer: MatrixLayer, first_window: int, n_windows: int) -> Iterator[_Units]:
        """Yield whole blocks as units where there are several and they are narrow, else the filters of each block."""
        windows = {"first_window": first_window, "n_windows": n_windows}
        width = self.architecture.count_columns(layer.n_filters)
        if layer.n_blocks > 1 and width <= self.architecture.widest_row:
            whole = Strip(
                layer=number, first_block=0, n_blocks=layer.n_blocks, first_filter=0, n_filters=layer.n_filters, **windows
            )
            yield _Units(whole, 0, width, layer.n_blocks)
            return
        filters, columns = self.architecture.unit
        for block in range(layer.n_blocks):
            strip = Strip(layer=number, first_block=block, n_blocks=1, first_filter=0, n_filters=layer.n_filters, **windows)
            yield _Units(strip, filters, columns, -(-layer.n_filters // filters))

    def _place_strip(self, units: _Units, first: int, parts: list[RowPart]) -> int:
        """Place the next strip, and return how many units it has."""
        most = units.n_units - first
        if len(parts) == 1:
            spot = self._take(parts[0], units, most)
            self.strips.append(_cut(units, first, spot.n_units))
            self._add(parts[0], units, first, spot)
            return spot.n_units
        count = min(most, max(1, self.architecture.widest_row // units.width))
        return self._place_split_strip(units, first, count, parts)

    def _place_split_strip(self, units: _Units, first: int, count: int, parts: list[RowPart]) -> int:
        """Place all row parts of a strip; one whose sums would wait for the next cycle is as narrow as accumulators hold.

        Where these hold no such sums at all, the strip begins in the next cycle, and is as narrow as one cycle holds.
        """
        before, n_tiles = self.floor.copy(), len(self.tiles)
        self._place_parts(units, first, count, parts)
        limit = self.architecture.memories.accumulator_words // units.strip.n_windows
        n_outputs = self.strips[-1].n_outputs
        narrow = count * limit // n_outputs or (count // 2 if before.is_empty else 0)
        if self.floor.cycle == before.cycle or n_outputs <= limit or (before.is_empty and not narrow):
            return count
        self.floor, self.tiles = before, self.tiles[:n_tiles]
        self.strips.pop()
        if not narrow:
            self.floor.start_cycle()
        return self._place_split_strip(units, first, narrow or count, parts)

    def _place_parts(self, units: _Units, first: int, count: int, parts: list[RowPart]) -> None:
        self.strips.append(_cut(units, first, count))
        for part in parts:
            done = 0
            while done < count:
                spot = self._take(part, units, count - done)
                self._add(part, units, first + done, spot)
                done += spot.n_units

    def _take(self, part: RowPart, units: _Units, most: int) -> Spot:
        return self.floor.take(part.height, units.width, most, stacked=not units.filters_each)

    def _add(self, part: RowPart, units: _Units, first: int, spot: Spot) -> None:
        held = _cut(units, first, spot.n_units)
        tile = Tile(
            strip=len(self.strips) - 1,
            cycle=self.floor.cycle,
            core=spot.core,
            row=spot.row,
            column=spot.column,
            height=part.height,
            width=units.width if held.n_blocks > 1 or not units.filters_each else self.architecture.count_columns(held.n_filters),
            stack=spot.stack,
            first_block=held.first_block,
            n_blocks=held.n_blocks,
            first_row=part.first,
            n_rows=part.n_rows,
            bias_row=part.bias_row,
            first_filter=held.first_filter,
            n_filters=held.n_filters,
        )
        self.tiles.append(tile)


def _cut(units: _Units, first: int, count: int) -> Strip:
    """Return the strip of some of the units."""
    whole, each = units.strip, units.filters_each
    if not each:
        return replace(whole, first_block=first, n_blocks=count)
    stop = min((first + count) * each, whole.n_filters)
    return replace(whole, first_filter=first * each, n_filters=stop - first * each)
