"""What accumulators hold, in symbols: which rows of weights were multiplied with which windows."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snnmap.crossbar.isa import Instruction
from snnmap.crossbar.record import Architecture

__all__ = ["CoreState", "Product", "decode_weights", "list_places"]

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
    setting: Fields = field(default_factory=dict)
    elements: dict[tuple[int, int], int] = field(default_factory=dict)
    """Elements in use in this cycle, and the ``weights`` instruction that took them."""
    blocks: dict[tuple[int, int], Any] = field(default_factory=dict)
    """Weights ``(rows, filters)`` by their first element."""
    products: list[Product] = field(default_factory=list)

    def move_products(self, region: Fields) -> list[Product]:
        """Take away all products, as counted from the region's first accumulator."""
        moved = [replace(one, accumulator=one.accumulator - region["accumulator"]) for one in self.products]
        self.products = []
        return moved


def list_places(fields: Fields, architecture: Architecture) -> Iterator[tuple[int, int, set[tuple[int, int]]]]:
    """Yield the first element of each block, and all elements of it."""
    height = -(-fields["rows"] // architecture.elements.rows)
    width = -(-fields["filters"] * len(architecture.cell_scales) // architecture.elements.columns)
    for block in range(fields["blocks"]):
        row = fields["row"] + block % max(fields["stack"], 1) * height
        column = fields["column"] + block // max(fields["stack"], 1) * width
        yield row, column, {(row + down, column + right) for down in range(height) for right in range(width)}


def decode_weights(data: bytes, fields: Fields, architecture: Architecture) -> Any:
    """Return weights ``(blocks, rows, filters)`` as the cells of a ``weights`` instruction count them."""
    kind = np.int8 if architecture.weights.encoding == "signed" else np.uint8
    shape = (fields["blocks"], fields["rows"], fields["filters"], len(architecture.cell_scales))
    digits = np.frombuffer(data, kind).reshape(shape)
    return digits[..., 0] if shape[-1] == 1 else digits.astype(np.int16) @ np.asarray(architecture.cell_scales, np.int16)
