"""The instruction set: one table, and what is made of it."""

from snnmap.crossbar.isa.codec import Instruction, decode_program, encode_program, from_float, make_instruction, to_float
from snnmap.crossbar.isa.table import BY_NAME, TABLE, Field, Kind
from snnmap.crossbar.isa.text import format_instruction, format_table, parse_instruction

__all__ = [
    "BY_NAME",
    "TABLE",
    "Field",
    "Instruction",
    "Kind",
    "decode_program",
    "encode_program",
    "format_instruction",
    "format_table",
    "from_float",
    "make_instruction",
    "parse_instruction",
    "to_float",
]
