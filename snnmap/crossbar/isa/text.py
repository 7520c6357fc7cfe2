"""Instructions as text, a line each, and back."""

from collections.abc import Iterable

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.core.near import suggest
from snnmap.crossbar.isa.codec import Instruction, from_float, make_instruction, to_float
from snnmap.crossbar.isa.table import BY_NAME, TABLE, Field

__all__ = ["format_instruction", "format_table", "parse_instruction"]


def format_instruction(instruction: Instruction) -> str:
    """Write an instruction as its name and ``field=value``.

    Example:
        >>> from snnmap.crossbar.isa import make_instruction
        >>> format_instruction(make_instruction("clear", accumulator=8, words=32))
        'clear accumulator=8 words=32'
    """
    pairs = zip(instruction.kind.fields, instruction.values, strict=True)
    return " ".join([instruction.kind.name, *(f"{field.name}={_format_value(field, value)}" for field, value in pairs)])


def parse_instruction(line: str, *, where: str) -> Instruction:
    """Read a line as :func:`format_instruction` writes it.

    Raises:
        FormatError: an unknown instruction, other fields than it has, or a value that does not fit.
    """
    name, *words = line.split()
    if name not in BY_NAME:
        raise FormatError(f"no instruction is called '{name}'", where=where, fix=suggest(name, BY_NAME, "see docs/crossbar.md"))
    given = dict(word.partition("=")[::2] for word in words)
    fields = BY_NAME[name].fields
    if [*given] != [field.name for field in fields]:
        told = " ".join(f"{field.name}=..." for field in fields)
        raise FormatError("the fields are others than the instruction has", where=where, measured=line, limit=f"{name} {told}")
    try:
        return make_instruction(name, **{field.name: _parse_value(field, given[field.name]) for field in fields})
    except ValueError as error:
        raise FormatError(
            "a value is no number", where=where, measured=line, fix="write whole numbers, or floats in hex"
        ) from error
    except FormatError as error:
        raise error.within(where) from error


def format_table(kinds: Iterable[str] = ()) -> str:
    """Return the table of instructions as Markdown; all, or those that are named."""
    lines = []
    for kind in TABLE:
        if kinds and kind.name not in kinds:
            continue
        lines += [
            f"### {kind.name}",
            "",
            f"Opcode 0x{kind.opcode:02x}, {kind.n_bytes} bytes, {kind.machine}: {kind.meaning}.",
            "",
        ]
        if kind.fields:
            lines += ["| field | bits | meaning |", "| --- | --- | --- |"]
            lines += [f"| `{field.name}` | {field.bits}{_mark(field)} | {field.meaning} |" for field in kind.fields] + [""]
    return "\n".join(lines)


def _mark(field: Field) -> str:
    return {"number": "", "float": ", float", "loop": ", loop", "address": ", address"}[field.role]


def _format_value(field: Field, value: int) -> str:
    return float(to_float(value)).hex() if field.role == "float" else str(value)


def _parse_value(field: Field, text: str) -> int:
    return from_float(float(np.float32(float.fromhex(text)))) if field.role == "float" else int(text)
