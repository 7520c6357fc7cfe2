"""The instruction set, in one table: from it come encoder, decoder, assembler, disassembler and documentation."""

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

__all__ = ["BY_NAME", "BY_OPCODE", "Field", "Kind", "TABLE"]

Machine = Literal["control", "weights", "input", "output", "transfers", "digital"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter of a state machine.

    Attributes:
        name: unique in its instruction.
        bits: 8, 16 or 32, unsigned; or 32 of a float.
        meaning: in words.
        role: ``loop`` and ``address`` are held against the record's limits of the state machines.
    """

    name: str
    bits: int
    meaning: str
    role: Literal["number", "loop", "address", "float"] = "number"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An instruction: its opcode, the state machine that it sets, and its fields in the order in which they are encoded."""

    opcode: int
    name: str
    machine: Machine
    meaning: str
    fields: tuple[Field, ...]

    @cached_property
    def layout(self) -> struct.Struct:
        """How the instruction is encoded: its opcode, then its fields, little-endian."""
        return struct.Struct("<B" + "".join({8: "B", 16: "H", 32: "I"}[field.bits] for field in self.fields))

    @property
    def n_bytes(self) -> int:
        """Bytes of the instruction, its opcode included."""
        return self.layout.size


def _number(name: str, bits: int, meaning: str) -> Field:
    return Field(name=name, bits=bits, meaning=meaning)


def _loop(name: str, meaning: str, bits: int = 32) -> Field:
    return Field(name=name, bits=bits, meaning=meaning, role="loop")


def _address(name: str, meaning: str) -> Field:
    return Field(name=name, bits=32, meaning=meaning, role="address")


def _float(name: str, meaning: str) -> Field:
    return Field(name=name, bits=32, meaning=meaning, role="float")


_RECTANGLE = (
    _number("row", 8, "of the first element in the grid"),
    _number("column", 8, "likewise"),
    _loop("rows", "cells below each other that are used of a block, the bias row's among them", 16),
    _loop("blocks", "rectangles of elements, each as high and wide as its rows and filters need", 16),
    _loop("stack", "blocks below each other; the next stand beside them", 8),
    _loop("filters", "weights beside each other in a block", 16),
)
_REGION = (
    _address("accumulator", "first accumulator"),
    _loop("filters", "accumulators of a window", 16),
    _loop("pitch", "accumulators from one window to the next", 16),
    _loop("windows", "how many"),
)
_CHANNELS = (
    _loop("channel", "first channel that is computed"),
    _loop("channels", "how many"),
)

TABLE: tuple[Kind, ...] = (
    Kind(opcode=0x00, name="end", machine="control", meaning="stops the core", fields=()),
    Kind(
        opcode=0x01,
        name="barrier",
        machine="control",
        meaning="waits until every core is at the barrier of this number",
        fields=(_number("number", 16, "of the barrier, ascending from 0"),),
    ),
    Kind(
        opcode=0x02,
        name="cycle",
        machine="control",
        meaning="begins a computation cycle: all cells of the core are free",
        fields=(_number("number", 16, "of the cycle, ascending from 0"),),
    ),
    Kind(
        opcode=0x10,
        name="weights",
        machine="weights",
        meaning="stores cells: for each block, row by row, a byte for each cell of a weight, from the core's weights on",
        fields=(*_RECTANGLE, _address("address", "first byte in the core's weights")),
    ),
    Kind(
        opcode=0x20,
        name="input",
        machine="input",
        meaning="sets how windows slide over a tensor; places outside are its zero",
        fields=(
            _number("tensor", 16, "that is read"),
            *(_loop(f"kernel_{side}", "places of a window", 8) for side in ("height", "width")),
            *(_loop(f"stride_{side}", "places between windows", 8) for side in ("height", "width")),
            *(_loop(f"dilation_{side}", "places between the places of a window", 8) for side in ("height", "width")),
            *(_number(f"pad_{side}", 8, "places before the tensor") for side in ("top", "left")),
            *(_loop(f"windows_{side}", "how many", 16) for side in ("height", "width")),
        ),
    ),
    Kind(
        opcode=0x21,
        name="multiply",
        machine="input",
        meaning="for each window drives the rows of each block with the levels of its inputs (channels, then places of the"
        " window), reads the columns, and adds each weight's sum to an accumulator",
        fields=(
            *_RECTANGLE,
            _number("bias_row", 8, "1 where the last row is driven with the greatest input, else 0"),
            _loop("first_input", "input of the first row of the first block"),
            _loop("block_inputs", "inputs from one block to the next"),
            _loop("window", "first window"),
            _loop("windows", "how many"),
            _address("accumulator", "of the first window, block and filter; those of the next block follow"),
            _loop("pitch", "accumulators from one window to the next", 16),
        ),
    ),
    Kind(
        opcode=0x30,
        name="clear",
        machine="output",
        meaning="sets accumulators to 0",
        fields=(_address("accumulator", "first accumulator"), _loop("words", "how many")),
    ),
    Kind(
        opcode=0x31,
        name="output",
        machine="output",
        meaning="for each window and filter: adds the bias, scales in float32, rounds ties to even, adds the tensor's zero, clips"
        " to 0..255 and writes; each filter is a channel",
        fields=(
            _number("tensor", 16, "that is written"),
            _loop("channel", "of the first filter"),
            _loop("window", "first window"),
            *_REGION,
            _address("constants", "first byte of the filters' biases (int32), behind which their factors (float32) are"),
        ),
    ),
    Kind(
        opcode=0x40,
        name="send",
        machine="transfers",
        meaning="sends accumulators to another core, once that receives them",
        fields=(_number("core", 16, "that receives"), *_REGION),
    ),
    Kind(
        opcode=0x41,
        name="receive",
        machine="transfers",
        meaning="adds another core's accumulators to its own",
        fields=(_number("core", 16, "that sends"), *_REGION),
    ),
    Kind(
        opcode=0x50,
        name="maximum",
        machine="digital",
        meaning="writes the greatest level of each window of the input; places outside do not count",
        fields=(_number("tensor", 16, "that is written"), *_CHANNELS),
    ),
    Kind(
        opcode=0x51,
        name="mean",
        machine="digital",
        meaning="writes the sum of each channel's levels less the zero, scaled and rounded as by output",
        fields=(
            _number("tensor", 16, "that is written"),
            _number("source", 16, "tensor that is read"),
            *_CHANNELS,
            _float("factor", "of the sum"),
        ),
    ),
    Kind(
        opcode=0x52,
        name="add",
        machine="digital",
        meaning="writes fma(a, factor_a, fma(b, factor_b, shift)), rounded ties to even and clipped to 0..255",
        fields=(
            _number("tensor", 16, "that is written"),
            _number("source", 16, "tensor a"),
            _number("other", 16, "tensor b"),
            _loop("first", "first value"),
            _loop("values", "how many"),
            _float("factor_a", "of a"),
            _float("factor_b", "of b"),
            _float("shift", "of the sum"),
        ),
    ),
    Kind(
        opcode=0x53,
        name="table",
        machine="digital",
        meaning="writes what a table of 256 bytes gives for each level",
        fields=(
            _number("tensor", 16, "that is written"),
            _number("source", 16, "tensor that is read"),
            _loop("first", "first value that is read"),
            _loop("written", "first value that is written"),
            _loop("values", "how many"),
            _address("constants", "first byte of the table"),
        ),
    ),
    Kind(
        opcode=0x54,
        name="average",
        machine="digital",
        meaning="writes the mean of each window of the input, in float32: (level - zero) times the tensor's scale, added row by"
        " row, divided by the divisor and by the written tensor's scale, and its zero less the offset; rounded ties to even, plus"
        " the offset, clipped to 0..255",
        fields=(
            _number("tensor", 16, "that is written"),
            *_CHANNELS,
            _number("divisor", 32, "of sums; 0 where it is how many places of the window are in the tensor"),
            _number("offset", 8, "of levels above the integers that are rounded: 0 or 128"),
        ),
    ),
    Kind(
        opcode=0x55,
        name="pair",
        machine="digital",
        meaning="writes a function of two tensors in float32, with scale s, zero z less the offset, and levels less the offset of"
        " each: 0 fma(a, sa / sy, fma(b, sb / sy, zy - (sa / sy za + sb / sy zb))), 1 (a - za) (b - zb) (sa sb / sy) + zy; of"
        " (a - za) sa and (b - zb) sb over sy: 2 the sum, 3 difference, 4 quotient, 5 greatest, 6 least, with zy behind the"
        " rounding, 0 / 0 the lowest; rounded ties to even, plus the offset, clipped to 0..255",
        fields=(
            _number("tensor", 16, "that is written"),
            _number("source", 16, "tensor a"),
            _number("other", 16, "tensor b"),
            _number("function", 8, "0 to 6"),
            _number("offset", 8, "of levels above the integers that are rounded: 0 or 128"),
            _loop("spread_source", "values in a row that take one of a; behind its last comes its first"),
            _loop("spread_other", "likewise of b"),
            _loop("first", "first value"),
            _loop("values", "how many"),
        ),
    ),
)

BY_OPCODE = {kind.opcode: kind for kind in TABLE}
BY_NAME = {kind.name: kind for kind in TABLE}
