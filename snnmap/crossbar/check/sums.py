"""What accumulators hold, in symbols: which rows of weights were multiplied with which windows."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snnmap.crossbar.isa import Instruction
from snnmap.crossbar.record import Architecture

__all__ = ["CoreState", "Product", "decode_weights", "list_places", "measure_block"]

Fields = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Windows times one block's weights, in accumulators.

    Attributes:
        setting: fields of the input.
        windows: first and how many.
        first_input: of the block's first row.
        block_inputs: as the instruction says.
        bias_row: 1 where the last row is the bias's.
        weights: ``(rows, filters)``.
        accumulator: of the first window and filter.
        pitch: from window to window.
    """

    setting: Fields
    windows: tuple[int, int]
    first_input: int
    block_inputs: int
    bias_row: int
    weights: Any
    accumulator: int
    pitch: int


@dataclass(kw_only=True)
class CoreState:
    """What a core has done so far, as far as its program says."""

    program: tuple[Instruction, ...]
    weights: bytes
    at: int = 0
    n_read: int = 0
    n_cleared: int = 0
    setting: Fields = field(default_factory=dict)
    elements: Any = None
    """Elements in use in this cycle, ``(grid rows, grid columns)`` bool."""
    blocks: dict[tuple[int, int], Any] = field(default_factory=dict)
    """Weights ``(rows, filters)`` by their first element."""
    products: list[Product] = field(default_factory=list)

    def move_products(self, region: Fields) -> list[Product]:
        """Take away all products, as counted from the region's first accumulator."""
        moved, first = self.products, region["accumulator"]
        self.products = []
        return [replace(one, accumulator=one.accumulator - first) for one in moved] if first else moved


def list_places(fields: Fields, architecture: Architecture) -> Iterator[tuple[int, int]]:
    """Yield row and column of the first element of each block."""
    height, width = measure_block(fields, architecture)
    for block in range(fields["blocks"]):
        beside, below = divmod(block, max(fields["stack"], 1))
        yield fields["row"] + below * height, fields["column"] + beside * width


def measure_block(fields: Fields, architecture: Architecture) -> tuple[int, int]:
    """Return the elements of a block below and beside each other."""
    cells = fields["filters"] * len(architecture.cell_scales)
    return -(-fields["rows"] // architecture.elements.rows), -(-cells // architecture.elements.columns)


def decode_weights(data: bytes, fields: Fields, architecture: Architecture) -> Any:
    """Return weights ``(blocks, rows, filters)`` as the cells of a ``weights`` instruction count them."""
    kind = np.int8 if architecture.weights.encoding == "signed" else np.uint8
    shape = (fields["blocks"], fields["rows"], fields["filters"], len(architecture.cell_scales))
    digits = np.frombuffer(data, kind).reshape(shape)
    return digits[..., 0] if shape[-1] == 1 else digits.astype(np.int16) @ np.asarray(architecture.cell_scales, np.int16)
