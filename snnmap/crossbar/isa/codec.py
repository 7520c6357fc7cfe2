"""Instructions as bytes, and back: an opcode, then the fields, little-endian."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.isa.table import BY_NAME, BY_OPCODE, Kind

__all__ = ["Instruction", "decode_program", "encode_program", "from_float", "make_instruction", "to_float"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        kind: its row of the table.
        values: of its fields, in their order; floats by their bits.

    Example:
        >>> make_instruction("clear", accumulator=8, words=32)["words"]
        32
    """

    kind: Kind
    values: tuple[int, ...]

    def __getitem__(self, name: str) -> int:
        """Return the value of a field."""
        for field, value in zip(self.kind.fields, self.values, strict=True):
            if field.name == name:
                return value
        raise KeyError(name)

    def as_dict(self) -> dict[str, int]:
        """Return the values by the names of their fields."""
        return {field.name: value for field, value in zip(self.kind.fields, self.values, strict=True)}


def make_instruction(name: str, /, **values: int) -> Instruction:
    """Make an instruction by names.

    Raises:
        FormatError: a value does not fit its field.
    """
    kind = BY_NAME[name]
    for field in kind.fields:
        if not 0 <= values[field.name] < 1 << field.bits:
            raise FormatError(
                "a parameter does not fit its field",
                where=f"{name}.{field.name}",
                measured=str(values[field.name]),
                limit=f"0 to {(1 << field.bits) - 1}",
                fix="compile smaller layers, or report this as a defect of snnmap",
            )
    if len(values) != len(kind.fields):
        raise KeyError(f"{sorted(values)} are not the fields of {name}")
    return Instruction(kind, tuple(values[field.name] for field in kind.fields))


def encode_program(instructions: Iterable[Instruction]) -> bytes:
    """Write instructions one behind the other."""
    return b"".join(one.kind.layout.pack(one.kind.opcode, *one.values) for one in instructions)


def decode_program(data: bytes, *, where: str) -> tuple[Instruction, ...]:
    """Read instructions; the exact inverse of :func:`encode_program`.

    Raises:
        FormatError: an unknown opcode, or an instruction that is cut off; it says at which byte.
    """
    instructions, at = [], 0
    while at < len(data):
        kind = BY_OPCODE.get(data[at])
        if kind is None:
            raise FormatError(
                "the opcode is unknown", where=f"{where}, byte {at}", measured=f"0x{data[at]:02x}", fix="build the file anew"
            )
        if at + kind.n_bytes > len(data):
            raise FormatError(
                "an instruction is cut off",
                where=f"{where}, byte {at}",
                measured=f"{len(data) - at} bytes",
                limit=f"{kind.n_bytes} bytes of {kind.name}",
                fix="build the file anew",
            )
        instructions.append(_decode_one(kind, data, at, where))
        at += kind.n_bytes
    return tuple(instructions)


def _decode_one(kind: Kind, data: bytes, at: int, where: str) -> Instruction:
    _, *values = kind.layout.unpack_from(data, at)
    for field, value in zip(kind.fields, values, strict=True):
        if field.role == "float" and not np.isfinite(to_float(value)):
            place = f"{where}, byte {at}, {kind.name}.{field.name}"
            raise FormatError("a factor is not finite", where=place, measured=f"0x{value:08x}", fix="build the file anew")
    return Instruction(kind, tuple(values))


def from_float(value: float | np.float32) -> int:
    """Return the bits of a number in float32."""
    return int(np.float32(value).view(np.uint32))


def to_float(bits: int) -> np.float32:
    """Return the float32 of these bits."""
    return np.uint32(bits).view(np.float32)
