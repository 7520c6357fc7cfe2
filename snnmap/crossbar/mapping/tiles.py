"""Where weights are: tiles of matrices in elements of cores, in computation cycles."""

from collections.abc import Mapping
from dataclasses import dataclass

from snnmap.core.record import record
from snnmap.crossbar.lower import LayerProgram
from snnmap.crossbar.record import Architecture

__all__ = ["Mapped", "Strip", "Tile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Outputs of a layer that are finished together: filters of one block, or whole blocks, in some or all windows.

    Attributes:
        layer: position of the layer.
        first_block: of the layer.
        n_blocks: more than one only with all their filters.
        first_filter: of a block.
        n_filters: of each block.
        first_window: of those that this copy of the weights computes.
        n_windows: likewise.
    """

    layer: int
    first_block: int
    n_blocks: int
    first_filter: int
    n_filters: int
    first_window: int
    n_windows: int

    @property
    def n_outputs(self) -> int:
        """Outputs a window."""
        return self.n_blocks * self.n_filters


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Rows and filters of one block in a rectangle of joined elements, or of several blocks beside and below each other.

    Attributes:
        strip: position of the strip whose outputs it adds to.
        cycle: computation cycle.
        core: that holds it.
        row: of the first element in the grid.
        column: likewise.
        height: elements of a block below each other.
        width: elements of a block beside each other.
        stack: blocks below each other; the next blocks stand beside them.
        first_block: of the layer.
        n_blocks: likewise.
        first_row: of a block's weights.
        n_rows: likewise.
        bias_row: 1 where a row for the bias is below them, else 0.
        first_filter: of a block.
        n_filters: of each block.
    """

    strip: int
    cycle: int
    core: int
    row: int
    column: int
    height: int
    width: int
    stack: int
    first_block: int
    n_blocks: int
    first_row: int
    n_rows: int
    bias_row: int
    first_filter: int
    n_filters: int

    @property
    def n_elements(self) -> int:
        """Elements that it takes."""
        return self.n_blocks * self.height * self.width

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Row and column of the first element of each block."""
        places = (divmod(block, self.stack) for block in range(self.n_blocks))
        return [(self.row + below * self.height, self.column + beside * self.width) for beside, below in places]


@record
class Mapped:
    """A program's weights on an accelerator.

    Attributes:
        program: of layers.
        architecture: that it is mapped to.
        strips: in the order of layers.
        tiles: in the order in which they were placed, ascending in computation cycles.
        n_cycles: computation cycles.
        copies: of the weights of each layer, by its position; each copy computes a share of the windows.
        saved_hop_bytes: bytes times links that a run sends less than it would with cores in the order of the rule.
    """

    program: LayerProgram
    architecture: Architecture
    strips: tuple[Strip, ...]
    tiles: tuple[Tile, ...]
    n_cycles: int
    copies: Mapping[int, int]
    saved_hop_bytes: int = 0
